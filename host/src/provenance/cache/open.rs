//! Reading the file without a lock that Nix would wait for and without leaving files behind.
//!
//! Up to Nix 2.30 the file has a rollback journal, where even a reader's lock stops a writer: it
//! is read as if it were immutable, and read again if it changed meanwhile. Since 2.31 it has a
//! write-ahead log: with one beside it an ordinary connection is needed, and blocks nobody.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use rusqlite::{Connection, OpenFlags};

use super::{ATTEMPT, CURE};
use crate::{FactError, Kind, Result};

const RETRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

pub(super) fn with<T>(path: &Path, read: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T> {
    for _ in 0..RETRIES {
        let before = Stamp::of(path)?;
        if before.has_live_wal() {
            return query(path, false, &read).map_err(|e| error(path, &e));
        }
        if before.is_quiet() {
            let result = query(path, true, &read);
            if Stamp::of(path)? == before {
                return result.map_err(|e| error(path, &e));
            }
        }
        thread::sleep(PAUSE);
    }
    Err(FactError::new(
        Kind::Busy,
        ATTEMPT,
        path,
        "it is being written all the time, or its last writer was killed",
        "nothing to do if this passes; the next substitution mends it",
    ))
}

fn query<T>(
    path: &Path,
    immutable: bool,
    read: impl Fn(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri(path, immutable), flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch("PRAGMA query_only = 1; BEGIN")?;
    read(&connection)
}

fn uri(path: &Path, immutable: bool) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(*byte)),
            _ if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str(if immutable {
        "?mode=ro&immutable=1"
    } else {
        "?mode=ro"
    });
    uri
}

/// What tells a write.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: SystemTime,
    journal: u64,
    wal: Option<u64>,
    index: Option<u64>,
}

impl Stamp {
    fn of(path: &Path) -> Result<Self> {
        let io = |e: &io::Error| FactError::io(ATTEMPT, path, e, CURE);
        let meta = fs::metadata(path).map_err(|e| io(&e))?;
        Ok(Self {
            inode: meta.ino(),
            size: meta.size(),
            modified: meta.modified().map_err(|e| io(&e))?,
            journal: size_beside(path, "-journal")?.unwrap_or(0),
            wal: size_beside(path, "-wal")?,
            index: size_beside(path, "-shm")?,
        })
    }

    fn has_live_wal(&self) -> bool {
        self.wal.is_some_and(|size| size > 0) || (self.wal.is_some() && self.index.is_some())
    }

    /// Nobody is in the middle of a write, and the last one is so old that a next one cannot have
    /// the same time.
    fn is_quiet(&self) -> bool {
        let age = SystemTime::now().duration_since(self.modified);
        self.journal == 0 && age.map_or(true, |age| age > PAUSE)
    }
}

fn size_beside(path: &Path, suffix: &str) -> Result<Option<u64>> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(suffix);
    match fs::metadata(PathBuf::from(&beside)) {
        Ok(meta) => Ok(Some(meta.size())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(FactError::io(ATTEMPT, beside, &e, CURE)),
    }
}

fn error(path: &Path, source: &rusqlite::Error) -> FactError {
    use rusqlite::ErrorCode;
    let kind = match source.sqlite_error_code() {
        Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            Kind::Denied
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Kind::Busy,
        Some(ErrorCode::SystemIoFailure) => Kind::Io,
        _ => Kind::Malformed,
    };
    FactError::new(kind, ATTEMPT, path, source.to_string(), CURE)
}
