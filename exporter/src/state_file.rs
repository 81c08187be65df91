//! What the watchdog knows, handed to the exporter through a file on tmpfs.
//!
//! `{"version":1,"written_at_ms":…,"tick_seconds":15,"families":[{"name","help","kind":
//! "gauge|counter|info","samples":[{"labels":{…},"value":…}]}]}`. A value that JSON has no number
//! for is the string `NaN`, `+Inf` or `-Inf`.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::sample::Family;

mod names;
mod wire;

/// Where the file is on the host, as the host names it.
pub const PATH: &str = "/run/snowguard/state.json";

/// A file larger than this is not one of the watchdog's.
const MAX_BYTES: u64 = 16 << 20;

/// So many of the watchdog's ticks may pass before what it wrote is stale.
const TICKS_UNTIL_STALE: u32 = 3;

/// The samples of the watchdog's last tick.
#[derive(Debug, Clone, PartialEq)]
pub struct StateFile {
    /// When it was written, to the millisecond.
    pub written_at: SystemTime,
    /// How often the watchdog writes it, in whole seconds, at least 1.
    pub tick: Duration,
    /// The watchdog's families.
    pub families: Vec<Family>,
}

/// Why the state file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// The operating system refused; the watchdog's own doing if the file is missing.
    #[error("cannot {attempt} the watchdog's state file: {path:?}: {source}")]
    Io {
        /// `read` or `write`.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is not what the watchdog writes, so that nothing in it can be trusted.
    #[error(
        "cannot read the watchdog's state file: {path:?}: {cause}; \
         run snowguard and snowguard-exporter of the same version"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

impl StateFileError {
    /// True if there is no such file: no watchdog has run since boot.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl StateFile {
    /// Reads and checks the file: version, names (only `snowguard_`, `nix_` and `nixos_`), kinds,
    /// no family and no label set twice.
    ///
    /// # Errors
    /// [`StateFileError::Io`] if it cannot be read, [`StateFileError::Malformed`] if it is not a
    /// state file.
    pub fn read(path: &Path) -> Result<Self, StateFileError> {
        let io_error = |source| StateFileError::Io {
            attempt: "read",
            path: path.to_owned(),
            source,
        };
        let mut text = Vec::new();
        // A FIFO in its place must not hold up the collection.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(path)
            .map_err(io_error)?;
        if !file.metadata().map_err(io_error)?.is_file() {
            return Err(StateFileError::Malformed {
                path: path.to_owned(),
                cause: "it is not a file".to_owned(),
            });
        }
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut text)
            .map_err(io_error)?;
        let state = if u64::try_from(text.len()).is_ok_and(|len| len <= MAX_BYTES) {
            wire::parse(&text)
        } else {
            Err(format!("it is larger than {MAX_BYTES} bytes"))
        };
        state.map_err(|cause| StateFileError::Malformed {
            path: path.to_owned(),
            cause,
        })
    }

    /// Writes the file so that a reader sees the old or the new one, never a part: a temporary
    /// file beside it, then a rename. It is not synced, because it lives on tmpfs and means
    /// nothing after a reboot. Any user may read it, whatever the umask.
    ///
    /// # Errors
    /// [`StateFileError::Io`]; the file that was there before is still there.
    pub fn write_atomically(&self, path: &Path) -> Result<(), StateFileError> {
        // One fixed name: what a killed writer left behind is overwritten, not added to.
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        self.write_to(&temporary)
            .and_then(|()| fs::rename(&temporary, path))
            .map_err(|source| {
                let _ = fs::remove_file(&temporary);
                StateFileError::Io {
                    attempt: "write",
                    path: path.to_owned(),
                    source,
                }
            })
    }

    fn write_to(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(path)?;
        file.write_all(&wire::text(self)?)?;
        file.set_permissions(Permissions::from_mode(0o644))
    }

    /// True if the watchdog should have written a newer one by `now`: it is three ticks old, or
    /// dated as far in the future, so that its age is not known.
    pub fn is_stale(&self, now: SystemTime) -> bool {
        let limit = self.tick.saturating_mul(TICKS_UNTIL_STALE);
        let distance = match now.duration_since(self.written_at) {
            Ok(age) => age,
            Err(ahead) => ahead.duration(),
        };
        distance > limit
    }
}

fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
