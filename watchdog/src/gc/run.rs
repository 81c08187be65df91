//! Carrying a collection out: one rung, look again, and only then the next.
//!
//! Each round reads the host anew and plans anew, so that a kill at any point loses nothing but
//! the rest of the round, and whatever became alive meanwhile is not touched.

mod acts;
mod dead;
mod left_overs;
mod others;
mod progress;
mod story;

use std::{collections::HashSet, ffi::OsString, path::PathBuf, time::Duration};

use snowguard_host::{FactError, LeftOver, store::FileSystem};

use super::{
    facts::{Facts, Scales},
    ladder::{StaleRoot, Victim},
    plan::{Plan, Reason, Refusal, plan},
    policy::{Policy, Space},
};
use crate::{
    act::delete_paths::Deleted,
    record::{Mode, Recorder},
};

pub use progress::Progress;

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
    /// Asks for the file system that Nix keeps its database on. It may be another one.
    ///
    /// # Errors
    /// Why it did not answer.
    fn state_file_system(&mut self) -> Result<FileSystem, FactError>;
    /// Deletes entries of the store directory through Nix.
    ///
    /// # Errors
    /// What Nix said; some may be gone all the same.
    fn delete(&mut self, entries: &[OsString]) -> Result<Deleted, FactError>;
    /// Lets the file system show what was freed, where it does so with a delay (btrfs frees with
    /// its next commit).
    fn settle(&mut self);
    /// Removes what a build left, if it still is what was found.
    ///
    /// # Errors
    /// Why it is there still, or a part of it.
    fn remove_left_over(&mut self, left: &LeftOver) -> Result<(), FactError>;
    /// Gives up an automatic root.
    ///
    /// # Errors
    /// Why it is there still.
    fn remove_root(&mut self, root: &StaleRoot) -> Result<(), FactError>;
    /// Gives up a generation.
    ///
    /// # Errors
    /// Why it is still there.
    fn remove_generation(&mut self, victim: &Victim) -> Result<(), FactError>;
    /// Writes the boot loader's menu anew, from the generations that are left. What was done, in
    /// a sentence; `None` where there is no menu to write.
    ///
    /// # Errors
    /// Why the menu is as it was.
    fn rewrite_boot_menu(&mut self, incident: &str) -> Result<Option<String>, FactError>;
    /// Drops a slice of the ballast; false if there is none left.
    ///
    /// # Errors
    /// Why it could not be dropped.
    fn drop_ballast(&mut self) -> Result<bool, FactError>;
    /// Who else collects garbage of this store now, as a sentence begins.
    ///
    /// # Errors
    /// What could not be read.
    fn other_collector(&mut self) -> Result<Option<String>, FactError>;
    /// Who holds the database of Nix for writing now, as a sentence begins.
    ///
    /// # Errors
    /// What could not be read.
    fn database_writer(&mut self) -> Result<Option<String>, FactError>;
    /// Lets time pass, or less of it if the end is asked for.
    fn pause(&mut self, span: Duration);
    /// Whether the end is asked for.
    fn is_asked_to_stop(&self) -> bool;
    /// Takes note of how far the collection is.
    fn report(&mut self, progress: Progress);
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
    Run::new(host, policy, incident, recorder).run_to_the_end()
}

/// Goes on with a collection that a kill cut short, under its name. It may have come between the
/// end of a generation and the menu that still named it.
pub fn resume(
    host: &mut dyn Host,
    policy: &Policy,
    incident: &str,
    recorder: &mut dyn Recorder,
) -> Report {
    let mut run = Run::new(host, policy, incident, recorder);
    run.menu_is_old = policy.mode == Mode::Act;
    run.rewrite_boot_menu();
    run.run_to_the_end()
}

struct Run<'a> {
    host: &'a mut dyn Host,
    policy: &'a Policy,
    incident: &'a str,
    recorder: &'a mut dyn Recorder,
    promised: Space,
    /// What was free at first, with what the ballast gave.
    before: Option<Space>,
    progress: Progress,
    /// Entries to delete in the next call of Nix.
    batch: usize,
    /// Calls of Nix that failed in a row.
    failures: usize,
    /// What Nix did not give up in this collection.
    refused: HashSet<OsString>,
    /// What builds left and what could not be removed in this collection.
    stuck: HashSet<PathBuf>,
    /// A system generation is gone that the boot loader's menu may still name.
    menu_is_old: bool,
}

type Ended = (End, String);

impl<'a> Run<'a> {
    fn new(
        host: &'a mut dyn Host,
        policy: &'a Policy,
        incident: &'a str,
        recorder: &'a mut dyn Recorder,
    ) -> Self {
        Self {
            host,
            policy,
            incident,
            recorder,
            promised: Space::NONE,
            before: None,
            progress: Progress::default(),
            batch: dead::BATCH,
            failures: 0,
            refused: HashSet::new(),
            stuck: HashSet::new(),
            menu_is_old: false,
        }
    }

    fn run_to_the_end(mut self) -> Report {
        let (mut end, mut detail) = self.rounds();
        // A switch of somebody else may have been in the way of the first try.
        self.rewrite_boot_menu();
        let after = self.host.file_system();
        let freed = match (self.before, &after) {
            (Some(before), Ok(after)) => Space::free(after).minus(before),
            _ => Space::NONE,
        };
        if let (End::Reached, Ok(now)) = (&end, &after)
            && self.policy.need(now) != Space::NONE
        {
            end = End::Short("filled_again");
            detail = "the target was reached, and somebody has filled the disk since".to_owned();
        }
        let report = Report {
            end,
            promised: self.promised,
            freed,
            detail,
        };
        self.conclude(&report, after);
        report
    }

    fn rounds(&mut self) -> Ended {
        for round in 0..ROUNDS {
            if self.policy.mode == Mode::Act
                && let Err(refusal) = self.wait_for_others()
            {
                return self.ended_by(refusal, round);
            }
            let facts = match self.host.facts() {
                Ok(facts) => facts,
                Err(error) => return self.ended_by(Refusal::blind(&error), round),
            };
            let scales = dead::Unrefused {
                scales: self.host.scales(),
                refused: &self.refused,
                stuck: &self.stuck,
            };
            let plan = match plan(&facts, self.policy, &scales) {
                Ok(plan) => plan,
                Err(refusal) if round > 0 && refusal.reason == Reason::NotNeeded => {
                    return (End::Reached, String::new());
                }
                Err(refusal) => return self.ended_by(refusal, round),
            };
            self.announce(&plan, round);
            if self.policy.mode != Mode::Act {
                self.would(&plan);
                return (End::Observed, String::new());
            }
            if round == 0 {
                self.promised = plan.promised;
                self.make_room();
                self.before = self.host.file_system().ok().map(|now| Space::free(&now));
            }
            self.tell_progress(plan.need);
            let ended = if !plan.dead.groups.is_empty() {
                self.delete_dead(&plan)
            } else if !plan.left_overs.chosen.is_empty() {
                self.remove_left_overs(&plan)
            } else if !plan.victims.is_empty() {
                self.give_up(&plan.victims)
            } else {
                self.give_up_roots(&plan.roots)
            };
            if let Some((why, detail)) = ended {
                return (End::Short(why), detail.to_owned());
            }
            match self.host.file_system() {
                Ok(now) if self.policy.need(&now) == Space::NONE => {
                    return (End::Reached, String::new());
                }
                Ok(_) => {}
                Err(error) => return self.ended_by(Refusal::blind(&error), round + 1),
            }
        }
        (
            End::Short("rounds"),
            format!("not reached in {ROUNDS} rounds"),
        )
    }

    /// Before anything was done it is a refusal, after that an end before the target.
    fn ended_by(&self, refusal: Refusal, round: usize) -> Ended {
        let detail = refusal.detail.clone();
        if round == 0 {
            (End::Refused(refusal), detail)
        } else {
            (End::Short(refusal.reason.name()), detail)
        }
    }
}

#[cfg(test)]
mod tests;
