//! The verb that keeps a reserve on the file system of the Nix state directory, and drops it when
//! the disk is hard full: without a few free blocks and inodes Nix cannot even open its database
//! to collect (its own reserve is spent by the first try that fails).

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use snowguard_host::{FactError, Layout};

const ATTEMPT: &str = "keep the ballast";
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

    /// Whether all of it is in place.
    pub fn is_whole(&self) -> bool {
        let whole = |path: PathBuf, bytes: u64| {
            fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == bytes)
        };
        (0..SLICES).all(|slice| whole(self.slice(slice), self.bytes / SLICES))
            && (0..SLICES * SPARES).all(|spare| whole(self.spare(spare), 0))
    }

    /// Puts in place what is missing. What cannot be completed is taken away again.
    ///
    /// # Errors
    /// The operating system refuses, for example because the disk is full.
    pub fn make(&self) -> Result<(), FactError> {
        if self.bytes == 0 || self.is_whole() {
            return Ok(());
        }
        let failed = |source: io::Error| {
            FactError::io(
                ATTEMPT,
                &self.directory,
                &source,
                "run as root, and with room to spare",
            )
        };
        fs::create_dir_all(&self.directory).map_err(failed)?;
        for spare in 0..SLICES * SPARES {
            OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(self.spare(spare))
                .map_err(failed)?;
        }
        for slice in 0..SLICES {
            let path = self.slice(slice);
            if let Err(source) = write_noise(&path, self.bytes / SLICES, slice) {
                // Half a slice would be counted on and is not there.
                let _ = fs::remove_file(&path);
                return Err(failed(source));
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
    /// The operating system refuses to unlink. Everything else of the slice was dropped all the
    /// same.
    pub fn drop_slice(&self) -> Result<bool, FactError> {
        for slice in 0..SLICES {
            let spares = slice * SPARES..(slice + 1) * SPARES;
            let paths = spares.map(|spare| self.spare(spare));
            let mut dropped = false;
            let mut outcome = Ok(());
            for path in std::iter::once(self.slice(slice)).chain(paths) {
                match drop_file(&path) {
                    Ok(there) => dropped |= there,
                    Err(source) => {
                        let attempt = "drop the ballast";
                        outcome = Err(FactError::io(attempt, path, &source, "run as root"));
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

    fn slice(&self, number: u64) -> PathBuf {
        self.directory.join(format!("slice-{number}"))
    }

    fn spare(&self, number: u64) -> PathBuf {
        self.directory.join(format!("inode-{number}"))
    }
}

/// Whether there was such a file.
fn drop_file(path: &Path) -> io::Result<bool> {
    if let Ok(file) = OpenOptions::new().write(true).open(path) {
        // Refused or not, what counts is that the file goes.
        let _ = file.set_len(0);
    }
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Noise, because a file system that compresses would keep a file of zeros for nothing.
fn write_noise(path: &PathBuf, bytes: u64, seed: u64) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
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
mod tests {
    use super::*;

    #[test]
    fn the_ballast_takes_the_room_it_is_asked_for_and_gives_all_of_it_back() {
        let root = tempfile::tempdir().expect("a directory");
        let layout = Layout::new(root.path());
        let ballast = Ballast::of(&layout, 1 << 20);
        assert!(!ballast.is_whole());
        ballast.make().expect("made");
        assert!(ballast.is_whole());
        let blocks: u64 = fs::read_dir(layout.state().join("snowguard-ballast"))
            .expect("a directory")
            .map(|entry| {
                std::os::unix::fs::MetadataExt::blocks(
                    &entry.expect("entry").metadata().expect("meta"),
                )
            })
            .sum();
        assert!(blocks * 512 >= 1 << 20, "{blocks} blocks");
        ballast.drop_all().expect("dropped");
        ballast.drop_all().expect("dropping nothing is no error");
        let left = fs::read_dir(layout.state().join("snowguard-ballast")).expect("a directory");
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn a_slice_that_is_dropped_leaves_the_others_for_the_next_time() {
        let root = tempfile::tempdir().expect("a directory");
        let ballast = Ballast::of(&Layout::new(root.path()), 1 << 20);
        ballast.make().expect("made");
        let mut slices = 0;
        while ballast.drop_slice().expect("dropped") {
            slices += 1;
            assert!(!ballast.is_whole());
            let left = fs::read_dir(&ballast.directory).expect("a directory");
            assert_eq!(left.count() as u64, (SLICES - slices) * (1 + SPARES));
        }
        assert_eq!(slices, SLICES);
        ballast.make().expect("made again");
        assert!(ballast.is_whole());
    }

    #[test]
    fn a_ballast_of_no_bytes_makes_nothing() {
        let root = tempfile::tempdir().expect("a directory");
        let layout = Layout::new(root.path());
        Ballast::of(&layout, 0).make().expect("made");
        assert!(!layout.state().exists());
    }
}
