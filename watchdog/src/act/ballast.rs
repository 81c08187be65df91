//! The verb that keeps a reserve on the file system of the Nix state directory, and drops it when
//! the disk is hard full: without a few free blocks and inodes Nix cannot even open its database
//! to collect (its own reserve is spent by the first try that fails).
//!
//! The state directory may be a user's, so what is found in the place of the ballast is looked at:
//! no link is followed, and a directory that somebody else may write to is not gone into.

mod giving_way;

use std::{
    fs::{self, File},
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, MetadataExt},
    },
    path::PathBuf,
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, open, openat},
    sys::stat::{FileStat, Mode, SFlag, fstatat},
    unistd::{UnlinkatFlags, geteuid, unlinkat},
};
use snowguard_host::{FactError, Kind, Layout};

use crate::gc::policy::Space;

const KEEP: &str = "keep the ballast";
const DROP: &str = "drop the ballast";
const SLICES: u64 = 4;
/// Inodes in reserve with each slice: WAL, its index, `reserved`, a profile lock, the GC socket,
/// and some more.
const SPARES: u64 = 16;

/// The reserve of one host.
#[derive(Debug, Clone)]
pub struct Ballast {
    directory: PathBuf,
    bytes: u64,
}

/// One file of it.
struct Part {
    name: String,
    bytes: u64,
    seed: u64,
}

impl Part {
    fn slice(number: u64, of: u64) -> Self {
        Self {
            name: format!("slice-{number}"),
            bytes: of / SLICES,
            seed: number,
        }
    }

    fn spare(number: u64) -> Self {
        Self {
            name: format!("inode-{number}"),
            bytes: 0,
            seed: 0,
        }
    }
}

impl Ballast {
    /// The ballast of a host: `bytes` in all, and some spare inodes. Nothing is made yet.
    pub fn of(layout: &Layout, bytes: u64) -> Self {
        Self {
            directory: layout.state().join("snowguard-ballast"),
            bytes,
        }
    }

    /// Bytes that it takes in all.
    pub fn size(&self) -> u64 {
        self.bytes
    }

    /// Bytes and inodes that it takes in all, its directory among them.
    pub fn takes(&self) -> Space {
        Space {
            bytes: self.bytes,
            files: SLICES * (1 + SPARES) + 1,
        }
    }

    /// Whether it was never made here: what an incident took leaves the directory.
    pub fn is_new(&self) -> bool {
        let looked = fs::symlink_metadata(&self.directory);
        looked.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Bytes of the reserve that are there now, whatever size it is to have. What cannot be looked at
    /// makes no room, and counts for none.
    pub fn in_place(layout: &Layout) -> u64 {
        let entries = fs::read_dir(Self::of(layout, 0).directory);
        let files = entries.into_iter().flatten().flatten();
        let sizes = files.filter_map(|entry| entry.metadata().ok());
        sizes
            .filter(fs::Metadata::is_file)
            .map(|meta| meta.len())
            .sum()
    }

    /// Whether all of it is in place.
    pub fn is_whole(&self) -> bool {
        matches!(self.open(KEEP), Ok(Some(directory)) if self.missing(&directory).is_empty())
    }

    /// Puts in place what is missing, and anew what is not as it was made. What cannot be
    /// completed is taken away again.
    ///
    /// # Errors
    /// The operating system refuses, for example because the disk is full; or the directory is
    /// not one that only this process's user may write to.
    pub fn make(&self) -> Result<(), FactError> {
        if self.bytes == 0 {
            return Ok(());
        }
        let failed = |path: PathBuf, source: &io::Error| {
            FactError::io(KEEP, path, source, "run as root, and with room to spare")
        };
        match fs::DirBuilder::new().mode(0o700).create(&self.directory) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(self.directory.clone(), &source));
            }
            Ok(()) | Err(_) => {}
        }
        let Some(directory) = self.open(KEEP)? else {
            let gone = io::Error::from(io::ErrorKind::NotFound);
            return Err(failed(self.directory.clone(), &gone));
        };
        for part in self.missing(&directory) {
            let made = unlink(&directory, &part.name).and_then(|_| part.make(&directory));
            if let Err(source) = made {
                // Half a slice would be counted on and is not there.
                let _ = unlink(&directory, &part.name);
                return Err(failed(self.directory.join(part.name), &source));
            }
        }
        Ok(())
    }

    /// Drops one slice with its inodes; false if there is none left. What remains is for the next
    /// time, should the disk be full again before there is room to make the ballast whole.
    ///
    /// Each file is cut and unlinked: on a full copy-on-write file system one of the two may be
    /// refused where the other works (btrfs unlinks from its own reserve and refuses to cut; ZFS
    /// may do the reverse).
    ///
    /// # Errors
    /// The operating system refuses to unlink, and everything else of the slice was dropped all
    /// the same; or as [`make`](Self::make).
    pub fn drop_slice(&self) -> Result<bool, FactError> {
        let Some(directory) = self.open(DROP)? else {
            return Ok(false);
        };
        for slice in 0..SLICES {
            let spares = (slice * SPARES..(slice + 1) * SPARES).map(Part::spare);
            let mut dropped = false;
            let mut outcome = Ok(());
            for part in std::iter::once(Part::slice(slice, self.bytes)).chain(spares) {
                match drop_file(&directory, &part.name) {
                    Ok(there) => dropped |= there,
                    Err(source) => {
                        let path = self.directory.join(part.name);
                        outcome = Err(FactError::io(DROP, path, &source, "run as root"));
                    }
                }
            }
            if dropped || outcome.is_err() {
                return outcome.map(|()| true);
            }
        }
        Ok(false)
    }

    /// Drops all of it.
    ///
    /// # Errors
    /// As [`drop_slice`](Self::drop_slice).
    pub fn drop_all(&self) -> Result<(), FactError> {
        while self.drop_slice()? {}
        Ok(())
    }

    /// Its directory, if it is there and nobody else may put anything into it.
    fn open(&self, attempt: &'static str) -> Result<Option<OwnedFd>, FactError> {
        let path = &self.directory;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = match open(path, flags, Mode::empty()) {
            Ok(directory) => File::from(directory),
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => {
                let cure = "remove what lies there if it is no directory, and run as root";
                return Err(FactError::io(attempt, path, &errno.into(), cure));
            }
        };
        let meta = directory
            .metadata()
            .map_err(|source| FactError::io(attempt, path, &source, "run as root"))?;
        let us = geteuid().as_raw();
        if meta.uid() != us || meta.mode() & 0o022 != 0 {
            let cause = format!(
                "it belongs to user {} with mode {:o}, and only user {us} may write to it",
                meta.uid(),
                meta.mode() & 0o7777
            );
            let cure = "look who made it, and remove it";
            return Err(FactError::new(Kind::Denied, attempt, path, cause, cure));
        }
        Ok(Some(directory.into()))
    }

    /// The parts that are not there as they were made.
    fn missing(&self, directory: &OwnedFd) -> Vec<Part> {
        let slices = (0..SLICES).map(|slice| Part::slice(slice, self.bytes));
        // The inodes first: what they take is little, and may be all that is missing one day.
        let parts = (0..SLICES * SPARES).map(Part::spare).chain(slices);
        parts.filter(|part| !part.is_there(directory)).collect()
    }
}

impl Part {
    fn is_there(&self, directory: &OwnedFd) -> bool {
        look(directory, &self.name).is_ok_and(|found| {
            is_file(&found) && found.st_nlink == 1 && u64::try_from(found.st_size) == Ok(self.bytes)
        })
    }

    /// Makes it where nothing is.
    fn make(&self, directory: &OwnedFd) -> io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = openat(directory, self.name.as_str(), flags, mode)?;
        write_noise(&mut File::from(file), self.bytes, self.seed)
    }
}

fn look(directory: &OwnedFd, name: &str) -> nix::Result<FileStat> {
    fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)
}

fn is_file(found: &FileStat) -> bool {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG
}

/// Whether there was such a file.
pub(super) fn drop_file(directory: &OwnedFd, name: &str) -> io::Result<bool> {
    // What has another name is somebody else's, too, and is not cut.
    if look(directory, name).is_ok_and(|found| is_file(&found) && found.st_nlink == 1) {
        let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        if let Ok(file) = openat(directory, name, flags, Mode::empty()) {
            // Refused or not, what counts is that the file goes.
            let _ = File::from(file).set_len(0);
        }
    }
    unlink(directory, name)
}

fn unlink(directory: &OwnedFd, name: &str) -> io::Result<bool> {
    match unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Noise, because a file system that compresses would keep a file of zeros for nothing.
fn write_noise(file: &mut File, bytes: u64, seed: u64) -> io::Result<()> {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut block = [0u8; 65536];
    let mut left = bytes;
    while left > 0 {
        for word in block.chunks_exact_mut(8) {
            // xorshift64: nothing compresses it, and nothing more is asked of it.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        let now = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
        file.write_all(&block[..now])?;
        left -= now as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests;
