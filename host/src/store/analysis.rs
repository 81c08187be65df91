//! The dead set: exactly what `nix-store --gc --print-dead` would list, without its lock, its
//! side effects and its minute.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    panic::resume_unwind,
    thread,
    time::SystemTime,
};

use super::{
    Graph, Keep, Keepers, PathId, PathSet, Resident, Roots, Seen, Snapshot, entries::Entries,
    liveness, snapshot::Files,
};
use crate::{Layout, Locks, NixConf, Result, STORE_DIR};

/// A store at one moment: its graph, its roots, and what is dead.
#[derive(Debug)]
pub struct Analysis {
    /// The valid paths and their edges.
    pub graph: Graph,
    /// The settings that the liveness follows.
    pub keep: Keep,
    /// The roots; if some could not be read, the dead set may be larger than the truth.
    pub roots: Roots,
    /// What is reachable from a root.
    pub alive: PathSet,
    /// Dead valid paths, by name.
    pub dead: Vec<PathId>,
    /// Dead entries of the store directory that the database does not know, by name.
    pub strays: Vec<OsString>,
}

impl Analysis {
    /// Reads database and store directory, and the roots after both: what became a root meanwhile
    /// is seen, and a path that is registered meanwhile is not in the graph, so neither can be
    /// taken for dead. What lies in the directory, is in no graph and held by no work in flight may
    /// have been registered in between: it is looked up once more.
    ///
    /// A file that `nix.conf` includes and that could not be read may say what keeps what: it
    /// counts as a source of roots that could not be read.
    pub fn read(layout: &Layout, conf: &NixConf) -> Result<Self> {
        let (analysis, ()) = Self::of(layout, conf, || Ok((Graph::read(layout)?, ())))?;
        Ok(analysis)
    }

    /// As [`Analysis::read`], with a graph that was kept since an earlier look and is brought up to
    /// date. What is returned beside it is for [`Resident::keep`].
    ///
    /// # Errors
    /// Those of [`Analysis::read`]. The graph that was kept is then gone.
    pub fn refresh(
        layout: &Layout,
        conf: &NixConf,
        kept: Option<Resident>,
        now: SystemTime,
    ) -> Result<(Self, Seen)> {
        Self::of(layout, conf, || {
            let resident = match kept {
                Some(kept) => kept.refresh(layout, now)?.0,
                None => Resident::read(layout, now)?,
            };
            Ok(resident.take())
        })
    }

    fn of<T>(
        layout: &Layout,
        conf: &NixConf,
        graph: impl FnOnce() -> Result<(Graph, T)>,
    ) -> Result<(Self, T)> {
        let keep = Keep::of(conf);
        let files = Files::now(layout);
        let (graph, entries) = thread::scope(|scope| {
            // Listing a large directory takes the kernel about as long as reading the database.
            let entries = scope.spawn(|| Entries::read(layout));
            let graph = graph();
            (
                graph,
                entries.join().unwrap_or_else(|panic| resume_unwind(panic)),
            )
        });
        let ((graph, beside), entries) = (graph?, entries?);
        let mut roots = Roots::read(layout, &graph)?;
        roots.doubt_settings(conf);
        let locks = Locks::read(layout)?;
        let alive = liveness::mark(&graph, keep, roots.paths());

        let mut on_disk = PathSet::new(graph.len());
        let mut unknown = Vec::new();
        graph.find_each(entries.names(), |name, id| match id {
            Some(id) => drop(on_disk.insert(id)),
            None => unknown.push(name),
        });
        let mut strays = Vec::new();
        for name in unknown {
            if !is_protected(layout, &locks, &roots, name)? {
                strays.push(name.to_owned());
            }
        }
        if !strays.is_empty() && (files.is_none() || Files::now(layout) != files) {
            strays = not_valid(layout, &strays)?;
        }
        strays.sort();
        let mut dead = listed(&graph, keep, &alive, &on_disk);
        dead.sort_by(|a, b| graph.name(*a).cmp(graph.name(*b)));
        let analysis = Self {
            graph,
            keep,
            roots,
            alive,
            dead,
            strays,
        };
        Ok((analysis, beside))
    }

    /// True if every source of roots was read, so that nothing alive can be taken for dead.
    pub fn is_complete(&self) -> bool {
        self.roots.unreadable.is_empty()
    }

    /// Sum of the NAR sizes of the dead valid paths, in bytes.
    pub fn dead_nar_bytes(&self) -> u64 {
        self.dead.iter().map(|id| self.graph.nar_bytes(*id)).sum()
    }

    /// Sum of the NAR sizes of all valid paths, in bytes.
    pub fn nar_bytes(&self) -> u64 {
        self.graph.ids().map(|id| self.graph.nar_bytes(id)).sum()
    }

    /// The dead set as Nix prints it: full paths in byte order, valid or not. Each is made when it
    /// is asked for: where everything is dead, all at once would take as much as the graph.
    pub fn dead_paths(&self) -> impl Iterator<Item = OsString> + '_ {
        let name = |id: PathId| OsStr::new(self.graph.name(id));
        let mut valid = self.dead.clone();
        valid.sort_unstable_by_key(|id| name(*id));
        let mut strays: Vec<&OsStr> = self.strays.iter().map(OsString::as_os_str).collect();
        strays.sort_unstable();
        let mut valid = valid.into_iter().map(name).peekable();
        let mut strays = strays.into_iter().peekable();
        std::iter::from_fn(move || {
            let name = match (valid.peek(), strays.peek()) {
                (Some(path), Some(stray)) if stray < path => strays.next(),
                (None, _) => strays.next(),
                _ => valid.next(),
            }?;
            let mut path = OsString::from(format!("{STORE_DIR}/"));
            path.push(name);
            Some(path)
        })
    }
}

/// Those of the entries that are no valid path by now.
fn not_valid(layout: &Layout, entries: &[OsString]) -> Result<Vec<OsString>> {
    Snapshot::with(layout, |snapshot| {
        let sql = |source| snapshot.error(&source);
        let mut query = snapshot
            .connection()
            .prepare("SELECT 1 FROM ValidPaths WHERE path = ?1")
            .map_err(sql)?;
        let mut not_valid = Vec::new();
        for name in entries {
            // The name of a valid path is text.
            let path = name.to_str().map(|name| format!("{STORE_DIR}/{name}"));
            let is_valid = match path {
                Some(path) => query.exists([path]).map_err(sql)?,
                None => false,
            };
            if !is_valid {
                not_valid.push(name.clone());
            }
        }
        Ok(not_valid)
    })
}

/// The dead paths that Nix lists. It starts from what lies in the directory and goes on to what
/// keeps that (`collectGarbage`, readdir loop): a dead path whose files are gone is listed only
/// if it keeps, directly or not, a dead one that is still there.
fn listed(graph: &Graph, keep: Keep, alive: &PathSet, on_disk: &PathSet) -> Vec<PathId> {
    let dead = || graph.ids().filter(|id| !alive.contains(*id));
    let (mut listed, gone): (Vec<PathId>, Vec<PathId>) =
        dead().partition(|id| on_disk.contains(*id));
    if gone.is_empty() {
        return listed;
    }
    let keepers = Keepers::of(graph, keep);
    let mut seen = on_disk.clone();
    let mut next = 0;
    while next < listed.len() {
        for keeper in keepers.keepers(listed[next]) {
            if seen.insert(*keeper) {
                listed.push(*keeper);
            }
        }
        next += 1;
    }
    listed
}

/// Work in flight protects entries that are not valid (yet): by the hash part of a temporary root
/// (`gc.cc`, `tempRoots`), and a temporary directory by its lock (Nix >= 2.12).
fn is_protected(layout: &Layout, locks: &Locks, roots: &Roots, name: &OsStr) -> Result<bool> {
    let bytes = name.as_bytes();
    if let Some(hash) = bytes
        .get(..32)
        .and_then(|hash| std::str::from_utf8(hash).ok())
        && roots.temporary_hashes.contains(hash)
    {
        return Ok(true);
    }
    Ok(bytes.starts_with(b"tmp-") && locks.is_locked(&layout.store().join(name))?)
}

#[cfg(test)]
mod tests;
