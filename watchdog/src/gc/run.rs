//! Carrying a collection out: one rung, look again, and only then the next.
//!
//! Each round reads the host anew and plans anew, so that a kill at any point loses nothing but
//! the rest of the round, and whatever became alive meanwhile is not touched.

mod acts;
mod story;

use std::{collections::HashSet, ffi::OsString, time::Duration};

use snowguard_host::{FactError, store::FileSystem};

use super::{
    facts::{Facts, Scales},
    ladder::Victim,
    plan::{Plan, Reason, Refusal, plan},
    policy::{Policy, Space},
};
use crate::record::{Mode, Recorder};

/// What a collection sees and does. The host is one; tests have others.
pub trait Host {
    /// Reads everything that a plan is made from.
    ///
    /// # Errors
    /// What could not be read.
    fn facts(&mut self) -> Result<Facts, FactError>;
    /// Measures entries of the store directory.
    fn scales(&self) -> &dyn Scales;
    /// Asks for the file system alone.
    ///
    /// # Errors
    /// Why it did not answer.
    fn file_system(&mut self) -> Result<FileSystem, FactError>;
    /// Deletes entries of the store directory through Nix.
    ///
    /// # Errors
    /// What Nix said; some may be gone all the same.
    fn delete(&mut self, entries: &[OsString]) -> Result<(), FactError>;
    /// Gives up a generation.
    ///
    /// # Errors
    /// Why it is still there.
    fn remove_generation(&mut self, victim: &Victim) -> Result<(), FactError>;
    /// Drops the ballast.
    ///
    /// # Errors
    /// Why it could not be dropped.
    fn drop_ballast(&mut self) -> Result<(), FactError>;
    /// Time since the collection began.
    fn elapsed(&self) -> Duration;
    /// The time of day, milliseconds since the epoch.
    fn now_ms(&self) -> i64;
}

/// How a collection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The target is reached.
    Reached,
    /// Nothing was done, and why.
    Refused(Refusal),
    /// Observe mode: everything but the act.
    Observed,
    /// Something was freed, but not enough; why there was no more.
    Short(&'static str),
}

impl End {
    /// The word that metrics count by.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Refused(_) => "refused",
            Self::Observed => "observed",
            Self::Short(_) => "short",
        }
    }
}

/// What a collection promised and what it freed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub end: End,
    /// What the first plan promised.
    pub promised: Space,
    /// What `statvfs` shows, the ballast not counted.
    pub freed: Space,
    /// The first sentence of a failure.
    pub detail: String,
}

/// Below this the database of Nix may not be able to make its write-ahead log.
const HARD_FULL: Space = Space {
    bytes: 4 << 20,
    files: 16,
};
/// A plan is made anew at most so often in one collection.
const ROUNDS: usize = 12;

/// Runs one collection to its end.
pub fn collect(
    host: &mut dyn Host,
    policy: &Policy,
    incident: &str,
    recorder: &mut dyn Recorder,
) -> Report {
    let mut run = Run {
        host,
        policy,
        incident,
        recorder,
        promised: Space::NONE,
        batch: acts::BATCH,
        failures: 0,
        refused: HashSet::new(),
    };
    let (end, before, detail) = run.rounds();
    let after = run.host.file_system().ok();
    let freed = match (before, after) {
        (Some(before), Some(after)) => Space::free(&after).minus(before),
        _ => Space::NONE,
    };
    let report = Report {
        end,
        promised: run.promised,
        freed,
        detail,
    };
    run.conclude(&report);
    report
}

/// A file system that makes inodes as it needs them (btrfs) reports none, free or not.
fn is_hard_full(file_system: &FileSystem) -> bool {
    let mut free = Space::free(file_system);
    if file_system.files == 0 {
        free.files = HARD_FULL.files;
    }
    !free.covers(HARD_FULL)
}

struct Run<'a> {
    host: &'a mut dyn Host,
    policy: &'a Policy,
    incident: &'a str,
    recorder: &'a mut dyn Recorder,
    promised: Space,
    /// Entries to delete in the next call of Nix.
    batch: usize,
    /// Calls of Nix that failed in a row.
    failures: usize,
    /// What Nix did not give up in this collection.
    refused: HashSet<OsString>,
}

type Ended = (End, Option<Space>, String);

impl Run<'_> {
    fn rounds(&mut self) -> Ended {
        let mut before = None;
        for round in 0..ROUNDS {
            let facts = match self.host.facts() {
                Ok(facts) => facts,
                Err(error) if round == 0 => {
                    return self.refused(Refusal::blind(&error));
                }
                Err(error) => return (End::Short("blind"), before, error.to_string()),
            };
            let scales = acts::Unrefused {
                scales: self.host.scales(),
                refused: &self.refused,
            };
            let plan = match plan(&facts, self.policy, &scales) {
                Ok(plan) => plan,
                Err(refusal) if round == 0 => return self.refused(refusal),
                Err(refusal) if refusal.reason == Reason::NotNeeded => {
                    return (End::Reached, before, String::new());
                }
                Err(refusal) => return (End::Short(refusal.reason.name()), before, refusal.detail),
            };
            self.announce(&plan, round);
            if self.policy.mode != Mode::Act {
                self.would(&plan);
                return (End::Observed, None, String::new());
            }
            if round == 0 {
                self.promised = plan.promised;
                if is_hard_full(&facts.file_system) {
                    self.drop_ballast();
                }
                before = self.host.file_system().ok().map(|now| Space::free(&now));
            }
            let ended = if plan.dead.groups.is_empty() {
                self.give_up(&plan.victims)
            } else {
                self.delete_dead(&plan)
            };
            if let Some((why, detail)) = ended {
                return (End::Short(why), before, detail.to_owned());
            }
            match self.host.file_system() {
                Ok(now) if self.policy.need(&now) == Space::NONE => {
                    return (End::Reached, before, String::new());
                }
                Ok(_) => {}
                Err(error) => return (End::Short("blind"), before, error.to_string()),
            }
        }
        (
            End::Short("rounds"),
            before,
            format!("not reached in {ROUNDS} rounds"),
        )
    }

    fn refused(&mut self, refusal: Refusal) -> Ended {
        let detail = refusal.detail.clone();
        (End::Refused(refusal), None, detail)
    }
}

#[cfg(test)]
mod tests;
