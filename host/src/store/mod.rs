//! The store: its database, its graph, its roots, what is dead, and what deleting it frees.

mod analysis;
mod bitset;
mod csr;
mod disk;
mod entries;
mod filesystem;
#[cfg(test)]
mod fixture;
mod graph;
mod liveness;
mod names;
mod pages;
mod resident;
mod roots;
mod size;
mod snapshot;
mod weigh;

pub use analysis::Analysis;
pub use bitset::PathSet;
pub use disk::{Footprint, Reclaim, optimised_inodes};
pub use filesystem::FileSystem;
pub use graph::{Graph, PathId, RowId};
pub use liveness::{Keep, Keepers, extend, mark};
pub use resident::{Refreshed, Resident, Seen};
pub use roots::{Root, RootKind, Roots};
pub use size::DatabaseSize;
pub use snapshot::Snapshot;
pub use weigh::{Moment, Pace, Reclaimable, Weights, reclaimable};
