//! The word of a human or of a deploy tool that a system is well: a file in the state directory
//! that names the system, left by `snowguard confirm` and taken by the watchdog.
//!
//! It names a store path and not "whatever is on trial": what is deployed a moment later was not
//! looked at by whoever confirmed.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use snowguard_host::FactError;

const ATTEMPT: &str = "confirm a deploy";
/// A store path has at most 255 bytes behind the name of the store.
const MAX_LENGTH: u64 = 4096;

/// The confirmation of one host.
#[derive(Debug, Clone)]
pub struct Confirmation {
    path: PathBuf,
}

impl Confirmation {
    /// The one in this state directory.
    pub fn of(state_dir: &Path) -> Self {
        Self {
            path: state_dir.join("confirm"),
        }
    }

    /// The store path that was confirmed, `None` if none was.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn read(&self) -> Result<Option<String>, FactError> {
        let failed = |cause: &io::Error| FactError::io(ATTEMPT, &self.path, cause, "remove it");
        match fs::metadata(&self.path) {
            Ok(meta) if meta.len() > MAX_LENGTH => {
                let what = format!("it has {} bytes and should hold a store path", meta.len());
                return Err(FactError::malformed(ATTEMPT, &self.path, what, "remove it"));
            }
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(failed(&cause)),
        }
        let text = fs::read_to_string(&self.path).map_err(|cause| failed(&cause))?;
        Ok(Some(text.trim().to_owned()))
    }

    /// Confirms the system of a store path, as a whole: no half of it is ever read.
    ///
    /// # Errors
    /// The operating system refuses; nothing is confirmed then.
    pub fn leave(&self, store_path: &str) -> Result<(), FactError> {
        let beside = self.path.with_extension("new");
        let cure = "free some space on its file system, or make it writable";
        let written = File::create(&beside).and_then(|mut file| {
            file.write_all(store_path.as_bytes())?;
            file.sync_all()
        });
        let moved = written.and_then(|()| fs::rename(&beside, &self.path));
        moved.map_err(|cause| FactError::io(ATTEMPT, &self.path, &cause, cure))
    }

    /// Takes it away.
    ///
    /// # Errors
    /// It is still there.
    pub fn remove(&self) -> Result<(), FactError> {
        match fs::remove_file(&self.path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(FactError::io(ATTEMPT, &self.path, &cause, "remove it"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_read_once_it_is_whole_and_gone_when_taken() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let confirmation = Confirmation::of(dir.path());
        assert_eq!(confirmation.read().expect("none"), None);
        confirmation.leave("/nix/store/a").expect("left");
        confirmation.leave("/nix/store/b").expect("left again");
        let read = confirmation.read().expect("one");
        assert_eq!(read.as_deref(), Some("/nix/store/b"));
        confirmation.remove().expect("taken");
        confirmation.remove().expect("taken already");
        assert_eq!(fs::read_dir(dir.path()).expect("directory").count(), 0);
        fs::write(dir.path().join("confirm"), "x".repeat(5000)).expect("file");
        assert!(confirmation.read().is_err());
    }
}
