//! One collection of Snowguard's at a time, whoever began it: the watchdog or an operator.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process,
};

use nix::fcntl::{Flock, FlockArg};

use super::plan::{Reason, Refusal};
use crate::act::ballast::Ballast;

/// Held as long as a collection goes on. The kernel lets it go with the process, however it ends.
#[derive(Debug)]
pub struct Alone(#[allow(dead_code, reason = "held, not read")] Flock<File>);

/// Why a collection cannot be begun.
#[derive(Debug, thiserror::Error)]
pub enum NotAlone {
    /// Another one goes on.
    #[error("process {pid} collects garbage already (it holds {path:?})")]
    Other {
        /// Its process, as it says.
        pid: String,
        /// The lock.
        path: PathBuf,
    },
    /// The lock cannot be taken.
    #[error(
        "cannot make sure that no other collection goes on: {path:?}: {source}; run as root, and \
         free an inode and a block there by hand"
    )]
    Io {
        /// The lock.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl Alone {
    /// Takes the lock in a directory, or says who has it.
    ///
    /// # Errors
    /// Why there is no collection now.
    pub fn take(directory: &Path) -> Result<Self, NotAlone> {
        Self::lock(directory, open(directory))
    }

    /// The same on a disk that may have no inode left for the lock: then the ballast gives one.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_giving_way(directory: &Path, ballast: &Ballast) -> Result<Self, NotAlone> {
        Self::lock(directory, ballast.giving_way(directory, || open(directory)))
    }

    /// Makes the lock while there is room for it. It is no error if there is none.
    pub fn prepare(directory: &Path) {
        let _ = open(directory);
    }

    fn lock(directory: &Path, file: io::Result<File>) -> Result<Self, NotAlone> {
        let path = path_in(directory);
        let failed = |source| NotAlone::Io {
            path: path.clone(),
            source,
        };
        let file = file.map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                // For whoever asks; the lock is what counts.
                let _ = lock
                    .set_len(0)
                    .and_then(|()| lock.write_all(process::id().to_string().as_bytes()));
                Ok(Self(lock))
            }
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                let pid: String = pid.chars().filter(char::is_ascii_digit).take(10).collect();
                Err(NotAlone::Other { pid, path })
            }
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }
}

impl NotAlone {
    /// That no collection begins for it.
    pub fn refusal(&self) -> Refusal {
        Refusal {
            reason: match self {
                Self::Other { .. } => Reason::Collecting,
                Self::Io { .. } => Reason::Blind,
            },
            detail: self.to_string(),
        }
    }
}

fn path_in(directory: &Path) -> PathBuf {
    directory.join("gc.lock")
}

fn open(directory: &Path) -> io::Result<File> {
    fs::create_dir_all(directory)?;
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path_in(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_one_collects_another_is_told_who_and_may_when_it_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let first = Alone::take(dir.path()).unwrap();
        let error = Alone::take(dir.path()).unwrap_err();
        let pid = process::id().to_string();
        assert!(error.to_string().contains(&pid), "{error}");
        assert_eq!(error.refusal().reason, Reason::Collecting);
        drop(first);
        Alone::take(dir.path()).unwrap();
    }

    #[test]
    fn a_lock_that_cannot_be_made_is_no_collection_of_another() {
        let dir = tempfile::tempdir().unwrap();
        // A file where the directory should be, whoever runs this.
        fs::write(dir.path().join("run"), "").unwrap();
        let error = Alone::take(&dir.path().join("run")).unwrap_err();
        assert_eq!(error.refusal().reason, Reason::Blind);
    }
}
