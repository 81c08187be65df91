//! The kernel's table of file locks, `/proc/locks` (proc_locks(5)).

use std::{fs, path::Path};

use super::{ATTEMPT, mounts::Device};
use crate::{FactError, Result};

/// One exclusive `flock` that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) pid: u32,
    pub(super) device: Device,
    pub(super) inode: u64,
}

pub(super) fn read(path: &Path) -> Result<Vec<Entry>> {
    let text = fs::read_to_string(path).map_err(|e| {
        let cure = "the process file system must be mounted whole (systemd: ProcSubset=all)";
        FactError::io(ATTEMPT, path, &e, cure)
    })?;
    let mut entries = Vec::new();
    for line in text.lines() {
        if line.split_whitespace().nth(1) != Some("FLOCK") || !line.contains(" WRITE ") {
            continue;
        }
        let entry = parse_line(line).ok_or_else(|| {
            FactError::malformed(ATTEMPT, path, format!("not a lock: {line:?}"), "")
        })?;
        entries.push(entry);
    }
    Ok(entries)
}

/// `1: FLOCK  ADVISORY  WRITE 25761 fe:00:10428538 0 EOF`, device in hex, inode in decimal. A
/// waiter has `->` before `FLOCK` and is none of ours.
pub(super) fn parse_line(line: &str) -> Option<Entry> {
    let mut words = line.split_whitespace().skip(1);
    if (words.next()?, words.next()?, words.next()?) != ("FLOCK", "ADVISORY", "WRITE") {
        return None;
    }
    let pid = words.next()?.parse().ok()?;
    let mut file = words.next()?.split(':');
    let major = u32::from_str_radix(file.next()?, 16).ok()?;
    let minor = u32::from_str_radix(file.next()?, 16).ok()?;
    let inode = file.next()?.parse().ok()?;
    Some(Entry {
        pid,
        device: Device { major, minor },
        inode,
    })
}
