//! The valid paths of a store and the edges between them, compact.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use super::{csr::Csr, snapshot::Snapshot};
use crate::{FactError, Layout, Result, STORE_DIR};

mod awaited;
mod census;
mod decode;
mod edges;
mod given;
mod grow;
mod paths;
mod read;

use awaited::Awaited;
pub(super) use census::Census;
pub use given::Given;
pub(super) use grow::{Changes, Grown};
use paths::Paths;

/// A path of one [`Graph`], by its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub(super) u32);

impl PathId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The row of a path in the database. Ids are handed out in order and never again
/// (`AUTOINCREMENT`), and what a path holds never changes: what was found out about a row stays
/// true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub(super) i64);

/// All valid paths with their references, derivers and outputs: one moment of `db.sqlite`.
///
/// Holds fewer than 2^32 paths, registrations and edges; a database with more is refused.
#[derive(Debug, PartialEq)]
pub struct Graph {
    paths: Paths,
    references: Csr,
    outputs: Csr,
    awaited: Awaited,
    registrations: u64,
}

/// What derivations build, as it was read.
#[derive(Default)]
struct Outputs {
    /// Derivations and their valid outputs, in any order.
    pairs: Vec<(PathId, PathId)>,
    /// Tags of the names of those that are not valid.
    awaited: Vec<u32>,
}

const CURE: &str = "run `nix-store --verify`; nothing is deleted while the graph is in doubt";

impl Graph {
    /// Reads the graph in one snapshot. The time is that of reading the pages once.
    pub fn read(layout: &Layout) -> Result<Self> {
        match Snapshot::pages(layout, decode::graph) {
            Some(graph) => Ok(graph),
            None => Snapshot::with(layout, |snapshot| Self::of(layout, snapshot)),
        }
    }

    /// Reads the graph from an open snapshot.
    pub fn of(_layout: &Layout, snapshot: &Snapshot) -> Result<Self> {
        read::graph(snapshot)
    }

    /// Puts together what was read.
    fn assemble(
        mut paths: Paths,
        references: Csr,
        Outputs { mut pairs, awaited }: Outputs,
        registrations: u64,
    ) -> std::result::Result<Self, String> {
        // What turns all edges round counts references, outputs and derivers together.
        let most = edges::MOST.saturating_sub(references.len() + paths.len());
        let outputs = edges::outputs(&mut pairs, paths.len(), most)?;
        paths.shrink();
        Ok(Self {
            paths,
            references,
            outputs,
            awaited: Awaited::of(awaited),
            registrations,
        })
    }

    /// How many valid paths there are.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// True for a store without a valid path.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All paths.
    pub fn ids(&self) -> impl Iterator<Item = PathId> + use<> {
        (0..u32::try_from(self.len()).unwrap_or(u32::MAX)).map(PathId)
    }

    /// The base name of a path: `HASH-NAME`.
    pub fn name(&self, id: PathId) -> &str {
        self.paths.name(id)
    }

    /// The row of the path in the database.
    pub fn row(&self, id: PathId) -> RowId {
        RowId(self.paths.rowid(id).into())
    }

    /// The path as Nix prints it: `/nix/store/HASH-NAME`.
    pub fn store_path(&self, id: PathId) -> String {
        format!("{STORE_DIR}/{}", self.name(id))
    }

    /// The valid path of this base name, if there is one.
    pub fn find(&self, name: &str) -> Option<PathId> {
        self.paths.find(name)
    }

    /// Calls `found` with each of many base names, and the valid path of that name. Several times
    /// as fast as one by one.
    pub(super) fn find_each<'n>(
        &self,
        names: impl Iterator<Item = &'n OsStr>,
        mut found: impl FnMut(&'n OsStr, Option<PathId>),
    ) {
        self.paths
            .find_each(names.map(|name| ((), name.as_bytes())), |(), name, id| {
                found(OsStr::from_bytes(name), id)
            });
    }

    /// Bytes of the path's NAR, as the database says; not what deleting it frees.
    pub fn nar_bytes(&self, id: PathId) -> u64 {
        self.paths.nar_bytes(id)
    }

    /// How many paths have no size in the database and count as 0 bytes in sums.
    pub fn unsized_paths(&self) -> usize {
        self.paths.unsized_count()
    }

    /// What the path refers to; may contain the path itself.
    pub fn references(&self, id: PathId) -> &[PathId] {
        self.references.row(id)
    }

    /// The valid outputs of a derivation.
    pub fn outputs(&self, id: PathId) -> &[PathId] {
        self.outputs.row(id)
    }

    /// The derivation that the path says it was built by, if that is valid.
    pub fn deriver(&self, id: PathId) -> Option<PathId> {
        self.paths.deriver(id)
    }

    /// How many paths were ever registered in this store, deleted ones included.
    pub fn registrations(&self) -> u64 {
        self.registrations
    }
}

/// What is in the database, but must not be.
fn malformed(snapshot: &Snapshot, cause: impl Into<String>) -> FactError {
    FactError::malformed("read the store's graph", snapshot.path(), cause, CURE)
}

/// The base name of a store path, or `None` for anything that is not directly in the store.
pub(super) fn base_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix(STORE_DIR)?.strip_prefix('/')?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

#[cfg(test)]
mod tests;
