//! The file system that the store lies on.

use std::path::Path;

use nix::sys::statvfs::statvfs;
use serde::Serialize;

use crate::{FactError, Layout, Result};

/// What `statvfs` says of the store directory's file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FileSystem {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Bytes that a process without privilege may still use (`f_bavail`), as Nix itself looks at.
    pub avail_bytes: u64,
    /// Inodes in all; 0 where the file system makes them as needed (btrfs).
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
}

impl FileSystem {
    /// Asks the kernel.
    ///
    /// # Errors
    /// If there is no store, or it cannot be reached.
    pub fn read(layout: &Layout) -> Result<Self> {
        Self::of(&layout.store(), "measure the file system of the store")
    }

    /// The file system of Nix's state directory, with the database on it. Mostly the same.
    ///
    /// # Errors
    /// If there is no state directory, or it cannot be reached.
    pub fn of_state(layout: &Layout) -> Result<Self> {
        Self::of(&layout.state(), "measure the file system of Nix's state")
    }

    fn of(directory: &Path, attempt: &str) -> Result<Self> {
        let stat = statvfs(directory).map_err(|errno| {
            FactError::io(
                attempt,
                directory,
                &errno.into(),
                "is this the root of a host that runs Nix? give another with --root",
            )
        })?;
        let unit = stat.fragment_size();
        Ok(Self {
            size_bytes: stat.blocks().saturating_mul(unit),
            avail_bytes: stat.blocks_available().saturating_mul(unit),
            files: stat.files(),
            files_free: stat.files_free(),
        })
    }
}
