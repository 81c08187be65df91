//! What must outlive a restart, kept on disk: small JSON documents, each replaced as a whole.
//!
//! On a full disk the document goes to tmpfs instead: it then outlives a kill, though not a
//! reboot, and the remedy can go on. The newer of the two is the one that counts.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// One document in two places.
#[derive(Debug, Clone)]
pub struct Keep {
    name: String,
    state_dir: PathBuf,
    run_dir: PathBuf,
    sequence: u64,
}

#[derive(Serialize, Deserialize)]
struct Document<T> {
    sequence: u64,
    content: T,
}

/// Why a document could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The operating system refuses.
    #[error("cannot {attempt} the watchdog's state: {path:?}: {source}")]
    Io {
        /// `read` or `keep`.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is not what the watchdog wrote.
    #[error(
        "cannot read the watchdog's state: {path:?}: {cause}; nothing is decided without it: look \
         at the file, and remove it to begin anew"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

impl Keep {
    /// The document of this name (`NAME.json`).
    pub fn new(name: &str, state_dir: &Path, run_dir: &Path) -> Self {
        Self {
            name: name.to_owned(),
            state_dir: state_dir.to_owned(),
            run_dir: run_dir.to_owned(),
            sequence: 0,
        }
    }

    /// What was kept last, `None` if nothing ever was.
    ///
    /// # Errors
    /// If there is a document that cannot be read: beginning anew would forget what was decided.
    pub fn load<T: DeserializeOwned>(&mut self) -> Result<Option<T>, KeepError> {
        let mut newest: Option<Document<T>> = None;
        for path in [self.path(&self.state_dir), self.path(&self.run_dir)] {
            let text = match fs::read(&path) {
                Ok(text) => text,
                Err(source) if source.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => {
                    return Err(KeepError::Io {
                        attempt: "read",
                        path,
                        source,
                    });
                }
            };
            let document: Document<T> =
                serde_json::from_slice(&text).map_err(|error| KeepError::Malformed {
                    path,
                    cause: error.to_string(),
                })?;
            if newest
                .as_ref()
                .is_none_or(|newest| newest.sequence < document.sequence)
            {
                newest = Some(document);
            }
        }
        Ok(newest.map(|document| {
            self.sequence = document.sequence;
            document.content
        }))
    }

    /// Keeps a document in place of the one before.
    ///
    /// # Errors
    /// If neither place takes it; the one before is then still there.
    pub fn save<T: Serialize>(&mut self, content: &T) -> Result<(), KeepError> {
        let sequence = self.sequence + 1;
        let path = self.path(&self.state_dir);
        let text = serde_json::to_vec_pretty(&Document { sequence, content }).map_err(|error| {
            KeepError::Malformed {
                path: path.clone(),
                cause: error.to_string(),
            }
        })?;
        let spare = self.path(&self.run_dir);
        match replace(&path, &text) {
            Ok(()) => {
                // The spare is older by now; if it cannot go, its number says so.
                let _ = fs::remove_file(&spare);
            }
            Err(first) => {
                replace(&spare, &text).map_err(|_| KeepError::Io {
                    attempt: "keep",
                    path,
                    source: first,
                })?;
            }
        }
        self.sequence = sequence;
        Ok(())
    }

    fn path(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.json", self.name))
    }
}

/// Temporary file, sync, rename, sync of the directory: a power cut finds the old or the new one.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .open(&temporary)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(directory)?.sync_all()
    };
    let outcome = write();
    if outcome.is_err() {
        // Half a file is of no use and takes room that somebody needs.
        let _ = fs::remove_file(&temporary);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_last_is_read_back_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (state, run) = (dir.path().join("state"), dir.path().join("run"));
        let mut keep = Keep::new("machine", &state, &run);
        assert_eq!(keep.load::<String>().unwrap(), None);
        keep.save(&"one").unwrap();
        keep.save(&"two").unwrap();
        let mut again = Keep::new("machine", &state, &run);
        assert_eq!(again.load::<String>().unwrap().as_deref(), Some("two"));
    }

    #[test]
    fn a_disk_that_takes_nothing_does_not_stop_a_decision_from_being_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (state, run) = (dir.path().join("state"), dir.path().join("run"));
        let mut keep = Keep::new("machine", &state, &run);
        keep.save(&"on disk").unwrap();
        // A directory in the place of the temporary file: no write can succeed.
        fs::create_dir(state.join("machine.json.new")).unwrap();
        keep.save(&"on tmpfs").unwrap();
        let mut again = Keep::new("machine", &state, &run);
        assert_eq!(again.load::<String>().unwrap().as_deref(), Some("on tmpfs"));
        fs::remove_dir(state.join("machine.json.new")).unwrap();
        again.save(&"on disk again").unwrap();
        assert!(!run.join("machine.json").exists());
    }

    #[test]
    fn a_document_that_cannot_be_read_is_an_error_and_not_a_beginning() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("machine.json"), "{\"sequence\": 1, ").unwrap();
        let error = Keep::new("machine", dir.path(), dir.path())
            .load::<String>()
            .unwrap_err();
        assert!(error.to_string().contains("machine.json"), "{error}");
    }
}
