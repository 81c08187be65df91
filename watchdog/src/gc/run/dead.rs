//! The first rung: dead paths, batch by batch, each followed by a look at what it brought.

use std::{collections::VecDeque, ffi::OsString, time::Duration};

use serde_json::json;
use snowguard_host::{FactError, STORE_DIR};

use super::{
    Deleted, Plan, Run,
    acts::{Ended, SEE_RECORDS},
};
use crate::{
    gc::{ladder::Group, policy::Space},
    record::Step,
};

/// Entries to delete in the first call of Nix.
pub(super) const BATCH: usize = 256;
/// Entries at most in one call, so that progress shows.
const LARGEST: usize = 8192;
/// A call that took less than this is followed by a larger one. Each has a price of its own: Nix
/// reads all roots, and where files are hard-linked looks at every link once more at its end
/// (`removeUnusedLinks`), before which their blocks are not free.
const SHORT: Duration = Duration::from_secs(2);
/// One that took longer is followed by a smaller one, so that progress shows.
const LONG: Duration = Duration::from_secs(15);
/// Fewer than these in a call would not show that it is slow by what it deletes.
const SMALLEST: usize = 64;
/// So many calls of Nix in a row may fail that had several groups to delete, or took long.
const FAILURES: usize = 3;
/// So many may that had a single one, which may be what nobody can delete: the price of a short call.
const LONE_FAILURES: usize = 16;

/// What the names of these take as arguments of a program: a path, the zero at its end, and a
/// pointer to it (`copy_strings` and `bprm_stack_limits` in the kernel's `fs/exec.c`).
fn length_of(group: &Group) -> usize {
    const EACH: usize = STORE_DIR.len() + 1 + 1 + size_of::<usize>();
    group.iter().map(|name| name.len() + EACH).sum()
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
        let mut groups: VecDeque<&Group> = plan.dead.groups.iter().collect();
        let room = self.host.room_for_names();
        let (mut count, mut length) = (0, 0);
        while let Some(group) = groups.pop_front() {
            batch.push(group);
            count += group.len();
            length += length_of(group);
            let fits = |next: &&Group| length + length_of(next) <= room;
            if count < self.batch && groups.front().is_some_and(fits) {
                continue;
            }
            (count, length) = (0, 0);
            let entries: Vec<OsString> = batch.iter().copied().flatten().cloned().collect();
            let over = self.is_over();
            if over.is_some() {
                return over;
            }
            let begun = self.host.elapsed();
            let outcome = self.delete_with_room(&entries, &mut free);
            let took = self.host.elapsed().saturating_sub(begun);
            let mut now = self.host.file_system().ok();
            if now.is_some_and(|now| free.covers(Space::free(&now))) {
                self.host.settle();
                now = self.host.file_system().ok();
            }
            let free_now = now.as_ref().map_or(Space::NONE, Space::free);
            gained |= !free.covers(free_now);
            free = free_now;
            self.tell_deleted(entries.len(), free, &outcome);
            let need = now.map(|now| self.policy.need(&now));
            self.tell_progress(need.unwrap_or(plan.need));
            match outcome {
                Ok(deleted) => {
                    (self.failures, self.lone_failures) = (0, 0);
                    self.is_in_doubt = false;
                    // What it keeps was to go after it: a plan from a new look leaves that out.
                    if !deleted.refused.is_empty() {
                        self.refused.extend(deleted.refused);
                        return None;
                    }
                }
                Err(_) => {
                    // A call that was ended says nothing of Nix, and is gone on with later.
                    if let Some(over) = self.is_over() {
                        return Some(over);
                    }
                    failed = true;
                    if batch.len() > 1 || took > LONG {
                        self.failures += 1;
                    } else {
                        self.lone_failures += 1;
                    }
                    if self.make_room_without_nix() {
                        return None;
                    }
                    if self.failures >= FAILURES || self.lone_failures >= LONE_FAILURES {
                        return Some(("nix_refused", SEE_RECORDS));
                    }
                    // Nix did not say what is in its way, if anything is. That shows when the
                    // groups are given to it once more, one by one.
                    self.batch = 1;
                    if batch.len() == 1 {
                        self.set_aside(entries);
                        self.only_set_aside = true;
                        return None;
                    }
                    batch
                        .drain(..)
                        .rev()
                        .for_each(|group| groups.push_front(group));
                }
            }
            if need == Some(Space::NONE) {
                return None;
            }
            batch.clear();
        }
        // Where deleting frees nothing, as under a snapshot, no generation is given up for it.
        (!gained && !failed).then_some(("no_progress", "a round freed nothing"))
    }

    /// Leaves out what Nix failed at while it was given nothing else. A daemon that was killed or a
    /// database that was busy fails any call, so it has a second chance once nothing else is left
    /// to delete; only after that it is as good as refused.
    fn set_aside(&mut self, entries: Vec<OsString>) {
        if entries.iter().any(|entry| self.had_again.contains(entry)) {
            self.refused.extend(entries);
        } else {
            self.is_in_doubt = true;
            self.aside.extend(entries);
        }
    }

    /// Gives what was set aside its second chance. Whether there was any.
    pub(super) fn take_up_aside(&mut self) -> bool {
        let is_any = !self.aside.is_empty();
        self.had_again.extend(self.aside.drain());
        is_any
    }

    /// One call of Nix. If it fails on a disk that is hard full, a slice of the ballast may be
    /// what it lacked; what that frees is no gain.
    fn delete_with_room(
        &mut self,
        entries: &[OsString],
        free: &mut Space,
    ) -> Result<Deleted, FactError> {
        loop {
            let begun = self.host.elapsed();
            let outcome = self.host.delete(entries);
            match &outcome {
                Ok(deleted) => {
                    let gone = entries.len() - deleted.refused.len() - deleted.left;
                    self.progress.deleted_paths += gone as u64;
                    let took = self.host.elapsed().saturating_sub(begun);
                    if took < SHORT || self.batch < SMALLEST {
                        self.batch = self.batch.saturating_mul(2).min(LARGEST);
                    } else if took > LONG {
                        self.batch = (self.batch / 2).max(SMALLEST);
                    }
                }
                Err(_) if self.host.is_asked_to_stop() => {}
                Err(_) if self.lacks_room() => {
                    let given = self.drop_slice().or_else(|| self.drop_reserve());
                    if let Some(given) = given {
                        *free = free.plus(given);
                        continue;
                    }
                }
                Err(_) => {}
            }
            return outcome;
        }
    }

    fn tell_deleted(&mut self, entries: usize, free: Space, outcome: &Result<Deleted, FactError>) {
        let facts = json!({"entries": entries, "free": free});
        let (step, message) = match outcome {
            Ok(deleted) if deleted.refused.is_empty() => {
                let message = format!("deleted {entries} dead entries; {free} are free now");
                (Step::Act, message)
            }
            Ok(deleted) => {
                let gone = entries - deleted.refused.len() - deleted.left;
                let untried = match deleted.left {
                    0 => String::new(),
                    left => format!(", and {left} for which it was not asked again"),
                };
                let message = format!(
                    "deleted {gone} dead entries, and left {} that Nix holds alive, such as \
                     {:?}{untried}; {free} are free now",
                    deleted.refused.len(),
                    deleted.refused[0]
                );
                (Step::Act, message)
            }
            Err(error) => (Step::Failed, error.to_string()),
        };
        self.record(step, "delete_paths", message, facts);
        if let Ok(Deleted {
            note: Some(note), ..
        }) = outcome
        {
            self.record(Step::State, "no_daemon", note.clone(), json!(null));
        }
    }
}
