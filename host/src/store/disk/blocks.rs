//! How much of the disk an inode takes, as `statvfs` counts it.

use std::{fs::Metadata, os::unix::fs::MetadataExt};

use nix::sys::statfs::{BTRFS_SUPER_MAGIC, statfs};

use crate::{FactError, Layout, Result};

/// What `st_blocks` counts in, whatever the file system.
pub(in crate::store) const BLOCK: u64 = 512;

/// Up to this length btrfs keeps a file's content in its metadata (mount option `max_inline`,
/// its default since Linux 4.6).
const INLINE: u64 = 2048;

/// The way in which the store's file system counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocks {
    inlines: bool,
}

impl Blocks {
    /// That of the file system which the store lies on.
    pub(crate) fn of(layout: &Layout) -> Result<Self> {
        let store = layout.store();
        let found = statfs(&store).map_err(|errno| {
            FactError::io("ask for the store's file system", &store, &errno.into(), "")
        })?;
        Ok(Self {
            inlines: found.filesystem_type() == BTRFS_SUPER_MAGIC,
        })
    }

    /// Bytes that are available again when the inode is released.
    ///
    /// `st_blocks` of a small file on btrfs says 4 KiB, but nothing is available for having
    /// deleted it: its content was in the metadata, whose room `f_bavail` does not count.
    pub(crate) fn bytes(self, meta: &Metadata) -> u64 {
        let is_inline = !meta.is_dir() && (meta.is_symlink() || meta.len() <= INLINE);
        if self.inlines && is_inline {
            0
        } else {
            meta.blocks() * BLOCK
        }
    }
}
