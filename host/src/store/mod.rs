//! The store: its database, its graph, its roots, what is dead, and what deleting it frees.

mod analysis;
mod bitset;
mod chain;
mod closures;
mod csr;
mod disk;
mod entries;
mod filesystem;
#[cfg(test)]
mod fixture;
mod graph;
mod holdings;
mod liveness;
mod lookup;
mod moved;
mod names;
mod pages;
#[cfg(test)]
mod random;
mod resident;
mod retained;
mod roots;
mod size;
mod snapshot;
mod weigh;

pub use analysis::Analysis;
pub use bitset::PathSet;
pub use chain::{Chain, Edge, Step, Why};
pub use closures::closures;
pub(crate) use disk::Blocks;
pub use disk::{Footprint, Reclaim, SharedFile, optimised_inodes};
pub use filesystem::FileSystem;
pub use graph::{Given, Graph, PathId, RowId};
pub use holdings::{Holding, Holdings, ProfileHoldings};
pub use liveness::{Keep, Keepers, extend, mark};
pub use lookup::lookup;
pub use resident::{Refreshed, Resident, Seen};
pub use retained::{HeldBy, Holder, Retained, Share};
pub use roots::{Origin, Root, RootKind, Roots, StaleLink, StaleReason};
pub use size::DatabaseSize;
pub use snapshot::Snapshot;
pub use weigh::{Moment, Pace, Reclaimable, Weights, reclaimable};
