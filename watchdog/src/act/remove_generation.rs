//! The verb that gives up a generation, as `nix-env --profile P --delete-generations N` does: its
//! link goes, nothing else. `nix-env` refuses only the current one; what else must stay is the
//! plan's to know.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
    time::Duration,
};

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
    /// current one, a directory on the way to it is another user's ([`anothers`]), or the operating
    /// system refuses. The link is then as it was.
    pub fn run(&self, victim: &Victim) -> Result<(), FactError> {
        refuse_anothers(victim)?;
        let lock = ProfileLock::take(&victim.profile_link, self.lock_deadline)?;
        let outcome = remove(victim);
        lock.release();
        outcome
    }
}

/// The first directory between that of all profiles and this profile that somebody else could put
/// a link in the place of, and so lead us to the generations of another profile: while we wait for
/// the lock, there is all the time for it. From one that only root and the owner of all profiles
/// write to, the way stays what it is.
///
/// # Errors
/// A directory cannot be looked at.
pub fn anothers(profiles: &Path, profile_link: &Path) -> io::Result<Option<PathBuf>> {
    let all = fs::metadata(profiles)?;
    let directory = profile_link.parent().unwrap_or(profiles);
    let mut way = profiles.to_owned();
    for part in directory.strip_prefix(profiles).unwrap_or(directory) {
        way.push(part);
        let meta = fs::symlink_metadata(&way)?;
        let is_group_ours = [0, all.gid()].contains(&meta.gid());
        let writable = meta.mode() & if is_group_ours { 0o002 } else { 0o022 } != 0;
        // In a sticky one, as `per-user` once was, what is ours is nobody else's to rename.
        let is_sticky = meta.mode() & 0o1000 != 0;
        let is_ours = [0, all.uid()].contains(&meta.uid()) && (is_sticky || !writable);
        if !meta.is_dir() || !is_ours {
            return Ok(Some(way));
        }
    }
    Ok(None)
}

fn refuse_anothers(victim: &Victim) -> Result<(), FactError> {
    let below = victim.profile.components();
    let below = below.filter(|part| matches!(part, Component::Normal(_)));
    let link = &victim.profile_link;
    let profiles = link.ancestors().nth(below.count()).unwrap_or(link);
    let found = anothers(profiles, link);
    match found.map_err(|source| FactError::io(ATTEMPT, link, &source, ""))? {
        None => Ok(()),
        Some(directory) => Err(FactError::malformed(
            ATTEMPT,
            directory,
            "it is no directory of root's, so its owner could lead root to another profile",
            "its owner gives generations up with `nix-collect-garbage -d`",
        )),
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
