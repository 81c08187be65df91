//! Which lock files are held, and by whom, without ever taking a lock.
//!
//! Nix locks with `flock(2)` (`libstore/unix/pathlocks.cc`, since 2.0). A probe with a lock of our
//! own would make Nix wait for us, so the kernel's table is read instead. Locks of processes
//! outside the PID namespace of the process file system are not in that table.

mod mounts;
mod table;

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{FactError, Layout, Result};
pub(crate) use mounts::{Device, Mounts};
use table::Entry;

const ATTEMPT: &str = "see who holds a lock";

/// The `flock`s of one moment.
#[derive(Debug)]
pub struct Locks {
    entries: Vec<Entry>,
    mounts: Mounts,
    proc_dir: PathBuf,
}

impl Locks {
    /// Reads the table of locks once; the questions are answered from that moment.
    ///
    /// # Errors
    /// If `locks` or `self/mountinfo` of the process file system cannot be read or parsed.
    pub fn read(layout: &Layout) -> Result<Self> {
        let proc_dir = layout.proc_dir().to_owned();
        Ok(Self {
            entries: table::read(&proc_dir.join("locks"))?,
            mounts: Mounts::read(&proc_dir.join("self/mountinfo"))?,
            proc_dir,
        })
    }

    /// True if some process holds an exclusive `flock` on this file. A file that is not there is
    /// not locked; waiting for a lock and holding a shared one (as every user of `gc.lock` does
    /// for a moment) do not count.
    ///
    /// # Errors
    /// If the file may not be looked at.
    pub fn is_held(&self, file: &Path) -> Result<bool> {
        Ok(self.holder(file)?.is_some())
    }

    /// The process that took the exclusive `flock` on this file. A child may have inherited the
    /// lock and outlived that process.
    ///
    /// On a file system whose files show another device than its mount (btrfs, overlay) an inode
    /// number alone is ambiguous: there the holder's open files decide. Without the right to see
    /// those, the number is believed.
    ///
    /// # Errors
    /// If the file may not be looked at.
    pub fn holder(&self, file: &Path) -> Result<Option<u32>> {
        self.find(file, |entry| !entry.shared)
    }

    /// True if some process holds any `flock` on this file, a shared one too: nobody else could
    /// take an exclusive one.
    ///
    /// # Errors
    /// If the file may not be looked at.
    pub fn is_locked(&self, file: &Path) -> Result<bool> {
        Ok(self.find(file, |_| true)?.is_some())
    }

    fn find(&self, file: &Path, counts: impl Fn(&Entry) -> bool) -> Result<Option<u32>> {
        let meta = match fs::symlink_metadata(file) {
            Ok(meta) => meta,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => {
                let cure = "the directories above it must be searchable by this user";
                return Err(FactError::io(ATTEMPT, file, &e, cure));
            }
        };
        let may_be = |entry: &&Entry| entry.inode == meta.ino() && counts(entry);
        if !self.entries.iter().any(|entry| may_be(&entry)) {
            return Ok(None);
        }
        let own = Device::of(&meta);
        let device = self.mounts.device_of(own, file)?;
        let found = self.entries.iter().find(|entry| {
            may_be(entry)
                && entry.device == device
                && (device == own || self.is_not_another(entry, &meta))
        });
        Ok(found.map(|entry| entry.pid))
    }

    /// The processes that hold any exclusive `flock`, ascending, each once.
    pub fn pids(&self) -> Vec<u32> {
        let exclusive = self.entries.iter().filter(|entry| !entry.shared);
        let mut pids: Vec<u32> = exclusive.map(|entry| entry.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// False only if the holder's open files prove that its lock is on another file with the same
    /// inode number, in another subvolume.
    fn is_not_another(&self, entry: &Entry, file: &fs::Metadata) -> bool {
        let process = self.proc_dir.join(entry.pid.to_string());
        let Ok(descriptors) = fs::read_dir(process.join("fdinfo")) else {
            return true;
        };
        let mut others = false;
        for descriptor in descriptors.flatten() {
            let number = descriptor.file_name();
            let Ok(target) = fs::metadata(process.join("fd").join(&number)) else {
                continue;
            };
            if target.ino() != entry.inode {
                continue;
            }
            let Ok(info) = fs::read_to_string(descriptor.path()) else {
                continue;
            };
            let locked = info
                .lines()
                .filter_map(|line| line.strip_prefix("lock:"))
                .any(|line| table::parse_line(line).as_ref() == Some(entry));
            if locked && target.dev() == file.dev() {
                return true;
            }
            others |= locked;
        }
        !others
    }
}

#[cfg(test)]
mod tests;
