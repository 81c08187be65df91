//! What deleting all that is dead frees, without walking all of it anew each time.
//!
//! What a path holds never changes, so it is walked once and kept by its row in the database. What
//! does change is who else has its files: link counts are read at each sum, from `.links`, where
//! `--optimise` keeps one link to each file that paths share.

mod links;
mod packed;
mod sum;

use std::{
    convert::Infallible,
    ffi::OsStr,
    fs,
    ops::ControlFlow,
    os::unix::fs::MetadataExt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Analysis, RowId,
    disk::{Blocks, Walked, links_dir, tolerate},
};
use crate::{FactError, Layout, Result};
use packed::Packed;

pub use sum::Reclaimable;

/// Asked at each inode: may rest, and may break a walk off.
pub type Pace<'a, B> = dyn FnMut() -> ControlFlow<B> + 'a;

/// After this a path is walked anew. Nothing that Nix does outdates what was found, but for an
/// `--optimise` that finds all of a path's files in `.links` already, and a repair.
const BELIEVED: Duration = Duration::from_secs(24 * 60 * 60);

/// What was found under dead paths: 48 bytes a path, and about 5 for each file with further links.
#[derive(Debug, Default)]
pub struct Weights {
    /// By row, each row once.
    entries: Vec<Entry>,
    /// `.links` as it was when the loose ones among them were walked.
    links: Option<Stamp>,
}

#[derive(Debug)]
struct Entry {
    row: RowId,
    own_bytes: u64,
    own_files: u32,
    /// Seconds since 1970.
    walked: u32,
    /// Has files with this one link, which `--optimise` would replace.
    is_loose: bool,
    shared: Packed,
}

/// When a directory last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &std::path::Path) -> Result<Option<Self>> {
        let meta = tolerate(path, fs::symlink_metadata(path))?;
        Ok(meta.map(|meta| Self {
            inode: meta.ino(),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }))
    }
}

/// Whatever link counts depend on, as it is now: while it is equal, so is the sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    store: Option<Stamp>,
    links: Option<Stamp>,
}

impl Moment {
    /// The store now. Whatever Nix adds, deletes or optimises changes the store directory: the
    /// optimiser renames from there (`optimise-store.cc`, `.tmp-link`).
    pub fn of(layout: &Layout) -> Result<Self> {
        Ok(Self {
            store: Stamp::of(&layout.store())?,
            links: Stamp::of(&links_dir(layout))?,
        })
    }
}

impl Weights {
    /// Forgets all rows but these (ascending), and what is in doubt at this moment.
    pub fn keep(&mut self, rows: &[RowId], moment: &Moment, now: SystemTime) {
        let links_changed = self.links != moment.links;
        self.links = moment.links;
        let now = seconds(now);
        self.entries.retain(|entry| {
            let age = now.saturating_sub(entry.walked);
            let in_doubt =
                (links_changed && entry.is_loose) || u64::from(age) >= BELIEVED.as_secs();
            !in_doubt && rows.binary_search(&entry.row).is_ok()
        });
    }

    /// Whether the row needs no walk.
    pub fn has(&self, row: RowId) -> bool {
        self.entries
            .binary_search_by_key(&row, |entry| entry.row)
            .is_ok()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was walked yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Walks paths and keeps what was found; those that could not be read are returned with why.
    /// Breaks off when `pace` does; what was found until then is kept.
    pub fn walk<B>(
        &mut self,
        layout: &Layout,
        paths: &[(RowId, Box<str>)],
        now: SystemTime,
        pace: &mut Pace<'_, B>,
    ) -> ControlFlow<B, Vec<FactError>> {
        let mut unread = Vec::new();
        let outcome = self.walk_each(layout, paths, seconds(now), pace, &mut unread);
        self.entries.sort_by_key(|entry| entry.row);
        self.entries.dedup_by_key(|entry| entry.row);
        outcome?;
        ControlFlow::Continue(unread)
    }

    fn walk_each<B>(
        &mut self,
        layout: &Layout,
        paths: &[(RowId, Box<str>)],
        now: u32,
        pace: &mut Pace<'_, B>,
        unread: &mut Vec<FactError>,
    ) -> ControlFlow<B> {
        let blocks = match Blocks::of(layout) {
            Ok(blocks) => blocks,
            Err(error) => {
                unread.push(error);
                return ControlFlow::Continue(());
            }
        };
        for (row, name) in paths {
            match Walked::read(layout, blocks, OsStr::new(&**name), pace) {
                Ok(walked) => self.entries.push(Entry::of(*row, walked?, now)),
                Err(error) => unread.push(error),
            }
        }
        ControlFlow::Continue(())
    }
}

impl Entry {
    fn of(row: RowId, walked: Walked, now: u32) -> Self {
        let Walked {
            footprint,
            loose_files,
        } = walked;
        Self {
            row,
            own_bytes: footprint.own_bytes,
            own_files: u32::try_from(footprint.own_files).unwrap_or(u32::MAX),
            walked: now,
            is_loose: loose_files > 0,
            shared: Packed::of(footprint.shared),
        }
    }
}

fn seconds(at: SystemTime) -> u32 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

/// So many names are copied at a time: of all that is dead they could be more than the graph.
const BATCH: usize = 20_000;

/// Weighs everything that is dead, at once.
pub fn reclaimable(layout: &Layout, store: &Analysis) -> Reclaimable {
    let mut weights = Weights::default();
    let mut unread = Vec::new();
    let mut pace = || ControlFlow::<Infallible>::Continue(());
    for batch in store.dead.chunks(BATCH) {
        let paths: Vec<(RowId, Box<str>)> = (batch.iter())
            .map(|id| (store.graph.row(*id), store.graph.name(*id).into()))
            .collect();
        let ControlFlow::Continue(more) = weights.walk(layout, &paths, UNIX_EPOCH, &mut pace);
        unread.extend(more);
    }
    let ControlFlow::Continue(sum) = weights.sum(layout, &store.strays, unread, &mut pace);
    sum
}

#[cfg(test)]
mod tests;
