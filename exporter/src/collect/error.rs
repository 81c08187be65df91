//! Why a collector has nothing to say.

use std::sync::Arc;

use snowguard_host::FactError;

use crate::state_file::StateFileError;

/// A collector's failure; the message says what was attempted, on which path, and why it failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CollectError {
    /// A fact of the host could not be read.
    #[error(transparent)]
    Fact(Arc<FactError>),
    /// The watchdog's state file is there but cannot be used.
    #[error(transparent)]
    StateFile(Arc<StateFileError>),
    /// The machine's memory is not known to the kernel interface that sysinfo reads.
    #[error("cannot read the machine's memory: \"/proc/meminfo\": {0}; is /proc mounted?")]
    Memory(String),
    /// The collector has a family that another one already published: only the first is kept.
    #[error(
        "the family {family} is already published by the collector {holder}; it is left out here"
    )]
    Clash {
        /// The family that was left out.
        family: String,
        /// The collector whose family of that name was kept.
        holder: &'static str,
    },
    /// A defect of the program.
    #[error("the collector broke down: {0}; please report this as a bug")]
    Panicked(String),
}

impl From<FactError> for CollectError {
    fn from(error: FactError) -> Self {
        Self::Fact(Arc::new(error))
    }
}

impl From<StateFileError> for CollectError {
    fn from(error: StateFileError) -> Self {
        Self::StateFile(Arc::new(error))
    }
}
