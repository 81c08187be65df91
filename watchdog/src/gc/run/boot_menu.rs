//! The boot loader's menu while generations go that it names. What they kept stays until no entry
//! names it, in this collection and in any later one.

use std::path::PathBuf;

use serde_json::json;
use snowguard_host::Kind;

use super::{Refusal, Run};
use crate::{
    gc::{
        ladder::{Victim, is_in_boot_menu},
        old_menu::OldMenu,
        plan::Reason,
    },
    record::{Mode, Step},
};

impl Run<'_> {
    /// Writes the menu that a collection before this one left old, because it was killed or could
    /// not.
    pub(super) fn take_up_boot_menu(&mut self) -> Result<(), Refusal> {
        let menu = self.host.old_menu().map_err(|error| Refusal {
            reason: Reason::Blind,
            detail: error.to_string(),
        })?;
        self.old_menu = menu.named;
        if self.policy.mode == Mode::Act {
            self.rewrite_boot_menu();
        }
        Ok(())
    }

    /// Keeps on disk that the menu names these, before they go. Those that may go all the same.
    pub(super) fn expect_old_menu<'v>(&mut self, victims: &'v [Victim]) -> Vec<&'v Victim> {
        let is_named = |victim: &&Victim| is_in_boot_menu(&victim.profile);
        let named: Vec<PathBuf> = (victims.iter().filter(is_named))
            .map(|victim| victim.id.target.clone())
            .collect();
        if named.is_empty() {
            return victims.iter().collect();
        }
        let named = [&self.old_menu[..], &named].concat();
        let Err(error) = self.keep_old_menu(named) else {
            return victims.iter().collect();
        };
        // A kill would leave entries that do not boot, and nobody would know.
        let error = error.to_string();
        self.record(Step::Failed, "keep_boot_menu", error.clone(), json!(null));
        self.not_given_up.get_or_insert(error);
        let named = victims.iter().filter(is_named);
        self.stuck.extend(named.map(|victim| victim.link.clone()));
        victims.iter().filter(|victim| !is_named(victim)).collect()
    }

    fn keep_old_menu(&mut self, named: Vec<PathBuf>) -> Result<(), crate::keep::KeepError> {
        self.host.keep_old_menu(&OldMenu {
            incident: self.incident.to_owned(),
            named,
        })
    }

    /// Writes the boot loader's menu anew if it may name a generation that is gone. A failure is
    /// told, and what it names stays.
    pub(super) fn rewrite_boot_menu(&mut self) {
        if self.old_menu.is_empty() {
            return;
        }
        match self.host.rewrite_boot_menu(self.incident) {
            Ok(done) => {
                self.old_menu.clear();
                self.menu_failed = None;
                self.menu_is_held = false;
                if let Some(message) = done {
                    self.record(Step::Act, "rewrite_boot_menu", message, json!(null));
                }
                self.forget_old_menu();
            }
            Err(error) => {
                self.menu_is_held = error.kind == Kind::Busy;
                let error = error.to_string();
                self.record(
                    Step::Failed,
                    "rewrite_boot_menu",
                    error.clone(),
                    json!(null),
                );
                self.menu_failed = Some(error);
            }
        }
    }

    /// Nothing is gone that the menu names.
    pub(super) fn forget_old_menu(&mut self) {
        if let Err(error) = self.keep_old_menu(Vec::new()) {
            // The next collection writes it once more.
            let error = error.to_string();
            self.record(Step::Failed, "keep_boot_menu", error, json!(null));
        }
    }

    /// Tries once more to write a menu that could not be written in this collection. Whether that
    /// helped. A moment after the first try only where another switch stood in its way.
    pub(super) fn try_menu_again(&mut self, round: usize) -> bool {
        let may_help = self.menu_failed.is_some() && (round > 0 || self.menu_is_held);
        if !may_help || std::mem::replace(&mut self.menu_was_tried_again, true) {
            return false;
        }
        self.rewrite_boot_menu();
        self.old_menu.is_empty()
    }
}
