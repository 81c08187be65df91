//! A boot menu that a collection left old, when nothing is to be collected.

use tracing::warn;

use super::{Counters, Remedies, running::Unended};
use crate::{
    gc::{old_menu::OldMenuKept, policy::Tripped},
    record::Mode,
    watch::RUN_DIR,
};

/// So often a boot menu that could not be written is tried again.
const MENU_MS: i64 = 3_600_000;

impl Remedies {
    /// Writes the boot menu that a collection left old, whoever began it: by a kill, or because it
    /// could not be written then.
    pub(super) fn mend_boot_menu(&mut self, now_ms: i64, counters: &mut Counters) {
        let due_ms = self.menu_looked_at_ms.saturating_add(MENU_MS);
        let is_due = now_ms >= due_ms || now_ms < self.menu_looked_at_ms;
        if !is_due || self.settings.gc.mode != Mode::Act || self.forbidden().is_some() {
            return;
        }
        self.menu_looked_at_ms = now_ms;
        let state_dir = self.layout.inside(&self.settings.state_dir);
        match OldMenuKept::at(&state_dir, &self.layout.inside(RUN_DIR)).load() {
            Ok(menu) if menu.named.is_empty() => {}
            Ok(menu) => {
                let unended = Unended {
                    incident: menu.incident,
                    tripped: Tripped::default(),
                    alert: None,
                };
                let mut begin = self.begin_with(None, unended, None, now_ms);
                begin.only_menu = true;
                self.begin_collection(begin, counters);
            }
            Err(error) => warn!(%error, "whether the boot menu is old is not known"),
        }
    }
}
