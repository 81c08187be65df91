//! Collectors, and the registry that runs them: one collection is one snapshot of the host.
//!
//! No HTTP here: the watchdog collects its own samples through the same registry.

mod context;
mod error;
mod names;
mod options;
mod registry;

mod boot;
mod build_users;
mod daemon;
mod database;
mod filesystem;
mod flake;
mod gc;
mod generations;
mod memory;
mod pressure;
mod reclaimable;
mod store;
mod substituter_probes;
mod substituters;
mod system;
mod watchdog;

pub use context::Context;
pub use error::CollectError;
pub use names::{Name, Names};
pub use options::Options;
pub use registry::{Registry, Snapshot};

pub(crate) use names::Switches;

use crate::sample::Family;

/// Something that turns one kind of facts into samples.
pub trait Collector: Send {
    /// The value of the label `collector`.
    fn name(&self) -> &'static str;

    /// Reads its facts once. A collector may keep what it needs from one collection to the next.
    ///
    /// # Errors
    /// [`CollectError`] if a fact could not be read: the families that it belongs to are absent
    /// from this snapshot, not zero.
    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError>;

    /// Takes the settings that are in force from now on, and keeps all that it counts. `names` are
    /// the collectors beside it.
    fn heed(&mut self, _names: &Names, _options: &Options) {}

    /// Every family that it may give. While it has not worked yet, that one of these is absent
    /// says nothing.
    fn families(&self) -> &'static [&'static str];

    /// Whether its family of this name takes the place of another collector's. Without that, two
    /// families of one name are an error, and the first is kept.
    fn knows_better(&self, _family: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
