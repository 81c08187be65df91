//! One consistent snapshot of `db.sqlite`, opened, read and closed: an idle connection would pin
//! the WAL and a long transaction would grow it without bound.
//!
//! Which way to open depends on the write-ahead log:
//! - It has content: an ordinary read-only connection; readers never block writers.
//! - It is empty (Nix >= 2.23 leaves it so) or absent (before, the last connection removes it):
//!   `immutable=1`, which touches no file. An ordinary connection would make or change the
//!   log's index: as root it leaves files behind, as anyone else and on a full disk it fails.
//!   The database is compared before and after, and read again if a checkpoint went into it.
//! - Never `immutable=1` beside a WAL with content: it would miss what the WAL holds.
//! - Where short commands of Nix follow each other, the database may never rest for as long as one
//!   reading takes. Then an ordinary connection reads beside them while there are a log, if empty,
//!   and its index: it has nothing to make.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
    time::{Duration, Instant, SystemTime},
};

use nix::{
    errno::Errno,
    unistd::{AccessFlags, access},
};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::pages::{self, Pages};
use crate::{FactError, Kind, Layout, Result};

const ATTEMPT: &str = "read the store database";
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
const DENIED_CURE: &str =
    "let this user read the state directory (Nix makes it world-readable), or run as root";
/// For so long a database that changes, or that is being written, is looked at again. Each of the
/// few readings of a scrape may take it, and Prometheus waits ten seconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// From one look to the next. A command of Nix has the database open for a few milliseconds.
const PAUSE: Duration = Duration::from_millis(2);
/// Older kernels stamp files by the tick; a younger modification could hide behind an equal stamp.
const SETTLED: Duration = Duration::from_millis(100);

/// An open snapshot. Everything read through it is of one moment.
#[derive(Debug)]
pub struct Snapshot {
    connection: Connection,
    path: PathBuf,
}

/// Held for reading while a connection is open, for writing while the database is read without
/// one: to close the file, however opened, drops the locks that SQLite has on it for the whole
/// process (POSIX locks belong to process and file, not to who took them).
static CONNECTIONS: RwLock<()> = RwLock::new(());

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// What tells, without opening them, whether the database's files have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Files {
    database: Stamp,
    /// If it has content.
    log: Option<Stamp>,
    being_written: bool,
}

impl Files {
    /// As they are now; `None` if there is no database, or they cannot be looked at.
    pub(super) fn now(layout: &Layout) -> Option<Self> {
        let path = layout.database();
        Some(Self {
            database: stamp(&path).ok()??,
            log: log(&path).ok()?,
            being_written: being_written(&path).ok()?,
        })
    }

    /// True if they were last written long enough ago that any further write would show.
    pub(super) fn rest(&self) -> bool {
        !self.being_written && settled(self.database) && self.log.is_none_or(settled)
    }
}

impl Snapshot {
    /// Opens the database, hands the snapshot to `read` and closes it again.
    ///
    /// `read` runs again if the file changed under a snapshot that nothing protected, so it must
    /// have no effect but its result.
    pub fn with<T>(layout: &Layout, read: impl Fn(&Self) -> Result<T>) -> Result<T> {
        let path = layout.database();
        let begun = Instant::now();
        let mut error = None;
        let mut spoilt = false;
        let mut again = true;
        while again {
            // A reading that takes long itself must not be the last one for that.
            again = begun.elapsed() < PATIENCE;
            let before = stamp(&path)?.ok_or_else(|| missing(&path))?;
            if before.size == 0 {
                return Err(not_a_store(&path, "the file is empty"));
            }
            let logged = log(&path)?;
            let rests = settled(before) && !spoilt;
            if logged.is_some() || !rests && begun.elapsed() >= SETTLED && has_log(&path)? {
                let _open = CONNECTIONS.read().unwrap_or_else(PoisonError::into_inner);
                match Self::open(&path, false) {
                    // A snapshot that is open is out of everybody's reach.
                    Ok(Some(snapshot)) => return read(&snapshot),
                    Ok(None) => {}
                    Err(why) if why.kind != Kind::Busy && stays(&path, logged)? => return Err(why),
                    Err(why) => error = Some(why),
                }
            } else if settled(before) && !being_written(&path)? {
                let outcome = {
                    let _open = CONNECTIONS.read().unwrap_or_else(PoisonError::into_inner);
                    Self::open(&path, true)
                        .and_then(|snapshot| snapshot.map(|open| read(&open)).transpose())
                };
                if stamp(&path)? == Some(before)
                    && !being_written(&path)?
                    && let Some(outcome) = outcome.transpose()
                {
                    return outcome;
                }
                spoilt = true;
            }
            std::thread::sleep(PAUSE);
        }
        Err(error.unwrap_or_else(|| never_at_rest(&path)))
    }

    /// Reads the database and its log without SQLite, which is several times as fast, if both
    /// rest and are of the one format that [`Pages`] knows; `None` if not: then [`Snapshot::with`]
    /// reads them, or says why they cannot be read.
    pub(super) fn pages<T>(
        layout: &Layout,
        read: impl FnOnce(&Pages) -> pages::Result<T>,
    ) -> Option<T> {
        let path = layout.database();
        let before = Files::now(layout).filter(Files::rest)?;
        let outcome = {
            let _alone = CONNECTIONS.write().unwrap_or_else(PoisonError::into_inner);
            let log = before.log.map(|_| with_suffix(&path, "-wal"));
            Pages::open(&path, log.as_deref()).and_then(|pages| read(&pages))
        };
        outcome.ok().filter(|_| Files::now(layout) == Some(before))
    }

    /// The connection, inside its read transaction.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// An error of a query through this snapshot, with path, cause and cure.
    pub fn error(&self, source: &rusqlite::Error) -> FactError {
        sqlite_error(&self.path, source)
    }

    /// `None` if the log that an ordinary connection needs is gone by now: SQLite would make
    /// another, or fail.
    fn open(path: &Path, immutable: bool) -> Result<Option<Self>> {
        let error = |source: rusqlite::Error| sqlite_error(path, &source);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let uri = uri(path, immutable);
        let connection = Connection::open_with_flags(uri, flags).map_err(error)?;
        // The first reading takes the lock that keeps the last connection of Nix from removing the
        // log. It does not wait for it: whoever is let in after that close would make another log.
        connection.busy_timeout(Duration::ZERO).map_err(error)?;
        connection
            .execute_batch("PRAGMA query_only = 1; BEGIN")
            .map_err(error)?;
        // Nothing has been read yet, and between this and that there is next to no time.
        if !immutable && sidecar(path, "-wal")?.is_none() {
            return Ok(None);
        }
        let tables: Vec<String> = connection
            .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .map_err(error)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(error)?;
        for table in ["ValidPaths", "Refs", "DerivationOutputs"] {
            if !tables.iter().any(|name| name == table) {
                return Err(not_a_store(path, &format!("it has no table {table}")));
            }
        }
        Ok(Some(Self {
            connection,
            path: path.to_owned(),
        }))
    }
}

/// After an ordinary connection has failed beside this log: whether that was no passing thing. The
/// last connection of Nix removes first the index and then the log, so the log must outlast that.
fn stays(path: &Path, logged: Option<Stamp>) -> Result<bool> {
    if logged.is_none() || log(path)? != logged {
        return Ok(false);
    }
    std::thread::sleep(SETTLED);
    Ok(log(path)? == logged)
}

/// A write-ahead log with its index, be it empty: whoever has the database open has them, and Nix >=
/// 2.23 leaves them in place.
fn has_log(path: &Path) -> Result<bool> {
    Ok(sidecar(path, "-wal")?.is_some() && sidecar(path, "-shm")?.is_some())
}

fn never_at_rest(path: &Path) -> FactError {
    let seconds = PATIENCE.as_secs();
    FactError::new(
        Kind::Busy,
        ATTEMPT,
        path,
        format!("it changed during each reading of {seconds} seconds, or stayed locked"),
        "nothing to do if this passes; if it stays, look which process holds the store open, or \
         run any command of Nix as root: it undoes what a crash has left half written",
    )
}

/// The write-ahead log, if it has content.
fn log(path: &Path) -> Result<Option<Stamp>> {
    Ok(sidecar(path, "-wal")?.filter(|log| log.size > 0))
}

fn settled(stamp: Stamp) -> bool {
    let modified = SystemTime::UNIX_EPOCH
        + Duration::new(
            u64::try_from(stamp.modified.0).unwrap_or(0),
            u32::try_from(stamp.modified.1).unwrap_or(0),
        );
    // A time of modification in the future says nothing about now.
    SystemTime::now()
        .duration_since(modified)
        .is_ok_and(|age| age >= SETTLED)
        || modified > SystemTime::now() + SETTLED
}

/// With `use-sqlite-wal = false` a transaction is written into the file itself, and `immutable=1`
/// heeds no lock. What is not committed is undone from the rollback journal, which Nix truncates
/// at each commit; Nix >= 2.5 also locks by a directory beside the file (`sqlite.cc`, VFS
/// `unix-dotfile`).
fn being_written(path: &Path) -> Result<bool> {
    Ok(sidecar_size(path, "-journal")?.is_some_and(|size| size > 0)
        || sidecar_size(path, ".lock")?.is_some())
}

fn sidecar_size(path: &Path, suffix: &str) -> Result<Option<u64>> {
    Ok(sidecar(path, suffix)?.map(|stamp| stamp.size))
}

fn sidecar(path: &Path, suffix: &str) -> Result<Option<Stamp>> {
    stamp(&with_suffix(path, suffix))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn stamp(path: &Path) -> Result<Option<Stamp>> {
    match fs::metadata(path) {
        Ok(meta) if suffixless_directory(path, &meta) => {
            Err(not_a_store(path, "it is a directory"))
        }
        Ok(meta) => Ok(Some(Stamp {
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        })),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FactError::io(ATTEMPT, path, &source, cure_of(&source))),
    }
}

fn suffixless_directory(path: &Path, meta: &fs::Metadata) -> bool {
    meta.is_dir()
        && path
            .extension()
            .is_some_and(|extension| extension == "sqlite")
}

fn cure_of(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::PermissionDenied {
        DENIED_CURE
    } else {
        ""
    }
}

fn missing(path: &Path) -> FactError {
    FactError::new(
        Kind::Missing,
        ATTEMPT,
        path,
        "no such file",
        "give the root directory of a host that runs Nix with --root, or install Nix",
    )
}

fn not_a_store(path: &Path, cause: &str) -> FactError {
    FactError::malformed(
        ATTEMPT,
        path,
        format!("not a Nix store database: {cause}"),
        "nothing is deleted while it cannot be read; look at it with `nix-store --verify`, \
         or restore it from a backup",
    )
}

/// Only `?`, `#` and `%` have a meaning in the path of an SQLite URI.
fn uri(path: &Path, immutable: bool) -> String {
    let mut out = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~+=:,@".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out.push_str("?mode=ro");
    if immutable {
        out.push_str("&immutable=1");
    }
    out
}

/// SQLite says no more than "unable to open". The file is not opened to find out: closing it again
/// would drop the locks of any other connection of this process.
fn cannot_open(path: &Path) -> (Kind, &'static str) {
    if access(path, AccessFlags::R_OK) == Err(Errno::EACCES) {
        return (Kind::Denied, DENIED_CURE);
    }
    match sidecar_size(path, "-wal") {
        Ok(Some(size)) if size > 0 => (
            Kind::Denied,
            "its write-ahead log has content but no index, which only a user who may write the \
             state directory can rebuild: run any command of Nix as root, or this program as root",
        ),
        _ => (Kind::Io, ""),
    }
}

fn sqlite_error(path: &Path, source: &rusqlite::Error) -> FactError {
    let (kind, cure) = match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            Kind::Busy,
            "another process holds the database; nothing to do if this passes",
        ),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => (
            Kind::Malformed,
            "nothing is deleted while it cannot be read; look at it with `nix-store --verify`, \
             or restore it from a backup",
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => cannot_open(path),
        Some(ErrorCode::PermissionDenied) => (Kind::Denied, DENIED_CURE),
        Some(_) => (Kind::Io, ""),
        // A column of another type, a table without a column: not the schema that Nix writes.
        None => (
            Kind::Malformed,
            "is this database written by a Nix newer than 2.35?",
        ),
    };
    FactError::new(kind, ATTEMPT, path, source.to_string(), cure)
}

#[cfg(test)]
mod tests;
