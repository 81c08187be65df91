//! Carrying a collection out: one rung, look again, and only then the next.
//!
//! Each round reads the host anew and plans anew, so that a kill at any point loses nothing but
//! the rest of the round, and whatever became alive meanwhile is not touched.

mod acts;
mod boot_menu;
mod dead;
mod host;
mod left_overs;
mod others;
mod progress;
mod story;
mod within;

use std::{cell::Cell, collections::HashSet, ffi::OsString, path::PathBuf};

use self::{
    acts::{NO_ROOM, SEE_RECORDS},
    within::Within,
};
use super::{
    plan::{Plan, Reason, Refusal, plan},
    policy::{Policy, Space},
};
use crate::{
    act::delete_paths::Deleted,
    record::{Mode, Recorder},
};

pub use host::Host;
pub use progress::Progress;
pub use within::Agreed;

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

/// A plan is made anew at most so often in one collection.
const ROUNDS: usize = 12;
/// And so often beyond that because of single paths that Nix failed at.
const MORE_ROUNDS: usize = 64;

/// Runs one collection to its end.
pub fn collect(
    host: &mut dyn Host,
    policy: &Policy,
    incident: &str,
    recorder: &mut dyn Recorder,
) -> Report {
    Run::new(host, policy, incident, recorder).run_to_the_end()
}

/// The same, but nothing dearer is given up than what somebody has agreed to: beyond dead paths
/// only the steps of the plan that was shown.
pub fn collect_agreed(
    host: &mut dyn Host,
    policy: &Policy,
    incident: &str,
    recorder: &mut dyn Recorder,
    agreed: &Agreed,
) -> Report {
    let mut run = Run::new(host, policy, incident, recorder);
    run.agreed = Some(agreed);
    run.run_to_the_end()
}

/// Waits until nobody else is in the way of a collection, as [`collect`] does before each round.
///
/// # Errors
/// Who is still in the way.
pub fn wait_for_others(
    host: &mut dyn Host,
    policy: &Policy,
    incident: &str,
    recorder: &mut dyn Recorder,
) -> Result<(), Refusal> {
    Run::new(host, policy, incident, recorder).wait_for_others()
}

/// Writes the boot menu that an earlier collection left old, and does nothing else. Whether it is
/// as it should be.
pub fn mend_boot_menu(
    host: &mut dyn Host,
    policy: &Policy,
    incident: &str,
    recorder: &mut dyn Recorder,
) -> bool {
    let mut run = Run::new(host, policy, incident, recorder);
    match run.take_up_boot_menu() {
        Ok(()) => run.old_menu.is_empty(),
        Err(refusal) => {
            run.refuse(&refusal);
            false
        }
    }
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
    /// Calls of Nix that failed in a row, with several groups to delete, or after long.
    failures: usize,
    /// The same with a single one.
    lone_failures: usize,
    /// The round did nothing but set something aside.
    only_set_aside: bool,
    /// What Nix did not give up in this collection.
    refused: HashSet<OsString>,
    /// What a call failed at that was for nothing else: left out until nothing else is left.
    aside: HashSet<OsString>,
    /// What was taken up again after that.
    had_again: HashSet<OsString>,
    /// Whether Nix works at all is in doubt: it failed at something new, and did nothing since.
    is_in_doubt: bool,
    /// What could not be removed or given up in this collection: what builds left, links of
    /// generations and of whole profiles, automatic roots.
    stuck: HashSet<PathBuf>,
    /// Why the first generation or root of them could not be given up.
    not_given_up: Option<String>,
    /// Systems whose generations are gone and that the boot loader's menu may still name.
    old_menu: Vec<PathBuf>,
    /// Why it could not be written in this collection.
    menu_failed: Option<String>,
    /// Another switch was in the way.
    menu_is_held: bool,
    menu_was_tried_again: bool,
    /// The reserve of Nix was, and so was what needs no Nix to go.
    reserve_was_dropped: bool,
    room_was_made: bool,
    /// All that may be given up, if somebody was asked.
    agreed: Option<&'a Agreed>,
    /// The last plan left something out for that.
    is_withheld: bool,
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
            lone_failures: 0,
            only_set_aside: false,
            refused: HashSet::new(),
            aside: HashSet::new(),
            had_again: HashSet::new(),
            is_in_doubt: false,
            stuck: HashSet::new(),
            not_given_up: None,
            old_menu: Vec::new(),
            menu_failed: None,
            menu_is_held: false,
            menu_was_tried_again: false,
            reserve_was_dropped: false,
            room_was_made: false,
            agreed: None,
            is_withheld: false,
        }
    }

    fn run_to_the_end(mut self) -> Report {
        let (mut end, mut detail) = match self.take_up_boot_menu() {
            Ok(()) => self.rounds(),
            Err(refusal) => self.ended_by(refusal, 0),
        };
        let after = self.host.file_system();
        let freed = match (self.before, &after) {
            (Some(before), Ok(after)) => Space::free(after).minus(before),
            _ => Space::NONE,
        };
        if let (End::Reached, Ok(now)) = (&end, &after)
            && !self.policy.is_reached(now)
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
        let mut spent = 0;
        for round in 0..ROUNDS + MORE_ROUNDS {
            spent += usize::from(!std::mem::take(&mut self.only_set_aside));
            if spent > ROUNDS {
                break;
            }
            if self.policy.mode == Mode::Act
                && let Err(refusal) = self.wait_for_others()
            {
                return self.ended_by(refusal, round);
            }
            let plan = match self.plan() {
                // No way back goes for what a failed call left.
                Ok(plan) if plan.dead.groups.is_empty() && self.take_up_aside() => continue,
                Ok(plan) => plan,
                Err(refusal) if round > 0 && refusal.reason == Reason::NotNeeded => {
                    return (End::Reached, String::new());
                }
                Err(refusal) if refusal.reason == Reason::CannotHelp && self.take_up_aside() => {
                    continue;
                }
                Err(refusal)
                    if refusal.reason == Reason::BootMenu && self.try_menu_again(round) =>
                {
                    continue;
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
            // The ballast may have been enough; nothing dear is given up then.
            if plan.dead.groups.is_empty() {
                match self.host.file_system() {
                    Ok(now) if self.policy.is_reached(&now) => {
                        return (End::Reached, String::new());
                    }
                    Ok(_) => {}
                    Err(error) => return self.ended_by(Refusal::blind(&error), round + 1),
                }
            }
            let ended = if !plan.dead.groups.is_empty() {
                self.delete_dead(&plan)
            } else if !plan.left_overs.chosen.is_empty() {
                self.remove_left_overs(&plan.left_overs, plan.need)
            } else if self.is_in_doubt {
                Some(("nix_refused", SEE_RECORDS))
            } else if !plan.victims.is_empty() {
                self.give_up(&plan.victims)
            } else {
                self.give_up_roots(&plan.roots)
            };
            if let Some((why, detail)) = ended {
                let is_no_room = why == "nix_refused" && self.lacks_room();
                let detail = if is_no_room { NO_ROOM } else { detail };
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

    /// Reads the host and plans for it, within what is known and agreed to by now.
    fn plan(&mut self) -> Result<Plan, Refusal> {
        let mut facts = (self.host.facts()).map_err(|error| Refusal::blind(&error))?;
        facts.named_by_menu.clone_from(&self.old_menu);
        if self.menu_failed.is_some() {
            facts.boot_menu_stays.clone_from(&self.menu_failed);
        }
        let scales = self.within();
        let outcome = plan(&facts, self.policy, &scales);
        let is_withheld = scales.is_withheld.get();
        self.is_withheld = is_withheld;
        outcome
    }

    fn within(&self) -> Within<'_> {
        Within {
            scales: self.host.scales(),
            refused: [&self.refused, &self.aside],
            stuck: &self.stuck,
            agreed: self.agreed,
            is_withheld: Cell::new(false),
        }
    }

    /// Before anything was done it is a refusal, after that an end before the target.
    fn ended_by(&mut self, refusal: Refusal, round: usize) -> Ended {
        let detail = refusal.detail.clone();
        if round == 0 {
            return (End::Refused(refusal), detail);
        }
        // Only who waits for others looks for it before it refuses.
        let was_waiting = matches!(refusal.reason, Reason::Collecting | Reason::DatabaseBusy);
        if was_waiting && self.host.is_asked_to_stop() {
            return (End::Short("stopped"), detail);
        }
        // What Nix failed at is left out of the plan: that nothing else would help is not the reason.
        if refusal.reason == Reason::CannotHelp && self.is_in_doubt {
            let see = if self.lacks_room() {
                NO_ROOM
            } else {
                SEE_RECORDS
            };
            return (End::Short("nix_refused"), format!("{see}; {detail}"));
        }
        let detail = match &self.not_given_up {
            Some(error) => format!("{error}; {detail}"),
            None => detail,
        };
        match (refusal.reason, &self.not_given_up) {
            (Reason::CannotHelp, _) if self.is_withheld => {
                let detail = format!(
                    "what more could be given up was not in the plan that was shown; run it again \
                     to see it; {detail}"
                );
                (End::Short("not_shown"), detail)
            }
            (Reason::CannotHelp, Some(_)) => (End::Short("nothing_left"), detail),
            (reason, _) => (End::Short(reason.name()), detail),
        }
    }
}

#[cfg(test)]
mod tests;
