//! Work a little, rest the longer: a walk takes its share of the time and no more.

use std::{
    convert::Infallible,
    ops::ControlFlow,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use super::Share;

/// The clock is looked at after so many inodes.
const STEPS: u32 = 32;
/// Rests are worth taking after this much work.
const STINT: Duration = Duration::from_millis(5);

/// The pace of one job.
#[derive(Debug)]
pub(super) struct Pace<'a> {
    share: Share,
    stop: &'a Receiver<Infallible>,
    steps: u32,
    since: Instant,
}

impl<'a> Pace<'a> {
    /// Work begins now, and is of use until the other end of `stop` is gone.
    pub(super) fn new(share: Share, stop: &'a Receiver<Infallible>) -> Self {
        Self {
            share,
            stop,
            steps: 0,
            since: Instant::now(),
        }
    }

    /// Called at each inode. Breaks off when nobody waits for the result any more.
    pub(super) fn step(&mut self) -> ControlFlow<()> {
        self.steps += 1;
        if !self.steps.is_multiple_of(STEPS) {
            return ControlFlow::Continue(());
        }
        let worked = self.since.elapsed();
        let rest = if worked < STINT {
            Duration::ZERO
        } else {
            rest(self.share, worked)
        };
        match self.stop.recv_timeout(rest) {
            Err(RecvTimeoutError::Disconnected) => return ControlFlow::Break(()),
            Err(RecvTimeoutError::Timeout) => {}
            Ok(never) => match never {},
        }
        if worked >= STINT {
            self.since = Instant::now();
        }
        ControlFlow::Continue(())
    }
}

/// How long to rest after so much work.
fn rest(share: Share, worked: Duration) -> Duration {
    worked * (100 - share.get()) / share.get()
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::channel, thread};

    use super::*;

    fn share(percent: u8) -> Share {
        Share::percent(percent).unwrap()
    }

    #[test]
    fn work_and_rest_are_in_the_share_that_was_asked_for() {
        let worked = Duration::from_millis(10);
        assert_eq!(rest(share(10), worked), Duration::from_millis(90));
        assert_eq!(rest(share(50), worked), worked);
        assert_eq!(rest(share(100), worked), Duration::ZERO);
        assert_eq!(Share::percent(0), None);
        assert_eq!(Share::percent(101), None);
    }

    #[test]
    fn a_long_walk_takes_no_more_than_its_share_of_the_time() {
        let (_alive, stop) = channel();
        let begun = Instant::now();
        let mut worked = Duration::ZERO;
        let mut pace = Pace::new(share(20), &stop);
        for _ in 0..320 {
            let work = Instant::now();
            while work.elapsed() < Duration::from_micros(300) {
                thread::yield_now();
            }
            worked += work.elapsed();
            assert!(pace.step().is_continue());
        }
        // What was done after the last rest has not been paid for yet.
        let unpaid = Duration::from_micros(300) * STEPS + STINT;
        assert!(begun.elapsed() >= (worked - unpaid) * 5, "{worked:?}");
    }

    #[test]
    fn a_walk_that_nobody_waits_for_ends_even_in_the_middle_of_a_rest() {
        let (alive, stop) = channel();
        let walk = thread::spawn(move || {
            let mut pace = Pace::new(share(1), &stop);
            // Work of a minute would be followed by a rest of 99.
            pace.since = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
            (0..STEPS).map(|_| pace.step()).last().unwrap()
        });
        drop(alive);
        assert!(walk.join().unwrap().is_break());
    }
}
