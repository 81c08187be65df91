//! What the boot loader's menu may name although its generation is gone, kept on disk from before
//! the generation goes until the menu is written: whoever collects next knows of it, be it the
//! watchdog or an operator.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::keep::{Keep, KeepError};

/// A menu that is to be written anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldMenu {
    /// The incident in which the generations went.
    pub incident: String,
    /// The store paths of their systems.
    pub named: Vec<PathBuf>,
}

/// Where that is kept. Only who collects ([`super::alone::Alone`]) may write it.
#[derive(Debug, Clone)]
pub struct OldMenuKept(Keep);

impl OldMenuKept {
    /// In these directories.
    pub fn at(state_dir: &Path, run_dir: &Path) -> Self {
        Self(Keep::new("boot-menu", state_dir, run_dir))
    }

    /// What was kept last; empty if the menu is as it should be.
    ///
    /// # Errors
    /// What is there cannot be read.
    pub fn load(&mut self) -> Result<OldMenu, KeepError> {
        Ok(self.0.load()?.unwrap_or_default())
    }

    /// Keeps it in place of what was kept before.
    ///
    /// # Errors
    /// Neither directory takes it.
    pub fn save(&mut self, menu: &OldMenu) -> Result<(), KeepError> {
        self.0.save(menu)
    }
}
