//! The kernel's table of file locks, `/proc/locks` (proc_locks(5)).

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::{ATTEMPT, mounts::Device};
use crate::{FactError, Result};

/// One `flock` that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) pid: u32,
    pub(super) device: Device,
    pub(super) inode: u64,
    /// Beside others of its kind.
    pub(super) shared: bool,
}

/// What the kernel hands out at once is at most a page (`seq_read` in `fs/seq_file.c`), at least
/// 4096 bytes, and less than that only for want of a whole further line.
const ONE_PIECE: usize = 4096 - 256;
const PASSES: u32 = 16;
const QUIET_PASSES: u32 = 2;

/// A table that comes in one piece is of one moment. A longer one is counted through piece by
/// piece, and a lock that is released between two pieces makes the next one skip another. So it
/// is read until further passes bring nothing new; a lock that is held all the while is not
/// missed, one that is released meanwhile may still be in.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut quiet = 0;
    for pass in 0..PASSES {
        let (bytes, one_piece) = read_once(path).map_err(|e| {
            let cure = "the process file system must be mounted whole (systemd: ProcSubset=all)";
            FactError::io(ATTEMPT, path, &e, cure)
        })?;
        let found = parse(&bytes, path)?;
        if one_piece {
            return Ok(found);
        }
        let before = entries.len();
        for entry in found {
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        quiet = if pass > 0 && entries.len() == before {
            quiet + 1
        } else {
            0
        };
        if quiet == QUIET_PASSES {
            break;
        }
    }
    Ok(entries)
}

/// The bytes of the table, and whether they are of one moment.
fn read_once(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(path)?;
    let mut piece = vec![0; 1 << 16];
    let mut bytes = Vec::new();
    let mut pieces = 0;
    loop {
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                pieces += 1;
                bytes.extend_from_slice(&piece[..length]);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let one_piece = pieces <= 1 && bytes.len() <= ONE_PIECE;
    Ok((bytes, one_piece))
}

fn parse(bytes: &[u8], path: &Path) -> Result<Vec<Entry>> {
    let malformed =
        |line: &str| FactError::malformed(ATTEMPT, path, format!("not a lock: {line:?}"), "");
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("not text"))?;
    let mut entries = Vec::new();
    for line in text.lines() {
        if line.split_whitespace().nth(1) != Some("FLOCK") {
            continue;
        }
        entries.push(parse_line(line).ok_or_else(|| malformed(line))?);
    }
    Ok(entries)
}

/// `1: FLOCK  ADVISORY  WRITE 25761 fe:00:10428538 0 EOF`, device in hex, inode in decimal. A
/// waiter has `->` before `FLOCK` and is none of ours.
pub(super) fn parse_line(line: &str) -> Option<Entry> {
    let mut words = line.split_whitespace().skip(1);
    let shared = match (words.next()?, words.next()?, words.next()?) {
        ("FLOCK", "ADVISORY", "WRITE") => false,
        ("FLOCK", "ADVISORY", "READ") => true,
        _ => return None,
    };
    let pid = words.next()?.parse().ok()?;
    let mut file = words.next()?.split(':');
    let major = u32::from_str_radix(file.next()?, 16).ok()?;
    let minor = u32::from_str_radix(file.next()?, 16).ok()?;
    let inode = file.next()?.parse().ok()?;
    Some(Entry {
        pid,
        device: Device { major, minor },
        inode,
        shared,
    })
}
