//! The verb that keeps a reserve on the file system of the Nix state directory, and drops it when
//! the disk is hard full: without a few free blocks and inodes Nix cannot even open its database
//! to collect (its own reserve is spent by the first try that fails).

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use snowguard_host::{FactError, Layout};

const ATTEMPT: &str = "keep the ballast";
const SLICES: u64 = 4;
/// Inodes in reserve: WAL, its index, `reserved`, a profile lock, the GC socket, and some more.
const SPARES: usize = 16;

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
            && (0..SPARES).all(|spare| whole(self.spare(spare), 0))
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
        for spare in 0..SPARES {
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

    /// Drops all of it. Each file is cut and unlinked: on a full copy-on-write file system one of
    /// the two may be refused where the other works (btrfs unlinks from its own reserve and
    /// refuses to cut; ZFS may do the reverse).
    ///
    /// # Errors
    /// The operating system refuses to unlink. Everything else was dropped all the same.
    pub fn drop_all(&self) -> Result<(), FactError> {
        let paths = (0..SLICES)
            .map(|slice| self.slice(slice))
            .chain((0..SPARES).map(|spare| self.spare(spare)));
        let mut outcome = Ok(());
        for path in paths {
            // Refused or not, what counts is that the file goes.
            let _ = OpenOptions::new()
                .write(true)
                .open(&path)
                .and_then(|file| file.set_len(0));
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    outcome = Err(FactError::io(
                        "drop the ballast",
                        path,
                        &source,
                        "run as root",
                    ));
                }
                _ => {}
            }
        }
        outcome
    }

    fn slice(&self, number: u64) -> PathBuf {
        self.directory.join(format!("slice-{number}"))
    }

    fn spare(&self, number: usize) -> PathBuf {
        self.directory.join(format!("inode-{number}"))
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
    fn a_ballast_of_no_bytes_makes_nothing() {
        let root = tempfile::tempdir().expect("a directory");
        let layout = Layout::new(root.path());
        Ballast::of(&layout, 0).make().expect("made");
        assert!(!layout.state().exists());
    }
}
