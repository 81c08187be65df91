//! What the collectors are told by the configuration.

use std::{path::PathBuf, time::Duration};

use crate::weigh::Weighing;

/// Settings of collectors; both programs take them from the section `exporter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The lock file of the system's flake, as the host names it; it need not be there.
    pub flake_lock: PathBuf,
    /// From one question to the substituters to the next; none are asked if `None`.
    pub substituter_probe_interval: Option<Duration>,
    /// How the dead are weighed.
    pub weighing: Weighing,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flake_lock: PathBuf::from("/etc/nixos/flake.lock"),
            substituter_probe_interval: None,
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
