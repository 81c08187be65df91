//! The verb that keeps the target of a rollback from the garbage collector: a GC root of our own,
//! `/nix/var/nix/gcroots/snowguard/rollback-target`, as long as the remedy may act.
//!
//! The link of a generation keeps its closure as well, until somebody removes the link:
//! `nix-collect-garbage -d`, run by a timer, takes all generations but the current one, and on
//! trial the current one is the one that may be bad.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use snowguard_host::{FactError, Layout};

const ATTEMPT: &str = "keep the rollback target from the garbage collector";

/// The GC root of the rollback's target.
#[derive(Debug, Clone)]
pub struct TargetRoot {
    /// The link, as this process finds it. Its directory is ours and made when needed; the one
    /// above is Nix's and must be there.
    pub link: PathBuf,
}

impl TargetRoot {
    /// The root on a host.
    pub fn of(layout: &Layout) -> Self {
        Self {
            link: layout.state().join("gcroots/snowguard/rollback-target"),
        }
    }

    /// The root for a profile that is no system.
    pub fn of_profile(layout: &Layout, name: &str) -> Self {
        let link = format!("gcroots/snowguard/rollback-target-{name}");
        Self {
            link: layout.state().join(link),
        }
    }

    /// Roots this store path in place of any before, or nothing. True if that changed anything.
    /// Done again, it does nothing.
    ///
    /// # Errors
    /// The operating system refuses; the link is then as it was.
    pub fn run(&self, target: Option<&str>) -> Result<bool, FactError> {
        let found = match fs::read_link(&self.link) {
            Ok(found) => Some(found),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(failed(&self.link, &cause)),
        };
        match target {
            Some(target) if found.as_deref() == Some(Path::new(target)) => Ok(false),
            Some(target) => self.set(target).map(|()| true),
            None if found.is_none() => Ok(false),
            None => match fs::remove_file(&self.link) {
                Ok(()) => Ok(true),
                Err(cause) => Err(failed(&self.link, &cause)),
            },
        }
    }

    fn set(&self, target: &str) -> Result<(), FactError> {
        let Some(directory) = self.link.parent() else {
            return Err(FactError::malformed(
                ATTEMPT,
                &self.link,
                "it has no directory",
                "",
            ));
        };
        match fs::create_dir(directory) {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(directory, &cause));
            }
            _ => {}
        }
        // A link beside, renamed: at no moment is there no root. The one beside is a root, too.
        let beside = self.link.with_extension("new");
        match fs::remove_file(&beside) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&beside, &cause));
            }
            _ => {}
        }
        symlink(target, &beside).map_err(|cause| failed(&beside, &cause))?;
        if let Err(cause) = fs::rename(&beside, &self.link) {
            // The rename failed and is reported; what a link left behind keeps is the target.
            let _ = fs::remove_file(&beside);
            return Err(failed(&self.link, &cause));
        }
        let sync = File::open(directory).and_then(|directory| directory.sync_all());
        sync.map_err(|cause| failed(directory, &cause))
    }
}

fn failed(path: &Path, cause: &io::Error) -> FactError {
    FactError::io(ATTEMPT, path, cause, "run as root, with some space free")
}

#[cfg(test)]
mod tests;
