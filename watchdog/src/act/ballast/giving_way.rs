//! Room from the ballast for what is so small that it must not fail on a full disk: the lock of a
//! collection, an operator's hold.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use super::{Ballast, DROP, Part, SLICES, SPARES, unlink};

/// So many inodes are given before it is a slice: a directory or two, a file, and one more.
const INODES: usize = 4;

impl Ballast {
    /// Runs what needs an inode or a block at `place`. Where the disk has none, the ballast gives
    /// some, bit by bit, until it succeeds or there is nothing left to give.
    ///
    /// # Errors
    /// Whatever `run` fails with.
    pub fn giving_way<T>(
        &self,
        place: &Path,
        mut run: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        let mut inodes = INODES;
        loop {
            let error = match run() {
                Err(error) if is_full(&error) && self.is_beside(place) => error,
                outcome => return outcome,
            };
            inodes = inodes.saturating_sub(1);
            let given = inodes > 0 && self.give_inode();
            if !given && !self.drop_slice().unwrap_or(false) {
                return Err(error);
            }
        }
    }

    /// Gives one inode, of the slice that goes last.
    fn give_inode(&self) -> bool {
        let Ok(Some(directory)) = self.open(DROP) else {
            return false;
        };
        let mut spares = (0..SLICES * SPARES).rev().map(Part::spare);
        spares.any(|spare| unlink(&directory, &spare.name).unwrap_or(false))
    }

    /// Whether what it gives is on the file system of this place, or of where it will be.
    fn is_beside(&self, place: &Path) -> bool {
        let device = |path: &Path| fs::metadata(path).ok().map(|meta| meta.dev());
        let here = place.ancestors().find_map(device);
        here.is_some() && here == device(&self.directory)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
