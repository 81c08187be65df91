//! What the collectors are told by the configuration.

use std::path::PathBuf;

use crate::weigh::Weighing;

/// Settings of collectors; both programs take them from the section `exporter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The lock file of the system's flake, as the host names it; it need not be there.
    pub flake_lock: PathBuf,
    /// How the dead are weighed.
    pub weighing: Weighing,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flake_lock: PathBuf::from("/etc/nixos/flake.lock"),
            weighing: Weighing::Off,
        }
    }
}

impl Options {
    /// That they can be used.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.flake_lock.is_relative() {
            return Err("`exporter.flake_lock` must be an absolute path".to_owned());
        }
        Ok(())
    }
}
