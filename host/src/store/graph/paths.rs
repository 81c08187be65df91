//! The rows of `ValidPaths`: names, row ids, sizes and derivers.

use super::{PathId, base_name};
use crate::{
    STORE_DIR,
    store::{
        moved::Moved,
        names::{Names, key, tag},
    },
};

/// In place of a size that the database does not have: SQLite's integers do not reach it.
const UNSIZED: u64 = u64::MAX;
/// In place of a deriver that is not valid, or not known.
const NO_PATH: PathId = PathId(u32::MAX);

/// The valid paths in the order of their row ids.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Paths {
    names: Names,
    /// Ascending.
    rowids: Vec<u32>,
    nar_bytes: Vec<u64>,
    /// Of all sizes together: no sum of some of them can be too large for a number.
    total: u64,
    derivers: Vec<PathId>,
    /// By whom the paths say they were built whose deriver is not valid: keys of names, sorted.
    absent: Vec<(u64, PathId)>,
}

/// Names beside what they belong to, until all paths are known: derivers, outputs.
#[derive(Debug)]
pub(super) struct Unresolved<T = PathId> {
    text: String,
    rows: Vec<(T, u32)>,
}

impl<T> Default for Unresolved<T> {
    fn default() -> Self {
        Self {
            text: String::new(),
            rows: Vec::new(),
        }
    }
}

impl Paths {
    /// None yet, with room for about as many as a database of so many bytes has. Growing would
    /// hold the old and the new at once, while room that is not used costs nothing.
    pub(super) fn for_bytes(bytes: u64) -> Self {
        let rows = usize::try_from(bytes / 800).unwrap_or(0);
        let mut paths = Self::default();
        paths.names.reserve(rows);
        paths.rowids.reserve(rows);
        paths.nar_bytes.reserve(rows);
        paths.derivers.reserve(rows);
        paths
    }

    /// Adds a row, whose id must be larger than that of all before.
    pub(super) fn push(
        &mut self,
        rowid: i64,
        path: &str,
        nar_size: Option<i64>,
        deriver: Option<&str>,
        unresolved: &mut Unresolved,
    ) -> Result<(), String> {
        let name = base_name(path)
            .ok_or_else(|| format!("path {path:?} is not in the store directory {STORE_DIR}"))?;
        let rowid = u32::try_from(rowid)
            .map_err(|_| format!("path {path:?} has the id {rowid}: not one of the first 2^32"))?;
        if self.rowids.last().is_some_and(|last| *last >= rowid) {
            return Err(format!("path {path:?} is not in the order of ids"));
        }
        let id = self.names.push(name)?;
        self.rowids.push(rowid);
        self.nar_bytes.push(match nar_size {
            Some(size) => {
                let wrong = || format!("path {path:?} has size {size}");
                let size = u64::try_from(size).map_err(|_| wrong())?;
                self.total = self.total.checked_add(size).ok_or_else(wrong)?;
                size
            }
            // Rows of very old Nix have no size (`local-store.cc`, `queryPathInfoInternal`).
            None => UNSIZED,
        });
        self.derivers.push(NO_PATH);
        if let Some(deriver) = deriver.and_then(base_name) {
            unresolved.push(id, deriver)?;
        }
        Ok(())
    }

    /// Lets the new paths be found, and finds the derivers.
    pub(super) fn resolve(&mut self, unresolved: &Unresolved) {
        self.names.index();
        let (derivers, absent) = (&mut self.derivers, &mut self.absent);
        self.names
            .find_each(unresolved.names(), |id, name, deriver| match deriver {
                Some(deriver) => derivers[id.index()] = deriver,
                None => absent.push((key(name), id)),
            });
        absent.sort_unstable();
    }

    /// The paths that may say they were built by this one, which was not valid so far.
    pub(super) fn waiting_for(&self, name: &str) -> impl Iterator<Item = PathId> {
        let key = key(name.as_bytes());
        let first = self.absent.partition_point(|(other, _)| *other < key);
        let same = self.absent[first..].iter();
        same.take_while(move |(other, _)| *other == key)
            .map(|(_, id)| *id)
    }

    /// The derivers of these paths, by row ids, became valid.
    pub(super) fn found_derivers(&mut self, found: &[(u32, String)]) {
        let mut entries = Vec::new();
        for (rowid, name) in found {
            if let (Some(id), Some(deriver)) = (self.position(*rowid), self.find(name)) {
                self.derivers[id.index()] = deriver;
                entries.push((key(name.as_bytes()), id));
            }
        }
        if !entries.is_empty() {
            entries.sort_unstable();
            self.absent
                .retain(|entry| entries.binary_search(entry).is_err());
        }
    }

    /// The path of a row id, by search.
    pub(super) fn position(&self, rowid: u32) -> Option<PathId> {
        let position = self.rowids.binary_search(&rowid).ok()?;
        u32::try_from(position).ok().map(PathId)
    }

    /// Finds many names, see [`Names::find_each`].
    pub(super) fn find_each<'n, T>(
        &self,
        names: impl Iterator<Item = (T, &'n [u8])>,
        found: impl FnMut(T, &'n [u8], Option<PathId>),
    ) {
        self.names.find_each(names, found);
    }

    /// Moves the owners of those names to `pairs` that are valid paths, beside these paths; of the
    /// others the tags go to `awaited`.
    pub(super) fn pair(
        &self,
        named: &mut Unresolved,
        pairs: &mut Vec<(PathId, PathId)>,
        awaited: &mut Vec<u32>,
    ) {
        self.names
            .find_each(named.names(), |owner, name, path| match path {
                Some(path) => pairs.push((owner, path)),
                None => awaited.push(tag(name)),
            });
        named.text.clear();
        named.rows.clear();
    }

    /// Drops the paths that are not kept. What was built by one of them waits for it from now on:
    /// it may come back, under another id.
    pub(super) fn retain(&mut self, moved: &Moved) {
        self.absent = (self.absent.iter())
            .filter_map(|(key, id)| Some((*key, moved.to(*id)?)))
            .collect();
        for at in 0..self.rowids.len() {
            let Some(to) = moved.at(at) else { continue };
            self.rowids[to.index()] = self.rowids[at];
            self.nar_bytes[to.index()] = self.nar_bytes[at];
            let deriver = self.derivers[at];
            self.derivers[to.index()] = moved.to(deriver).unwrap_or(NO_PATH);
            if deriver != NO_PATH && moved.to(deriver).is_none() {
                self.absent
                    .push((key(self.names.get(deriver).as_bytes()), to));
            }
        }
        self.absent.sort_unstable();
        self.names.retain(moved);
        self.rowids.truncate(moved.kept());
        self.nar_bytes.truncate(moved.kept());
        self.total = self.sizes().sum();
        self.derivers.truncate(moved.kept());
    }

    /// The paths that were built by one of these.
    pub(super) fn built_by(&self, is_one: impl Fn(PathId) -> bool) -> Vec<(PathId, PathId)> {
        let derivers = (0u32..).map(PathId).zip(&self.derivers);
        derivers
            .filter(|(_, deriver)| **deriver != NO_PATH && is_one(**deriver))
            .map(|(id, deriver)| (id, *deriver))
            .collect()
    }

    pub(super) fn shrink(&mut self) {
        self.names.shrink();
        self.rowids.shrink_to_fit();
        self.nar_bytes.shrink_to_fit();
        self.derivers.shrink_to_fit();
        self.absent.shrink_to_fit();
    }

    pub(super) fn len(&self) -> usize {
        self.rowids.len()
    }

    pub(super) fn name(&self, id: PathId) -> &str {
        self.names.get(id)
    }

    pub(super) fn find(&self, name: &str) -> Option<PathId> {
        self.names.find(name.as_bytes())
    }

    pub(super) fn nar_bytes(&self, id: PathId) -> u64 {
        match self.nar_bytes[id.index()] {
            UNSIZED => 0,
            bytes => bytes,
        }
    }

    pub(super) fn unsized_count(&self) -> usize {
        self.len() - self.sizes().count()
    }

    /// The sizes that are known.
    fn sizes(&self) -> impl Iterator<Item = u64> {
        let bytes = self.nar_bytes.iter().copied();
        bytes.filter(|bytes| *bytes != UNSIZED)
    }

    pub(super) fn deriver(&self, id: PathId) -> Option<PathId> {
        Some(self.derivers[id.index()]).filter(|deriver| *deriver != NO_PATH)
    }

    pub(super) fn rowid(&self, id: PathId) -> u32 {
        self.rowids[id.index()]
    }

    pub(super) fn rowids(&self) -> &[u32] {
        &self.rowids
    }
}

impl<T: Copy> Unresolved<T> {
    pub(super) fn push(&mut self, owner: T, name: &str) -> Result<(), String> {
        self.text.push_str(name);
        let end = u32::try_from(self.text.len())
            .map_err(|_| "more than 4 GiB of names of derivers or outputs")?;
        self.rows.push((owner, end));
        Ok(())
    }

    /// True if so many wait that it is worth while to find them, and more would take room.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= 1024
    }

    pub(super) fn names(&self) -> impl Iterator<Item = (T, &[u8])> {
        let mut start = 0;
        self.rows.iter().map(move |(owner, end)| {
            let name = &self.text.as_bytes()[start..*end as usize];
            start = *end as usize;
            (*owner, name)
        })
    }
}

/// Finds the position of a row id in a time that does not depend on how many rows were deleted:
/// a directory leads to the few ids that lie about as far along.
pub(super) struct Positions<'a> {
    rowids: &'a [u32],
    shift: u32,
    /// Where the ids of each stretch of `1 << shift` begin.
    starts: Vec<u32>,
}

impl<'a> Positions<'a> {
    pub(super) fn of(rowids: &'a [u32]) -> Self {
        let last = rowids.last().copied().unwrap_or(0);
        let most = rowids.len().saturating_mul(2).max(16);
        let mut shift = 0;
        while (last >> shift) as usize >= most {
            shift += 1;
        }
        let mut starts = Vec::with_capacity((last >> shift) as usize + 2);
        for (position, rowid) in (0u32..).zip(rowids) {
            while starts.len() <= (rowid >> shift) as usize {
                starts.push(position);
            }
        }
        starts.push(u32::try_from(rowids.len()).unwrap_or(u32::MAX));
        Self {
            rowids,
            shift,
            starts,
        }
    }

    pub(super) fn find(&self, rowid: u32) -> Option<PathId> {
        let stretch = (rowid >> self.shift) as usize;
        let start = *self.starts.get(stretch)?;
        let end = *self.starts.get(stretch + 1)?;
        let within = self.rowids[start as usize..end as usize].binary_search(&rowid);
        Some(PathId(start + u32::try_from(within.ok()?).ok()?))
    }
}

#[cfg(test)]
mod tests;
