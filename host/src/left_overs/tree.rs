//! A directory with all that is below it.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::{FactError, Layout, Result, store::Blocks};

const ATTEMPT: &str = "measure a build directory";

/// What was found below a directory, itself included.
pub(super) struct Tree {
    pub(super) identity: (u64, u64),
    pub(super) changed: SystemTime,
    pub(super) bytes: u64,
    pub(super) files: u64,
    pub(super) inodes: HashSet<u64>,
    pub(super) owners: HashSet<u32>,
}

impl Tree {
    /// Walks it. No link is followed. `None` if it is gone.
    ///
    /// # Errors
    /// If something below it cannot be read, vanishes meanwhile, or is on another file system.
    pub(super) fn read(layout: &Layout, top: &Path) -> Result<Option<Self>> {
        let failed = |path: &Path, error: &io::Error| FactError::io(ATTEMPT, path, error, "");
        let meta = match fs::symlink_metadata(top) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(top, &error)),
        };
        if !meta.is_dir() {
            let cause = "it is no directory";
            return Err(FactError::malformed(ATTEMPT, top, cause, ""));
        }
        let blocks = Blocks::of(layout)?;
        let mut tree = Self {
            identity: (meta.dev(), meta.ino()),
            changed: changed(&meta),
            bytes: 0,
            files: 0,
            inodes: HashSet::new(),
            owners: HashSet::new(),
        };
        // Bytes, links, and how many of them are below: a file that has another link stays.
        let mut linked: HashMap<u64, (u64, u64, u64)> = HashMap::new();
        let mut todo: Vec<PathBuf> = vec![top.to_owned()];
        while let Some(path) = todo.pop() {
            let meta = fs::symlink_metadata(&path).map_err(|error| failed(&path, &error))?;
            if meta.dev() != tree.identity.0 {
                let cause = "it is on another file system";
                return Err(FactError::malformed(ATTEMPT, &path, cause, ""));
            }
            tree.changed = tree.changed.max(changed(&meta));
            tree.inodes.insert(meta.ino());
            tree.owners.insert(meta.uid());
            if meta.is_dir() {
                for entry in fs::read_dir(&path).map_err(|error| failed(&path, &error))? {
                    todo.push(entry.map_err(|error| failed(&path, &error))?.path());
                }
            }
            if meta.is_dir() || meta.nlink() == 1 {
                tree.bytes += blocks.bytes(&meta);
                tree.files += 1;
            } else {
                let file = linked.entry(meta.ino());
                file.or_insert((blocks.bytes(&meta), meta.nlink(), 0)).2 += 1;
            }
        }
        for (bytes, links, below) in linked.into_values() {
            if links == below {
                tree.bytes += bytes;
                tree.files += 1;
            }
        }
        Ok(Some(tree))
    }
}

/// When the inode was changed last.
pub(super) fn changed(meta: &fs::Metadata) -> SystemTime {
    let seconds = u64::try_from(meta.ctime()).unwrap_or(0);
    let nanos = u32::try_from(meta.ctime_nsec()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
}
