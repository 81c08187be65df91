//! A clock that is set back or put forward, and what of the machine goes with it.

use super::Machine;
use crate::rollback::{
    soak::{Elapsed, Soak},
    state::State,
};

/// When this watchdog looked last, milliseconds since the epoch. By this, it sees that the clock was
/// set back; two machines do not differ by it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Looked(pub(super) Option<i64>);

impl PartialEq for Looked {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Machine {
    /// The machine with nothing that began in the future: after a clock was set back, what happens
    /// next must not seem to have happened before the trial, nor what failed before it to be its
    /// own. All of it is as old as it was, like the alerts, as far as the last look is known.
    #[must_use]
    pub(in crate::rollback) fn not_after(mut self, now_ms: i64) -> Self {
        let back_ms = self.looked.0.map_or(0, |last| last.saturating_sub(now_ms));
        let earlier = |at: i64| at.saturating_sub(back_ms.max(0)).min(now_ms);
        self.looked = Looked(Some(now_ms));
        self.saw = Looked(self.saw.0.map(earlier));
        self.move_times(earlier);
        for (probe, at) in &mut self.failing {
            let long = self.failing_long.as_ref();
            *at = match earlier(*at) {
                // How long is forgotten, that it is long is not.
                since if since == now_ms && long.is_some_and(|l| l.contains(probe)) => 0,
                since => since,
            };
        }
        self
    }

    /// The machine after the clock was put forward by so much: nothing of it is older for that, or time
    /// that did not pass would end the grace of a probe that has hardly begun.
    #[must_use]
    pub fn later_by(mut self, forward_ms: i64) -> Self {
        let later = |at: i64| at.saturating_add(forward_ms);
        self.looked = Looked(self.looked.0.map(later));
        self.saw = Looked(self.saw.0.map(later));
        let soaks = |soak: &mut Option<Soak>| *soak = soak.map(|soak| soak.later_by(forward_ms));
        let lasts = |time: &mut Elapsed| *time = time.later_by(forward_ms);
        match &mut self.state {
            State::Trial(trial) => {
                soaks(&mut trial.soak);
                lasts(&mut trial.waited);
            }
            State::Adopting { soak, .. } => soaks(soak),
            State::Condemned { waited, well, .. } => {
                lasts(waited);
                soaks(well);
            }
            State::RollingBack { elapsed, .. } => lasts(elapsed),
            State::Verifying { elapsed, soak, .. } => {
                lasts(elapsed);
                soaks(soak);
            }
            State::Unknown {} | State::Settled { .. } => {}
            State::Observed { .. } | State::Failed { .. } => {}
        }
        self.move_times(later);
        // Of what has failed for longer than anybody knows, 0 stands.
        let known = self.failing.values_mut().filter(|at| **at > 0);
        known.for_each(|at| *at = later(*at));
        self
    }

    /// Moves every time of day that something is compared with. The beginning of a deploy that is being
    /// undone is the name of its incident, and stays.
    fn move_times(&mut self, moved: impl Fn(i64) -> i64) {
        let before = match &mut self.state {
            State::Trial(trial) => {
                trial.since_ms = moved(trial.since_ms);
                trial.started_ms = trial.started_ms.map(&moved);
                Some(&mut trial.before)
            }
            State::Condemned { bad, .. } => {
                bad.since_ms = moved(bad.since_ms);
                Some(&mut bad.before)
            }
            State::Verifying { bad, since_ms, .. } => {
                *since_ms = since_ms.map(&moved);
                Some(&mut bad.before)
            }
            State::RollingBack { bad, .. } | State::Observed { bad, .. } => Some(&mut bad.before),
            State::Unknown {} | State::Adopting { .. } => None,
            State::Settled { .. } | State::Failed { .. } => None,
        };
        if let Some(before) = before {
            before.armed_since_ms = moved(before.armed_since_ms);
        }
        if let Some(seen) = &mut self.seen {
            seen.since_ms = moved(seen.since_ms);
        }
    }
}
