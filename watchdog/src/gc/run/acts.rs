//! The acts of a collection, each followed by a look at what it brought.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    time::SystemTime,
};

use serde_json::json;
use snowguard_host::{FactError, Kind, STORE_DIR, store::Footprint};

use super::{Plan, Run};
use crate::{
    gc::{
        facts::Scales,
        ladder::{Group, Victim},
        policy::Space,
    },
    record::Step,
};

/// Entries to delete in one call of Nix: enough that its start does not matter, few enough that
/// progress shows.
pub(super) const BATCH: usize = 500;
/// So many calls of Nix in a row may fail.
const FAILURES: usize = 3;

/// Why there is no further round: the word for it, and a sentence.
type Ended = (&'static str, &'static str);
const SEE_RECORDS: &str = "see the records of this incident";

/// Scales on which nothing can be weighed that Nix did not give up: it is then neither chosen nor
/// promised, and neither is what it keeps.
pub(super) struct Unrefused<'a> {
    pub(super) scales: &'a dyn Scales,
    pub(super) refused: &'a HashSet<OsString>,
}

impl Scales for Unrefused<'_> {
    fn weigh(&self, name: &OsStr) -> Result<Footprint, FactError> {
        if self.refused.contains(name) {
            let path = std::path::Path::new(STORE_DIR).join(name);
            let cause = "Nix did not give it up a moment ago";
            return Err(FactError::new(Kind::Busy, "delete", path, cause, ""));
        }
        self.scales.weigh(name)
    }

    fn arrived(&self, name: &OsStr) -> Result<Option<SystemTime>, FactError> {
        self.scales.arrived(name)
    }
}

impl Run<'_> {
    /// Deletes the dead, batch by batch, until the target is reached.
    pub(super) fn delete_dead(&mut self, plan: &Plan) -> Option<Ended> {
        let before = self.host.file_system();
        let mut free = before.as_ref().map_or(Space::NONE, Space::free);
        // What weighs nothing brings nothing, and not every file system counts inodes.
        let counts_inodes = before.is_ok_and(|file_system| file_system.files > 0);
        let frees = plan.dead.frees;
        let mut gained = frees.bytes == 0 && !(counts_inodes && frees.files > 0);
        let mut failed = false;
        let mut batch: Vec<&Group> = Vec::new();
        let mut groups = plan.dead.groups.iter().peekable();
        while let Some(group) = groups.next() {
            batch.push(group);
            let entries: Vec<OsString> = batch.iter().copied().flatten().cloned().collect();
            if entries.len() < self.batch && groups.peek().is_some() {
                continue;
            }
            if self.host.elapsed() >= self.policy.deadline {
                return Some(("deadline", SEE_RECORDS));
            }
            let outcome = self.host.delete(&entries);
            let now = self.host.file_system().ok();
            let free_now = now.as_ref().map_or(Space::NONE, Space::free);
            gained |= !free.covers(free_now);
            free = free_now;
            self.tell_deleted(entries.len(), free, &outcome);
            if outcome.is_ok() {
                self.failures = 0;
                self.batch = self.batch.saturating_mul(2).min(BATCH);
            } else {
                failed = true;
                self.failures += 1;
                // Nix stops at the first path that is alive. Which one that is shows when the
                // groups are given to it one by one.
                self.batch = 1;
                if batch.len() == 1 {
                    self.refused.extend(entries);
                }
                if self.failures >= FAILURES {
                    return Some(("nix_refused", SEE_RECORDS));
                }
            }
            if now.is_some_and(|now| self.policy.need(&now) == Space::NONE) {
                return None;
            }
            batch.clear();
        }
        // Where deleting frees nothing, as under a snapshot, no generation is given up for it.
        (!gained && !failed).then_some(("no_progress", "a round freed nothing"))
    }

    fn tell_deleted(&mut self, entries: usize, free: Space, outcome: &Result<(), FactError>) {
        let facts = json!({"entries": entries, "free": free});
        let (step, message) = match outcome {
            Ok(()) => {
                let message = format!("deleted {entries} dead entries; {free} are free now");
                (Step::Act, message)
            }
            Err(error) => (Step::Failed, error.to_string()),
        };
        self.record(step, "delete_paths", message, facts);
    }

    /// Gives generations up, while there is time to delete what they kept.
    pub(super) fn give_up(&mut self, victims: &[Victim]) -> Option<Ended> {
        let mut gone = 0;
        for victim in victims {
            if self.host.elapsed() >= self.policy.deadline {
                return Some(("deadline", SEE_RECORDS));
            }
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
                Err(error) => self.record(
                    Step::Failed,
                    "remove_generation",
                    error.to_string(),
                    json!(null),
                ),
            }
        }
        (gone == 0).then_some(("nothing_left", SEE_RECORDS))
    }

    pub(super) fn drop_ballast(&mut self) {
        match self.host.drop_ballast() {
            Ok(()) => {
                let message = "the disk is hard full: dropped the ballast so that Nix can work";
                self.record(Step::Act, "drop_ballast", message.to_owned(), json!(null));
            }
            Err(error) => self.record(Step::Failed, "drop_ballast", error.to_string(), json!(null)),
        }
    }
}
