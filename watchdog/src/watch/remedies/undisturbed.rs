//! A rollback while a collection goes on: which of the two waits, and for how long.

use std::{
    thread,
    time::{Duration, Instant},
};

use tracing::warn;

use crate::{
    act::{set_profile::NotSet, stop::Stop, switch::SwitchEnd},
    rollback::{facts::GenerationId, machine::Act, run::Verbs, turn::Answer},
};

/// How long a rollback waits for a collection to stop: longer than any wait within one but that for
/// a boot menu. A disk that does not answer must not keep the host on a deploy that broke it.
pub(super) const TO_STOP: Duration = Duration::from_secs(120);

/// The verbs of a rollback, each after the end of a collection that goes on: a switch needs what
/// it would take, and the deploy that broke the host is the more urgent of the two. The collection
/// is gone on with in a later tick.
pub(super) struct Undisturbed<'a, V> {
    pub(super) verbs: V,
    /// Asks the collection that goes on to end; none if none does.
    pub(super) stop: Option<&'a Stop>,
    pub(super) stopped: &'a dyn Fn() -> bool,
    /// How long its end is waited for.
    pub(super) patience: Duration,
}

impl<V> Undisturbed<'_, V> {
    fn wait(&mut self) {
        let Some(stop) = self.stop else { return };
        stop.ask();
        // It ends between two paths: what it asked of Nix ends with its connection.
        let begun = Instant::now();
        while !(self.stopped)() {
            if begun.elapsed() >= self.patience {
                // What the rollback goes back to is rooted, and no collection takes it.
                warn!("the collection does not stop; the rollback goes on beside it");
                // It was waited for once.
                self.patience = Duration::ZERO;
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl<V: Verbs> Verbs for Undisturbed<'_, V> {
    fn set_profile(&mut self, target: &GenerationId, from: Option<u64>) -> Result<(), NotSet> {
        self.wait();
        self.verbs.set_profile(target, from)
    }

    fn switch(&mut self, target: &GenerationId, incident: &str) -> Result<SwitchEnd, String> {
        self.wait();
        self.verbs.switch(target, incident)
    }

    fn set_boot_default(
        &mut self,
        target: &GenerationId,
        incident: &str,
    ) -> Result<SwitchEnd, String> {
        self.wait();
        self.verbs.set_boot_default(target, incident)
    }

    fn reboot(&mut self) -> Result<(), String> {
        self.wait();
        self.verbs.reboot()
    }

    fn keep_target(&mut self, target: Option<&str>) -> Result<(), String> {
        self.verbs.keep_target(target)
    }

    fn take_turn(&mut self) -> Answer {
        self.verbs.take_turn()
    }

    fn end_turn(&mut self) -> Result<(), String> {
        self.verbs.end_turn()
    }

    fn hold_updater(&mut self, closure: &str) -> Result<Option<String>, String> {
        self.verbs.hold_updater(closure)
    }

    fn release_updater(&mut self) -> Result<String, String> {
        self.verbs.release_updater()
    }

    fn describe(&self, act: &Act) -> String {
        self.verbs.describe(act)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_waits_for_a_collection_that_stops_and_not_for_ever_for_one_that_hangs() {
        let stop = Stop::new();
        let mut rollback = Undisturbed {
            verbs: (),
            stop: Some(&stop),
            stopped: &|| stop.is_asked(),
            patience: TO_STOP,
        };
        rollback.wait();
        assert_eq!(rollback.patience, TO_STOP);
        rollback.stopped = &|| false;
        rollback.patience = Duration::from_millis(50);
        rollback.wait();
        // Its next verb does not wait once more.
        assert_eq!(rollback.patience, Duration::ZERO);
        rollback.wait();
    }
}
