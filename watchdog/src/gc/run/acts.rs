//! The other acts of a collection: room for Nix to work, generations, and the boot menu.

use std::path::PathBuf;

use serde_json::json;
use snowguard_host::{FactError, Kind};

use super::{Run, Space};
use crate::{
    gc::{
        ladder::{StaleRoot, Victim, is_in_boot_menu},
        policy::is_hard_full,
    },
    record::Step,
};

/// Why there is no further round: the word for it, and a sentence.
pub(super) type Ended = (&'static str, &'static str);
/// What to do where Nix fails and there is no room for it.
pub(super) const NO_ROOM: &str = "Nix has no room to work: free 16 MiB and a hundred inodes by hand on the file system of \
     /nix/var/nix (what lies beside the store, or root's old build logs), and run `snowguard gc` again; mode `act` keeps a \
     ballast for this";
pub(super) const SEE_RECORDS: &str = "see the records of this incident";

impl Run<'_> {
    /// Gives generations up, while there is time to delete what they kept. Those that cannot be
    /// given up are left out of further plans.
    pub(super) fn give_up(&mut self, victims: &[Victim]) -> Option<Ended> {
        let mut named: Vec<PathBuf> = Vec::new();
        let may_go = self.expect_old_menu(victims);
        let is_expected = may_go.iter().any(|victim| is_in_boot_menu(&victim.profile));
        for victim in may_go {
            if self.is_over().is_some() {
                break;
            }
            // Its lock was waited for already.
            if self.stuck.contains(&victim.profile_link) {
                continue;
            }
            match self.host.remove_generation(victim) {
                Ok(()) => {
                    if is_in_boot_menu(&victim.profile) {
                        named.push(victim.id.target.clone());
                    }
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
                    let held = match error.kind {
                        Kind::Busy => &victim.profile_link,
                        _ => &victim.link,
                    };
                    self.cannot_give_up("remove_generation", held.clone(), &error);
                }
            }
        }
        if named.is_empty() && self.old_menu.is_empty() && is_expected {
            self.forget_old_menu();
        }
        self.old_menu.extend(named);
        // Before anything is deleted that the menu still names.
        self.rewrite_boot_menu();
        self.is_over()
    }

    fn cannot_give_up(&mut self, reason: &str, held: PathBuf, error: &FactError) {
        let error = error.to_string();
        self.record(Step::Failed, reason, error.clone(), json!(null));
        self.not_given_up.get_or_insert(error);
        self.stuck.insert(held);
    }

    /// Gives automatic roots up, while there is time to delete what they kept. The same.
    pub(super) fn give_up_roots(&mut self, roots: &[StaleRoot]) -> Option<Ended> {
        for root in roots {
            let over = self.is_over();
            if over.is_some() {
                return over;
            }
            match self.host.remove_root(root) {
                Ok(()) => {
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
                Err(error) => self.cannot_give_up("remove_root", root.auto.clone(), &error),
            }
        }
        None
    }

    pub(super) fn is_over(&self) -> Option<Ended> {
        if self.host.is_asked_to_stop() {
            return Some(("stopped", "the end was asked for"));
        }
        let is_late = self.host.elapsed() >= self.policy.deadline;
        is_late.then_some(("deadline", SEE_RECORDS))
    }

    /// Whether Nix may lack the room to open its database.
    pub(super) fn is_hard_full(&mut self) -> bool {
        let here = self.host.file_system();
        let state = self.host.state_file_system();
        let mut both = [here, state].into_iter().flatten();
        both.any(|file_system| is_hard_full(&file_system))
    }

    /// The same of the file system alone that the database is on, and the ballast beside it: what
    /// that gives is no room anywhere else.
    pub(super) fn lacks_room(&mut self) -> bool {
        let state = self.host.state_file_system();
        let state = state.or_else(|_| self.host.file_system());
        state.is_ok_and(|file_system| is_hard_full(&file_system))
    }

    /// Drops the ballast slice by slice, until Nix has room to begin with.
    pub(super) fn make_room(&mut self) {
        while self.lacks_room() && self.drop_slice().is_some() {}
    }

    /// Drops the reserve of Nix, once: whoever opens the store makes it anew, out of the same room.
    /// What became free by it, if there was one.
    pub(super) fn drop_reserve(&mut self) -> Option<Space> {
        if std::mem::replace(&mut self.reserve_was_dropped, true) {
            return None;
        }
        let before = self.look();
        match self.host.drop_reserve() {
            Ok(true) => {
                self.host.settle();
                let message = "the disk is hard full and there is no ballast: dropped the reserve \
                               of Nix itself so that it can work";
                self.record(Step::Act, "drop_reserve", message.to_owned(), json!(null));
                let given = self.look().minus(before);
                // Nix makes it anew, of what the collection frees.
                self.before = self.before.map(|before| before.plus(given));
                Some(given)
            }
            Ok(false) => None,
            Err(error) => {
                self.record(Step::Failed, "drop_reserve", error.to_string(), json!(null));
                None
            }
        }
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
