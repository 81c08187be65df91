//! The verb that removes a directory in which a build worked and which it left behind, as
//! `rm -r --one-file-system` would, once it was looked at again: whoever has to do with it by now,
//! or has changed anything in it, keeps it.

use std::{fs, io};

use snowguard_host::{FactError, Layout, LeftOver, LeftOverKind};

const ATTEMPT: &str = "remove what a build left";

/// Removes build directories of one host.
#[derive(Debug, Clone)]
pub struct RemoveBuildDirectory {
    /// The host.
    pub layout: Layout,
}

impl RemoveBuildDirectory {
    /// Removes one, with all that is in it. Links are removed and not followed, whoever changes
    /// what meanwhile (`remove_dir_all` goes down by file descriptors). One that is gone already
    /// is no error.
    ///
    /// # Errors
    /// It is in use by now, or another one; or the operating system refuses, and a part of it may
    /// be gone.
    pub fn run(&self, directory: &LeftOver) -> Result<(), FactError> {
        let path = &directory.path;
        if directory.kind != LeftOverKind::BuildDirectory {
            return Err(FactError::malformed(
                ATTEMPT,
                path,
                "it is no directory",
                "",
            ));
        }
        if directory.look_again(&self.layout)?.is_none() {
            return Ok(());
        }
        match fs::remove_dir_all(path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(FactError::io(ATTEMPT, path, &error, "remove it by hand")),
        }
    }
}
