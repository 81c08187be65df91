//! The verb that removes the log of a build that has long ended. `nix log` shows it no more.

use std::{fs, io};

use snowguard_host::{FactError, Layout, LeftOver, LeftOverKind};

const ATTEMPT: &str = "remove an old build log";

/// Removes build logs of one host.
#[derive(Debug, Clone)]
pub struct RemoveBuildLog {
    /// The host.
    pub layout: Layout,
}

impl RemoveBuildLog {
    /// Removes one, if nobody has begun to write it anew. One that is gone already is no error.
    ///
    /// # Errors
    /// It is another one by now, or the operating system refuses. It is then as it was.
    pub fn run(&self, log: &LeftOver) -> Result<(), FactError> {
        if log.kind != LeftOverKind::Log {
            return Err(FactError::malformed(ATTEMPT, &log.path, "it is no log", ""));
        }
        if log.look_again(&self.layout)?.is_none() {
            return Ok(());
        }
        match fs::remove_file(&log.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(FactError::io(ATTEMPT, &log.path, &error, "run as root")),
        }
    }
}
