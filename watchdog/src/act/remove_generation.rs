//! The verb that gives up a generation, as `nix-env --profile P --delete-generations N` does: its
//! link goes, nothing else. `nix-env` refuses only the current one; what else must stay is the
//! plan's to know.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path, time::Duration};

use snowguard_host::FactError;

use super::set_profile::ProfileLock;
use crate::gc::ladder::Victim;

const ATTEMPT: &str = "give up a generation";

/// Removes the link of a generation.
#[derive(Debug, Clone)]
pub struct RemoveGeneration {
    /// How long to wait for Nix to let go of the profile.
    pub lock_deadline: Duration,
}

impl RemoveGeneration {
    /// What it would do, for observe mode.
    pub fn describe(&self, victim: &Victim) -> String {
        format!(
            "would give up generation {} of {:?}",
            victim.id.number, victim.profile
        )
    }

    /// Removes the link under the lock that Nix takes for the profile, if it still is the
    /// generation that was chosen and the profile does not point to it by now. A link that is
    /// gone already is no error.
    ///
    /// # Errors
    /// The lock is held for too long, the generation is another one by now or has become the
    /// current one, or the operating system refuses. The link is then as it was.
    pub fn run(&self, victim: &Victim) -> Result<(), FactError> {
        let lock = ProfileLock::take(&victim.profile_link, self.lock_deadline)?;
        let outcome = remove(victim);
        lock.release();
        outcome
    }
}

fn remove(victim: &Victim) -> Result<(), FactError> {
    let failed = |source: io::Error| FactError::io(ATTEMPT, &victim.link, &source, "");
    let changed = |cause: &str| {
        FactError::malformed(
            ATTEMPT,
            &victim.link,
            cause,
            "look at the generations, then plan anew",
        )
    };
    let (target, meta) = match (
        fs::read_link(&victim.link),
        fs::symlink_metadata(&victim.link),
    ) {
        (Err(source), _) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
        (target, meta) => (target.map_err(failed)?, meta.map_err(failed)?),
    };
    let created = meta.modified().map_err(failed)?;
    if target != victim.id.target || created != victim.id.created || meta.nlink() != 1 {
        return Err(changed("it is another generation than the one chosen"));
    }
    let current = match fs::read_link(&victim.profile_link) {
        Ok(current) => current,
        Err(source) if source.kind() == io::ErrorKind::NotFound => Path::new("").to_owned(),
        Err(source) => return Err(failed(source)),
    };
    if current.file_name() == victim.link.file_name() {
        return Err(changed("it has become the current one"));
    }
    fs::remove_file(&victim.link).map_err(failed)
}

#[cfg(test)]
mod tests;
