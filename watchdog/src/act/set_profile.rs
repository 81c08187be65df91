//! The verb that points a profile at one of its generations, as
//! `nix-env --profile PROFILE --switch-generation N` does.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, symlink},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::fcntl::OFlag;
use snowguard_host::{FactError, Kind};

use crate::rollback::facts::GenerationId;

const POLL: Duration = Duration::from_millis(50);
const ATTEMPT: &str = "set a profile";

/// Why a profile was not set, in one sentence. It is as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSet {
    /// Somebody else sets it at this moment: what is to be done is to be looked at anew.
    Busy(String),
    /// It could not be set.
    Failed(String),
}

impl From<FactError> for NotSet {
    fn from(error: FactError) -> Self {
        let why = error.to_string();
        match error.kind {
            Kind::Busy => Self::Busy(why),
            _ => Self::Failed(why),
        }
    }
}

/// Points a profile at one of its generations.
#[derive(Debug, Clone)]
pub struct SetProfile {
    /// The profile link as this process finds it, `…/nix/var/nix/profiles/system`.
    pub profile: PathBuf,
    /// How long to wait for Nix to let go of the profile.
    pub lock_deadline: Duration,
}

impl SetProfile {
    /// What it would do, for observe mode.
    pub fn describe(&self, target: &GenerationId) -> String {
        let generation = if target.has_link() {
            format!("generation {}", target.number)
        } else {
            "a new generation".to_owned()
        };
        format!(
            "would point {:?} at {generation} ({:?})",
            self.profile, target.store_path
        )
    }

    /// Points the profile at the target, under the lock that Nix takes for it. Done again, it
    /// does nothing. `from` is the number that the profile is expected at. Where the link of the
    /// target is gone or names another closure by now, the target becomes a new generation.
    ///
    /// # Errors
    /// The lock is held for too long; the profile points to neither `from` nor the target, so
    /// that somebody else deploys; or the operating system refuses. The profile is then as it was.
    pub fn run(&self, target: &GenerationId, from: Option<u64>) -> Result<(), NotSet> {
        let lock = ProfileLock::take(&self.profile, self.lock_deadline)?;
        let outcome = self.set(target, from);
        lock.release();
        outcome.map_err(NotSet::from)
    }

    fn link_name(&self, number: u64) -> Result<PathBuf, FactError> {
        let mut name = self
            .profile
            .file_name()
            .map(ToOwned::to_owned)
            .ok_or_else(|| {
                FactError::malformed(ATTEMPT, &self.profile, "it has no file name", "")
            })?;
        name.push(format!("-{number}-link"));
        Ok(PathBuf::from(name))
    }

    /// The number of the target: its own while its link is there, else that of the newest
    /// generation if that is the target, as Nix has it (`createGeneration`,
    /// src/libstore/profiles.cc), else a new one. True if its link must still be made.
    fn number(&self, target: &GenerationId) -> Result<(u64, bool), FactError> {
        let path = Path::new(&target.store_path);
        let is_at = |number: u64| -> Result<bool, FactError> {
            let link = self.profile.with_file_name(self.link_name(number)?);
            match fs::read_link(&link) {
                Ok(to) => Ok(to == path),
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(cause) => Err(failed(&link)(cause)),
            }
        };
        if is_at(target.number)? {
            return Ok((target.number, false));
        }
        let last = self.last_number()?;
        if is_at(last)? {
            return Ok((last, false));
        }
        Ok((last.saturating_add(1), true))
    }

    /// The highest number that a link of the profile has; 0 if there is none.
    fn last_number(&self) -> Result<u64, FactError> {
        let directory = self.profile.parent().unwrap_or(Path::new("."));
        let name = self
            .profile
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let mut last = 0;
        for entry in fs::read_dir(directory).map_err(failed(directory))? {
            let entry = entry.map_err(failed(directory))?.file_name();
            let entry = entry.to_string_lossy();
            let number = entry
                .strip_prefix(name.as_ref())
                .and_then(|rest| rest.strip_prefix('-')?.strip_suffix("-link")?.parse().ok());
            last = last.max(number.unwrap_or(0));
        }
        Ok(last)
    }

    fn set(&self, target: &GenerationId, from: Option<u64>) -> Result<(), FactError> {
        let (number, is_new) = self.number(target)?;
        let link = self.link_name(number)?;
        let current = match fs::read_link(&self.profile) {
            Ok(current) => Some(current),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(failed(&self.profile)(cause)),
        };
        if !is_new && current.as_ref() == Some(&link) {
            return Ok(());
        }
        let expected = from.map(|number| self.link_name(number)).transpose()?;
        let at = current.as_ref().and_then(|path| path.file_name());
        if at != expected.as_ref().map(|path| path.as_os_str()) {
            return Err(FactError::new(
                Kind::Busy,
                ATTEMPT,
                &self.profile,
                format!("it points to {current:?} by now, so somebody else deploys"),
                "let that deploy come to its end",
            ));
        }
        if is_new {
            let beside = self.profile.with_file_name(&link);
            symlink(&target.store_path, &beside).map_err(failed(&beside))?;
        }
        // As `replaceSymlink` of Nix (src/libutil/file-system.cc, 2.26): a link beside, renamed.
        let temporary = self.profile.with_file_name(format!(
            "{}.snowguard-{}",
            link.display(),
            std::process::id()
        ));
        match fs::remove_file(&temporary) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&temporary)(cause));
            }
            _ => {}
        }
        symlink(&link, &temporary).map_err(failed(&temporary))?;
        if let Err(cause) = fs::rename(&temporary, &self.profile) {
            // The rename failed and is reported; a link left behind harms nobody.
            let _ = fs::remove_file(&temporary);
            return Err(failed(&self.profile)(cause));
        }
        // A power cut must not find the switch done and the profile unset.
        if let Some(directory) = self.profile.parent() {
            let sync = File::open(directory).and_then(|directory| directory.sync_all());
            sync.map_err(failed(directory))?;
        }
        Ok(())
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> FactError + use<> {
    let path = path.to_owned();
    move |cause| FactError::io(ATTEMPT, path, &cause, "")
}

/// The lock that Nix takes on a profile (`lockProfile` in src/libstore/profiles.cc, 2.26): the
/// file `PROFILE.lock`, locked by flock, unlinked when released.
pub(super) struct ProfileLock {
    path: PathBuf,
    file: File,
}

impl ProfileLock {
    pub(super) fn take(profile: &Path, deadline: Duration) -> Result<Self, FactError> {
        let mut path = profile.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let failed =
            |cause: &io::Error| FactError::io("lock a profile", &path, cause, "run as root");
        let begun = Instant::now();
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).mode(0o600);
            // The directory may be a user's, and we are root.
            options.custom_flags(OFlag::O_NOFOLLOW.bits());
            let file = options.open(&path).map_err(|cause| failed(&cause))?;
            match file.try_lock() {
                // Who lets go of a lock unlinks it and leaves a token in it, so that who took it
                // in between knows to begin again (`PathLocks::lockPaths`, src/libstore/pathlocks.cc).
                Ok(()) if file.metadata().map_err(|cause| failed(&cause))?.len() == 0 => {
                    return Ok(Self { path, file });
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(cause)) => return Err(failed(&cause)),
            }
            if begun.elapsed() >= deadline {
                return Err(FactError::new(
                    Kind::Busy,
                    "lock a profile",
                    path,
                    format!("it was held for {}s", deadline.as_secs()),
                    "see which nix-env holds it",
                ));
            }
            thread::sleep(POLL);
        }
    }

    pub(super) fn release(mut self) {
        // As `deleteLockFile`, in its order: a token under the lock's name would keep Nix waiting
        // for ever. Both may fail, the second does on a full disk; the lock itself goes with the
        // file descriptor in any case.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.write_all(b"d");
    }
}

#[cfg(test)]
mod tests;
