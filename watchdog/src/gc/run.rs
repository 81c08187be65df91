//! Carrying a collection out: one rung, look again, and only then the next.
//!
//! Each round reads the host anew and plans anew, so that a kill at any point loses nothing but
//! the rest of the round, and whatever became alive meanwhile is not touched.

mod story;

use std::{ffi::OsString, time::Duration};

use serde_json::json;
use snowguard_host::{FactError, store::FileSystem};

use super::{
    facts::{Facts, Scales},
    ladder::Victim,
    plan::{Plan, Refusal, plan},
    policy::{Policy, Space},
};
use crate::record::{Mode, Recorder, Step};

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

/// Entries to delete in one call of Nix: enough that its start does not matter, few enough that
/// progress shows.
const BATCH: usize = 500;
/// Below this the database of Nix may not be able to make its write-ahead log.
const HARD_FULL: Space = Space {
    bytes: 4 << 20,
    files: 16,
};
/// A plan is made anew at most so often in one collection.
const ROUNDS: usize = 12;
/// So many calls of Nix in a row may fail.
const FAILURES: usize = 3;

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
        failures: 0,
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

struct Run<'a> {
    host: &'a mut dyn Host,
    policy: &'a Policy,
    incident: &'a str,
    recorder: &'a mut dyn Recorder,
    promised: Space,
    failures: usize,
}

type Ended = (End, Option<Space>, String);

impl Run<'_> {
    fn rounds(&mut self) -> Ended {
        let mut before = None;
        let mut last_free = None;
        for round in 0..ROUNDS {
            let facts = match self.host.facts() {
                Ok(facts) => facts,
                Err(error) if round == 0 => {
                    return self.refused(Refusal::blind(&error));
                }
                Err(error) => return (End::Short("blind"), before, error.to_string()),
            };
            let plan = match plan(&facts, self.policy, self.host.scales()) {
                Ok(plan) => plan,
                Err(refusal) if round == 0 => return self.refused(refusal),
                Err(refusal) if refusal.reason == super::plan::Reason::NotNeeded => {
                    return (End::Reached, before, String::new());
                }
                Err(refusal) => return (End::Short(refusal.reason.name()), before, refusal.detail),
            };
            self.announce(&plan, round);
            if self.policy.mode != Mode::Act {
                self.would(&plan);
                return (End::Observed, None, String::new());
            }
            let free = Space::free(&facts.file_system);
            if round == 0 {
                self.promised = plan.promised;
                if !free.covers(HARD_FULL) {
                    self.drop_ballast();
                }
                before = self.host.file_system().ok().map(|now| Space::free(&now));
            }
            let stalled = last_free.is_some_and(|last: Space| last.covers(free));
            if stalled && plan.victims.is_empty() {
                return (
                    End::Short("no_progress"),
                    before,
                    "a round freed nothing".to_owned(),
                );
            }
            last_free = Some(free);
            // Dead paths that Nix does not give up must not keep the next rung from being tried.
            let ended = if stalled || plan.dead.groups.is_empty() {
                self.give_up(&plan.victims)
            } else {
                self.delete_dead(&plan)
            };
            if let Some(why) = ended {
                return (why, before, "see the records of this incident".to_owned());
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

    fn delete_dead(&mut self, plan: &Plan) -> Option<End> {
        let mut batch: Vec<OsString> = Vec::new();
        let mut groups = plan.dead.groups.iter().peekable();
        while let Some(group) = groups.next() {
            batch.extend(group.iter().cloned());
            if batch.len() < BATCH && groups.peek().is_some() {
                continue;
            }
            if self.host.elapsed() >= self.policy.deadline {
                return Some(End::Short("deadline"));
            }
            let outcome = self.host.delete(&batch);
            let now = self.host.file_system().ok();
            let free = now.as_ref().map_or(Space::NONE, Space::free);
            match outcome {
                Ok(()) => {
                    self.failures = 0;
                    let message =
                        format!("deleted {} dead entries; {free} are free now", batch.len());
                    self.record(
                        Step::Act,
                        "delete_paths",
                        message,
                        json!({"entries": batch.len(), "free": free}),
                    );
                }
                Err(error) => {
                    self.failures += 1;
                    let facts = json!({"entries": batch.len(), "free": free});
                    self.record(Step::Failed, "delete_paths", error.to_string(), facts);
                    if self.failures >= FAILURES {
                        return Some(End::Short("nix_refused"));
                    }
                }
            }
            if now.is_some_and(|now| self.policy.need(&now) == Space::NONE) {
                return None;
            }
            batch.clear();
        }
        None
    }

    fn give_up(&mut self, victims: &[Victim]) -> Option<End> {
        let mut gone = 0;
        for victim in victims {
            match self.host.remove_generation(victim) {
                Ok(()) => {
                    gone += 1;
                    let message = format!(
                        "gave up generation {} of {:?}, which frees {}",
                        victim.id.number,
                        victim.profile,
                        crate::text::bytes(victim.frees.bytes)
                    );
                    self.record(Step::Act, "remove_generation", message, json!({
                        "generation": victim.id.number, "target": victim.id.target, "frees": victim.frees,
                    }));
                }
                Err(error) => {
                    self.record(
                        Step::Failed,
                        "remove_generation",
                        error.to_string(),
                        json!(null),
                    );
                }
            }
        }
        (gone == 0).then_some(End::Short("nothing_left"))
    }

    fn drop_ballast(&mut self) {
        match self.host.drop_ballast() {
            Ok(()) => {
                let message = "the disk is hard full: dropped the ballast so that Nix can work";
                self.record(Step::Act, "drop_ballast", message.to_owned(), json!(null));
            }
            Err(error) => self.record(Step::Failed, "drop_ballast", error.to_string(), json!(null)),
        }
    }

    fn refused(&mut self, refusal: Refusal) -> Ended {
        let detail = refusal.detail.clone();
        (End::Refused(refusal), None, detail)
    }
}
