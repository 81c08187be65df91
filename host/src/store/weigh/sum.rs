//! What deleting everything that was weighed frees.

use std::{ffi::OsString, ops::ControlFlow};

use super::{
    Pace, Weights,
    links::{Shared, look},
};
use crate::{
    FactError, Layout,
    store::disk::{Blocks, SharedFile, Walked},
};

/// What deleting all that is dead frees on the disk.
#[derive(Debug, Default)]
pub struct Reclaimable {
    /// Bytes, as `statvfs` will show them.
    pub bytes: u64,
    /// Inodes.
    pub files: u64,
    /// What could not be read; it is not in the sums, so that at least so much is freed.
    pub unread: Vec<FactError>,
}

impl Weights {
    /// Adds everything up, with link counts as they are now. `strays` are dead entries that the
    /// database does not know: they have no row to be kept by and are walked. `unread` is what
    /// could not be walked before. Breaks off when `pace` does.
    pub fn sum<B>(
        &self,
        layout: &Layout,
        strays: &[OsString],
        unread: Vec<FactError>,
        pace: &mut Pace<'_, B>,
    ) -> ControlFlow<B, Reclaimable> {
        let mut sum = Reclaimable {
            unread,
            ..Reclaimable::default()
        };
        let mut files: Vec<SharedFile> = Vec::new();
        for entry in &self.entries {
            sum.bytes += entry.own_bytes;
            sum.files += u64::from(entry.own_files);
            files.extend(entry.shared.files());
        }
        walk_strays(layout, strays, &mut sum, &mut files, pace)?;
        let mut shared = fold(files);
        match look(layout, &mut shared, pace) {
            Ok(unused) => {
                let unused = unused?;
                sum.bytes += unused.bytes;
                sum.files += unused.files;
            }
            Err(error) => sum.unread.push(error),
        }
        for file in shared.iter().filter(|file| file.going >= file.links) {
            sum.bytes += file.bytes;
            sum.files += 1;
        }
        ControlFlow::Continue(sum)
    }
}

fn walk_strays<B>(
    layout: &Layout,
    strays: &[OsString],
    sum: &mut Reclaimable,
    files: &mut Vec<SharedFile>,
    pace: &mut Pace<'_, B>,
) -> ControlFlow<B> {
    if strays.is_empty() {
        return ControlFlow::Continue(());
    }
    let blocks = match Blocks::of(layout) {
        Ok(blocks) => blocks,
        Err(error) => {
            sum.unread.push(error);
            return ControlFlow::Continue(());
        }
    };
    for name in strays {
        match Walked::read(layout, blocks, name, pace) {
            Ok(walked) => {
                let walked = walked?;
                sum.bytes += walked.footprint.own_bytes;
                sum.files += walked.footprint.own_files;
                files.extend(walked.footprint.shared);
            }
            Err(error) => sum.unread.push(error),
        }
    }
    ControlFlow::Continue(())
}

/// Each inode once, with how many of its links go, in ascending order.
fn fold(mut files: Vec<SharedFile>) -> Vec<Shared> {
    files.sort_unstable_by_key(|file| file.inode);
    let mut shared: Vec<Shared> = Vec::new();
    for file in files {
        match shared.last_mut() {
            Some(last) if last.inode == file.inode => {
                last.going += 1;
                last.links = last.links.max(file.links);
            }
            _ => shared.push(Shared {
                inode: file.inode,
                bytes: file.bytes,
                going: 1,
                links: file.links,
            }),
        }
    }
    shared
}
