//! Bytes of disk that deleting paths frees, right on a hard-linked store.
//!
//! An inode is released when its last link goes. `--optimise` gives each file a link in `.links`,
//! which the collector removes when no store path has the file any more, so that link does not
//! count (`optimise-store.cc`; `gc.cc`, `removeUnusedLinks`). Blocks are counted, not lengths.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    ffi::OsStr,
    fs, io,
    ops::ControlFlow,
    os::unix::fs::{DirEntryExt, MetadataExt},
    path::{Path, PathBuf},
};

use crate::{FactError, Layout, Result};

mod blocks;

pub(super) use blocks::BLOCK;
pub(crate) use blocks::Blocks;

pub(super) const ATTEMPT: &str = "measure a store path";

/// What lies under one entry of the store directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of what has this one link only: directories and unshared files.
    pub own_bytes: u64,
    /// How many inodes that is.
    pub own_files: u64,
    /// Files with further links.
    pub shared: Vec<SharedFile>,
}

/// A file with more than one link: released with the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedFile {
    pub(super) inode: u64,
    pub(super) links: u64,
    pub(super) bytes: u64,
}

impl SharedFile {
    /// A file of so many links that takes so many bytes.
    #[must_use]
    pub const fn new(inode: u64, links: u64, bytes: u64) -> Self {
        Self {
            inode,
            links,
            bytes,
        }
    }
}

/// A footprint, and what of it may change without the path.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) footprint: Footprint,
    /// Files with this one link, which `--optimise` would replace by a shared one.
    pub(super) loose_files: u64,
}

impl Footprint {
    /// Bytes if every file with further links counted for its share: what to order paths by, not
    /// what deleting one frees.
    pub fn bytes(&self) -> u64 {
        let shared = self
            .shared
            .iter()
            .map(|file| file.bytes / file.links.max(1));
        self.own_bytes + shared.sum::<u64>()
    }

    /// Inodes below the path, shared ones among them.
    pub fn files(&self) -> u64 {
        self.own_files + self.shared.len() as u64
    }

    /// Walks one entry of the store directory. A file that vanishes during the walk is left out;
    /// the entry itself being gone is an empty footprint.
    pub fn read(layout: &Layout, name: &OsStr) -> Result<Self> {
        let blocks = Blocks::of(layout)?;
        let mut pace = || ControlFlow::<Infallible>::Continue(());
        let ControlFlow::Continue(walked) = Walked::read(layout, blocks, name, &mut pace)?;
        Ok(walked.footprint)
    }
}

impl Walked {
    /// As [`Footprint::read`], asking `pace` at each inode whether to go on.
    pub(super) fn read<B>(
        layout: &Layout,
        blocks: Blocks,
        name: &OsStr,
        pace: &mut dyn FnMut() -> ControlFlow<B>,
    ) -> Result<ControlFlow<B, Self>> {
        let mut walked = Self::default();
        let footprint = &mut walked.footprint;
        let mut todo: Vec<PathBuf> = vec![layout.store().join(name)];
        while let Some(path) = todo.pop() {
            if let ControlFlow::Break(why) = pace() {
                return Ok(ControlFlow::Break(why));
            }
            let Some(meta) = tolerate(&path, fs::symlink_metadata(&path))? else {
                continue;
            };
            let bytes = blocks.bytes(&meta);
            if meta.is_dir() {
                footprint.own_bytes += bytes;
                footprint.own_files += 1;
                let Some(entries) = tolerate(&path, fs::read_dir(&path))? else {
                    continue;
                };
                for entry in entries {
                    if let Some(entry) = tolerate(&path, entry)? {
                        todo.push(entry.path());
                    }
                }
            } else if meta.nlink() > 1 {
                let (inode, links) = (meta.ino(), meta.nlink());
                footprint.shared.push(SharedFile {
                    inode,
                    links,
                    bytes,
                });
            } else {
                footprint.own_bytes += bytes;
                footprint.own_files += 1;
                walked.loose_files += 1;
            }
        }
        Ok(ControlFlow::Continue(walked))
    }
}

/// `None` for what is gone meanwhile.
pub(super) fn tolerate<T>(path: &Path, result: io::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FactError::io(ATTEMPT, path, &source, "run as root")),
    }
}

/// The directory in which `--optimise` keeps a link to each file that it has seen.
pub(super) fn links_dir(layout: &Layout) -> PathBuf {
    layout.store().join(".links")
}

/// The inodes that `--optimise` keeps a link to.
pub fn optimised_inodes(layout: &Layout) -> Result<HashSet<u64>> {
    let links = links_dir(layout);
    let Some(entries) = tolerate(&links, fs::read_dir(&links))? else {
        return Ok(HashSet::new());
    };
    entries
        .map(|entry| {
            entry
                .map(|entry| entry.ino())
                .map_err(|source| FactError::io(ATTEMPT, &links, &source, ""))
        })
        .collect()
}

/// Adds up what deleting several entries together frees.
#[derive(Debug)]
pub struct Reclaim<'a> {
    optimised: &'a HashSet<u64>,
    seen: HashMap<u64, u64>,
    bytes: u64,
    files: u64,
}

impl<'a> Reclaim<'a> {
    /// Nothing deleted yet. `optimised` are the inodes with a link in `.links`.
    pub fn new(optimised: &'a HashSet<u64>) -> Self {
        Self {
            optimised,
            seen: HashMap::new(),
            bytes: 0,
            files: 0,
        }
    }

    /// The entry goes, too.
    pub fn add(&mut self, footprint: &Footprint) {
        self.bytes += footprint.own_bytes;
        self.files += footprint.own_files;
        for file in &footprint.shared {
            let seen = self.seen.entry(file.inode).or_insert(0);
            *seen += 1;
            if *seen == file.links - u64::from(self.optimised.contains(&file.inode)) {
                self.bytes += file.bytes;
                self.files += 1;
            }
        }
    }

    /// An entry that was added stays after all.
    pub fn remove(&mut self, footprint: &Footprint) {
        self.bytes -= footprint.own_bytes;
        self.files -= footprint.own_files;
        for file in &footprint.shared {
            let Some(seen) = self.seen.get_mut(&file.inode) else {
                continue;
            };
            if *seen == file.links - u64::from(self.optimised.contains(&file.inode)) {
                self.bytes -= file.bytes;
                self.files -= 1;
            }
            *seen -= 1;
        }
    }

    /// Bytes freed by all that was added.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Inodes freed by all that was added.
    pub fn files(&self) -> u64 {
        self.files
    }
}

#[cfg(test)]
mod tests;
