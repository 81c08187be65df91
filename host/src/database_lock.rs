//! Who holds the database of the store for writing: whatever else wants to write waits for it, up
//! to an hour (`busy_timeout` in `sqlite.cc`), and says nothing.
//!
//! SQLite locks bytes of files (POSIX locks). With a write-ahead log a writer holds one byte of its
//! index (`WAL_WRITE_LOCK` in `wal.c`); a connection in exclusive mode, or any writer without such
//! a log, holds bytes of the database itself.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use crate::{
    FactError, Layout, Result,
    locks::{Device, Mounts},
};

const ATTEMPT: &str = "see who writes to the store database";
/// `WALINDEX_LOCK_OFFSET` and `WAL_WRITE_LOCK`.
const WRITERS_BYTE: u64 = 120;

/// The process that writes to the database at this moment, if one does. A build registers its
/// outputs in milliseconds; one that is seen twice holds everybody else up.
///
/// # Errors
/// If the locks cannot be read, or the files may not be looked at.
pub fn database_writer(layout: &Layout) -> Result<Option<u32>> {
    let path = layout.proc_dir().join("locks");
    let cure = "the process file system must be mounted whole (systemd: ProcSubset=all)";
    let table = fs::read_to_string(&path).map_err(|e| FactError::io(ATTEMPT, &path, &e, cure))?;
    let database = layout.database();
    let mut index = database.as_os_str().to_owned();
    index.push("-shm");
    let mut mounts = None;
    for (file, byte) in [
        (database.as_path(), None),
        (Path::new(&index), Some(WRITERS_BYTE)),
    ] {
        let meta = match fs::symlink_metadata(file) {
            Ok(meta) => meta,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(FactError::io(ATTEMPT, file, &e, "run as root")),
        };
        for lock in table.lines().filter_map(parse) {
            let is_there = byte.is_none_or(|byte| (lock.first..=lock.last).contains(&byte));
            if lock.inode != meta.ino() || !is_there {
                continue;
            }
            let mounts = match &mounts {
                Some(mounts) => mounts,
                None => {
                    let path = layout.proc_dir().join("self/mountinfo");
                    mounts.insert(Mounts::read(&path)?)
                }
            };
            if mounts.device_of(Device::of(&meta), file)? == lock.device {
                return Ok(Some(lock.pid));
            }
        }
    }
    Ok(None)
}

struct Lock {
    pid: u32,
    device: Device,
    inode: u64,
    first: u64,
    last: u64,
}

/// `7: POSIX  ADVISORY  WRITE 25761 fe:00:10428538 120 120`; the end may be `EOF`. A waiter has
/// `->` before its kind.
fn parse(line: &str) -> Option<Lock> {
    let mut words = line.split_whitespace().skip(1);
    if (words.next()?, words.next()?, words.next()?) != ("POSIX", "ADVISORY", "WRITE") {
        return None;
    }
    let pid = words.next()?.parse().ok()?;
    let mut file = words.next()?.split(':');
    let major = u32::from_str_radix(file.next()?, 16).ok()?;
    let minor = u32::from_str_radix(file.next()?, 16).ok()?;
    Some(Lock {
        pid,
        device: Device { major, minor },
        inode: file.next()?.parse().ok()?,
        first: words.next()?.parse().ok()?,
        last: match words.next()? {
            "EOF" => u64::MAX,
            last => last.parse().ok()?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_the_writers_byte_is_told_from_those_of_readers_and_waiters() {
        let parsed = |line| parse(line).map(|lock| (lock.pid, lock.first, lock.last));
        let line = "7: POSIX  ADVISORY  WRITE 77 fe:00:10428538 120 120";
        assert_eq!(parsed(line), Some((77, 120, 120)));
        let line = "8: POSIX  ADVISORY  WRITE 78 00:2a:5 0 EOF";
        assert_eq!(parsed(line), Some((78, 0, u64::MAX)));
        for line in [
            "7: POSIX  ADVISORY  READ 77 fe:00:10428538 124 124",
            "7: -> POSIX  ADVISORY  WRITE 77 fe:00:10428538 120 120",
            "7: FLOCK  ADVISORY  WRITE 77 fe:00:10428538 0 EOF",
            "",
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }
}
