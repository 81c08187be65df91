//! GC roots: what Nix starts from when it decides what is alive.
//!
//! The same sources as `gc.cc` (`findRoots`, `findTempRoots`, `findRuntimeRoots`), read without
//! its side effect: Nix unlinks an automatic root whose target is gone, also when it only looks.
//! Where Nix passes over what it may not read, this is an entry in [`Roots::unreadable`]: the set
//! is then smaller than the truth, and nothing may be deleted by it.

mod links;
mod origin;
mod runtime;
mod temp;
mod unmounted;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::Serialize;

use super::{Graph, PathId};
use crate::{FactError, Kind, Layout, Locks, NixConf, Result};

pub use origin::Origin;

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
    /// The link below `gcroots` or `profiles` that leads to `link`, if that is another one:
    /// `gcroots/auto/HASH` for `/home/u/result`.
    pub via: Option<PathBuf>,
    /// When `link` was made, if it is a link.
    pub made: Option<SystemTime>,
}

impl Root {
    /// What keeps the path as one thing that can go away: the link, the file, or the process
    /// (`/proc/PID`), which keeps paths in several ways.
    pub fn holder(&self, layout: &Layout) -> PathBuf {
        let process = (self.link.strip_prefix(layout.proc_dir()).ok())
            .and_then(|below| below.components().next())
            .map(|first| Path::new(first.as_os_str()))
            .filter(|_| self.kind == RootKind::Runtime);
        match process {
            Some(process) if is_process(process) => layout.proc_dir().join(process),
            _ => self.link.clone(),
        }
    }

    /// What it is, as far as its name tells.
    pub fn origin(&self) -> Origin {
        Origin::of(self.kind, &self.link)
    }
}

fn is_process(name: &Path) -> bool {
    let bytes = name.as_os_str().as_encoded_bytes();
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit)
}

/// A link among the roots that keeps nothing. It is named and left in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleLink {
    /// The link below `gcroots` or `profiles`.
    pub link: PathBuf,
    /// What it points at, as it says.
    pub target: PathBuf,
    /// What it would be the root of.
    pub kind: RootKind,
    /// Why it keeps nothing.
    pub reason: StaleReason,
    /// When the link was made.
    pub made: Option<SystemTime>,
}

/// Why a link keeps nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StaleReason {
    /// What it points at is gone: a `result` that was removed. Nix unlinks such a link in
    /// `gcroots/auto` at its next look (`gc.cc`, `findRoots`).
    TargetGone,
    /// It leads to a store path that is not valid.
    NotValid,
    /// An automatic root that leads to a file or directory, or by a link to another link: Nix
    /// follows one link outside of the store and no more.
    LeadsElsewhere,
}

/// All roots of a store at one moment.
#[derive(Debug, Default)]
pub struct Roots {
    /// The roots, by kind and link.
    pub found: Vec<Root>,
    /// Links that are no roots because they lead nowhere, by name.
    pub stale: Vec<StaleLink>,
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
        unmounted::note(layout, &mut roots)?;
        // A generation is found by its own link and by that of its profile: one root.
        let key = |root: &Root| (root.kind, root.link.clone(), root.path, root.via.clone());
        roots.found.sort_by_cached_key(key);
        roots.found.dedup_by(|next, first| {
            (next.kind, &next.link, next.path) == (first.kind, &first.link, first.path)
        });
        roots.stale.sort_by(|a, b| a.link.cmp(&b.link));
        Ok(roots)
    }

    /// A file of settings that could not be read may say what keeps what: it counts as a source of
    /// roots that could not be read.
    pub fn doubt_settings(&mut self, conf: &NixConf) {
        let unread = conf.unread_files.iter().map(|path| {
            FactError::new(
                Kind::Denied,
                "read settings of Nix",
                path,
                "permission denied",
                "it may set keep-outputs or keep-derivations; run as root",
            )
        });
        self.unreadable.extend(unread);
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
            via: None,
            made: None,
        });
    }
}

/// The valid path that `target` is or lies in; `target` as a link or process names it.
pub(super) fn valid_path(graph: &Graph, target: &str) -> Option<PathId> {
    let rest = target.strip_prefix(crate::STORE_DIR)?.strip_prefix('/')?;
    graph.find(rest.split('/').next()?)
}

#[cfg(test)]
mod tests;
