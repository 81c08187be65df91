//! GC roots: what Nix starts from when it decides what is alive.
//!
//! The same sources as `gc.cc` (`findRoots`, `findTempRoots`, `findRuntimeRoots`), read without
//! its side effect: Nix unlinks an automatic root whose target is gone, also when it only looks.
//! Where Nix passes over what it may not read, this is an entry in [`Roots::unreadable`]: the set
//! is then smaller than the truth, and nothing may be deleted by it.

mod links;
mod runtime;
mod temp;

use std::{collections::HashSet, path::PathBuf};

use serde::Serialize;

use super::{Graph, PathId};
use crate::{FactError, Layout, Locks, Result};

/// Where a root comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RootKind {
    /// A link below the profiles directory.
    Profile,
    /// A link or file below `gcroots` that is not automatic.
    Permanent,
    /// A link elsewhere that `gcroots/auto` points to, such as `result`.
    Indirect,
    /// A running process: executable, working directory, open file, mapping or environment.
    Runtime,
    /// A build or copy in flight (`temproots`).
    Temporary,
}

/// One root: what it keeps, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The path that is kept.
    pub path: PathId,
    /// The link, the file in `/proc` or the file of temporary roots that keeps it.
    pub link: PathBuf,
    /// Where it comes from.
    pub kind: RootKind,
}

/// All roots of a store at one moment.
#[derive(Debug, Default)]
pub struct Roots {
    /// The roots, by kind and link.
    pub found: Vec<Root>,
    /// Hash parts that processes in flight protect, valid path or not (`.lock`, `.chroot`).
    pub temporary_hashes: HashSet<String>,
    /// Sources that could not be read. If there is one, the set is incomplete.
    pub unreadable: Vec<FactError>,
}

impl Roots {
    /// Reads all roots. `graph` tells which paths are valid: only those can be roots.
    ///
    /// # Errors
    /// If there is no `gcroots` directory, or locks cannot be read at all. What is merely
    /// unreadable below it goes into [`Roots::unreadable`].
    pub fn read(layout: &Layout, graph: &Graph) -> Result<Self> {
        let mut roots = Self::default();
        links::read(layout, graph, &mut roots)?;
        runtime::read(layout, graph, &mut roots)?;
        temp::read(layout, graph, &Locks::read(layout)?, &mut roots)?;
        roots
            .found
            .sort_by(|a, b| (a.kind, &a.link, a.path).cmp(&(b.kind, &b.link, b.path)));
        roots.found.dedup();
        Ok(roots)
    }

    /// The paths that are roots.
    pub fn paths(&self) -> impl Iterator<Item = PathId> + '_ {
        self.found.iter().map(|root| root.path)
    }

    fn add(&mut self, path: PathId, link: impl Into<PathBuf>, kind: RootKind) {
        self.found.push(Root {
            path,
            link: link.into(),
            kind,
        });
    }
}

/// The valid path that `target` is or lies in; `target` as a link or process names it.
fn valid_path(graph: &Graph, target: &str) -> Option<PathId> {
    let rest = target.strip_prefix(crate::STORE_DIR)?.strip_prefix('/')?;
    graph.find(rest.split('/').next()?)
}

#[cfg(test)]
mod tests;
