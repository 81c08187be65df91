//! The other acts of a collection: room for Nix to work, generations, and the boot menu.

use std::path::Path;

use serde_json::json;

use super::{HARD_FULL, Run, Space};
use crate::{
    gc::ladder::{StaleRoot, Victim},
    record::Step,
};

/// Why there is no further round: the word for it, and a sentence.
pub(super) type Ended = (&'static str, &'static str);
pub(super) const SEE_RECORDS: &str = "see the records of this incident";

/// Only these are in the boot loader's menu.
fn is_of_the_system(profile: &Path) -> bool {
    profile == Path::new("system") || profile.starts_with("system-profiles")
}

impl Run<'_> {
    /// Gives generations up, while there is time to delete what they kept.
    pub(super) fn give_up(&mut self, victims: &[Victim]) -> Option<Ended> {
        let mut gone = 0;
        for victim in victims {
            if self.host.is_asked_to_stop() || self.host.elapsed() >= self.policy.deadline {
                break;
            }
            match self.host.remove_generation(victim) {
                Ok(()) => {
                    gone += 1;
                    self.menu_is_old |= is_of_the_system(&victim.profile);
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
        // Before anything is deleted that the menu still names.
        self.rewrite_boot_menu();
        if self.host.is_asked_to_stop() {
            return Some(("stopped", "the end was asked for"));
        }
        if self.host.elapsed() >= self.policy.deadline {
            return Some(("deadline", SEE_RECORDS));
        }
        (gone == 0).then_some(("nothing_left", SEE_RECORDS))
    }

    /// Gives automatic roots up, while there is time to delete what they kept.
    pub(super) fn give_up_roots(&mut self, roots: &[StaleRoot]) -> Option<Ended> {
        let mut gone = 0;
        for root in roots {
            if self.host.is_asked_to_stop() {
                return Some(("stopped", "the end was asked for"));
            }
            if self.host.elapsed() >= self.policy.deadline {
                return Some(("deadline", SEE_RECORDS));
            }
            match self.host.remove_root(root) {
                Ok(()) => {
                    gone += 1;
                    let message = format!(
                        "gave up the root {:?} of {:?}, which frees {}; the link itself stays",
                        root.auto,
                        root.link,
                        crate::text::bytes(root.frees.bytes)
                    );
                    self.record(
                        Step::Act,
                        "remove_root",
                        message,
                        json!({"root": root.auto, "link": root.link, "frees": root.frees}),
                    );
                }
                Err(error) => {
                    let reason = "remove_root";
                    self.record(Step::Failed, reason, error.to_string(), json!(null));
                }
            }
        }
        (gone == 0).then_some(("nothing_left", SEE_RECORDS))
    }

    /// Writes the boot loader's menu anew if a generation that it may name is gone. A failure is
    /// told and changes nothing else: the menu's newest entries are those that stay.
    pub(super) fn rewrite_boot_menu(&mut self) {
        if !self.menu_is_old {
            return;
        }
        match self.host.rewrite_boot_menu(self.incident) {
            Ok(done) => {
                self.menu_is_old = false;
                if let Some(message) = done {
                    self.record(Step::Act, "rewrite_boot_menu", message, json!(null));
                }
            }
            Err(error) => self.record(
                Step::Failed,
                "rewrite_boot_menu",
                error.to_string(),
                json!(null),
            ),
        }
    }

    /// Whether Nix may lack the room to open its database.
    pub(super) fn is_hard_full(&mut self) -> bool {
        let here = self.host.file_system();
        let state = self.host.state_file_system();
        [here, state].into_iter().flatten().any(|file_system| {
            let mut free = Space::free(&file_system);
            // One that makes inodes as it needs them (btrfs) reports none, free or not.
            if file_system.files == 0 {
                free.files = HARD_FULL.files;
            }
            !free.covers(HARD_FULL)
        })
    }

    /// Drops the ballast slice by slice, until Nix has room to begin with.
    pub(super) fn make_room(&mut self) {
        while self.is_hard_full() && self.drop_slice().is_some() {}
    }

    /// Drops one slice of the ballast. What became free by it, if there was one.
    pub(super) fn drop_slice(&mut self) -> Option<Space> {
        let free = |run: &mut Self| {
            run.host
                .file_system()
                .map_or(Space::NONE, |now| Space::free(&now))
        };
        let before = free(self);
        match self.host.drop_ballast() {
            Ok(true) => {
                self.host.settle();
                let given = free(self).minus(before);
                self.before = self.before.map(|before| before.plus(given));
                let message =
                    "the disk is hard full: dropped a slice of the ballast so that Nix can work";
                self.record(Step::Act, "drop_ballast", message.to_owned(), json!(null));
                Some(given)
            }
            Ok(false) => None,
            Err(error) => {
                self.record(Step::Failed, "drop_ballast", error.to_string(), json!(null));
                None
            }
        }
    }
}
