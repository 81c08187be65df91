//! One look at `.links`: how many store paths have each file now, and what no path has any more.

use std::{
    fs,
    ops::ControlFlow,
    os::unix::fs::{DirEntryExt, MetadataExt},
};

use super::Pace;
use crate::{
    Layout, Result,
    store::disk::{Blocks, links_dir, tolerate},
};

/// An inode that paths share, and how many of its links are known to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) inode: u64,
    pub(super) bytes: u64,
    /// Links below what is dead.
    pub(super) going: u64,
    /// Links in all, but for that in `.links`.
    pub(super) links: u64,
}

/// Links that no store path has any more: the collector removes them at its end
/// (`removeUnusedLinks`).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unused {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

/// Brings the link counts of these inodes (ascending) up to date. An inode that is not in
/// `.links` keeps the count of when its path was walked: nothing in Nix adds a link to it.
pub(super) fn look<B>(
    layout: &Layout,
    shared: &mut [Shared],
    pace: &mut Pace<'_, B>,
) -> Result<ControlFlow<B, Unused>> {
    let directory = links_dir(layout);
    let blocks = Blocks::of(layout)?;
    let mut unused = Unused::default();
    let Some(entries) = tolerate(&directory, fs::read_dir(&directory))? else {
        return Ok(ControlFlow::Continue(unused));
    };
    for entry in entries {
        if let ControlFlow::Break(why) = pace() {
            return Ok(ControlFlow::Break(why));
        }
        let Some(entry) = tolerate(&directory, entry)? else {
            continue;
        };
        let path = entry.path();
        let Some(meta) = tolerate(&path, fs::symlink_metadata(&path))? else {
            continue;
        };
        if meta.is_dir() {
            continue;
        }
        if meta.nlink() == 1 {
            unused.bytes += blocks.bytes(&meta);
            unused.files += 1;
        } else if let Ok(at) = shared.binary_search_by_key(&entry.ino(), |file| file.inode) {
            shared[at].links = meta.nlink() - 1;
        }
    }
    Ok(ControlFlow::Continue(unused))
}
