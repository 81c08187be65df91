//! The hold of the updater: from the beginning of a rollback until another closure is found good
//! or somebody releases it. It belongs to the machine and not to one of its states: neither the
//! end of a rollback nor a latch ends it.

use super::Machine;
use crate::{
    record::Step,
    rollback::{
        decision::Decision,
        facts::GenerationId,
        state::{Bad, Updater},
    },
};

impl Machine {
    /// Whether the updater is held.
    pub fn updater(&self) -> &Updater {
        &self.updater
    }

    /// The machine when nobody tends it any more: the updater is held no longer.
    #[must_use]
    pub fn let_go(mut self) -> Self {
        self.release_updater();
        self
    }

    /// Holds the updater: it would bring the condemned closure again.
    pub(super) fn hold_updater(&mut self, bad: &Bad, target: &GenerationId, now: i64) {
        self.updater = Updater::Held {
            closure: bad.deploy.store_path.clone(),
            target: target.store_path.clone(),
            since_ms: now,
            incident: bad.incident(),
            failing: None,
        };
    }

    /// A closure was found good on its trial. What was gone back to is no news: the updater would
    /// still bring the one that was condemned.
    pub(super) fn let_updater_go(&mut self, good: &str) {
        if matches!(&self.updater, Updater::Held { target, .. } if target != good) {
            self.release_updater();
        }
    }

    pub(super) fn release_updater(&mut self) {
        if let Updater::Held {
            closure, incident, ..
        } = &self.updater
        {
            self.updater = Updater::Lifting {
                closure: closure.clone(),
                incident: incident.clone(),
                failing: None,
            };
        }
    }

    /// The hold was applied, as it is at each look; the outcome says what that changed.
    pub(super) fn updater_held(
        &mut self,
        outcome: Result<Option<&str>, &str>,
        out: &mut Vec<Decision>,
    ) {
        let Updater::Held {
            closure,
            incident,
            failing,
            ..
        } = &mut self.updater
        else {
            return;
        };
        match outcome {
            Ok(None) => *failing = None,
            Ok(Some(done)) => {
                *failing = None;
                let message =
                    format!("the updater is held, for it would bring {closure:?}: {done}");
                out.push(Decision::of_updater(
                    incident,
                    closure,
                    Step::Act,
                    "updater_held",
                    message,
                ));
            }
            Err(why) if failing.as_deref() != Some(why) => {
                *failing = Some(why.to_owned());
                let reason = "updater_not_held";
                let message = format!("the updater is not held: {why}");
                out.push(Decision::of_updater(
                    incident,
                    closure,
                    Step::Refused,
                    reason,
                    message,
                ));
            }
            Err(_) => {}
        }
    }

    /// The hold was to be lifted. What cannot be lifted is tried again at the next look.
    pub(super) fn updater_released(
        &mut self,
        outcome: Result<&str, &str>,
        out: &mut Vec<Decision>,
    ) {
        let Updater::Lifting {
            closure,
            incident,
            failing,
        } = &mut self.updater
        else {
            return;
        };
        match outcome {
            Ok(done) => {
                let message = format!("the updater is held no more: {done}");
                out.push(Decision::of_updater(
                    incident,
                    closure,
                    Step::Act,
                    "updater_released",
                    message,
                ));
                self.updater = Updater::Free {};
            }
            Err(why) if failing.as_deref() != Some(why) => {
                *failing = Some(why.to_owned());
                let reason = "updater_not_released";
                let message = format!("the updater is held still: {why}");
                out.push(Decision::of_updater(
                    incident,
                    closure,
                    Step::Refused,
                    reason,
                    message,
                ));
            }
            Err(_) => {}
        }
    }
}
