//! What builds left behind beside the store: their directories, and their logs.
//!
//! A worker removes the directory of its build when the build ends (`DerivationGoal::deleteTmpDir`);
//! one that was killed, or that was told `--keep-failed`, leaves it for ever. A log stays until
//! somebody removes it: the collector of Nix knows neither.
//!
//! Only what lies on the file system of the store is found: anything else frees nothing there. And
//! whatever is in doubt is none: a name that Nix does not give, an owner that Nix does not build
//! as, something below that came from elsewhere, any process that has to do with it.

mod build_dirs;
mod in_use;
mod logs;
mod tree;

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::{FactError, Layout, Locks, NixConf, Result};

/// What kind of thing was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOverKind {
    /// The directory in which a build worked.
    BuildDirectory,
    /// The log of a build.
    Log,
}

/// One thing that was left and that nobody uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOver {
    /// What it is.
    pub kind: LeftOverKind,
    /// Where it is, as this process finds it.
    pub path: PathBuf,
    /// When anything of it was changed last. By the change times of inodes, which nothing sets
    /// back: what unpacks an archive into a build directory sets the others to any time.
    pub changed: SystemTime,
    /// Bytes that are available again when it is gone.
    pub bytes: u64,
    /// Inodes that are free again.
    pub files: u64,
    /// Of a log, the base name of the derivation.
    pub derivation: Option<String>,
    /// Device and inode: another one of the same name is another one.
    pub identity: (u64, u64),
}

/// How old each kind must be; what is `None` is not looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ages {
    /// Of build directories.
    pub build_directories: Option<Duration>,
    /// Of logs.
    pub logs: Option<Duration>,
}

impl Ages {
    /// How old one of this kind must be.
    pub fn of(self, kind: LeftOverKind) -> Option<Duration> {
        match kind {
            LeftOverKind::BuildDirectory => self.build_directories,
            LeftOverKind::Log => self.logs,
        }
    }
}

/// What builds left behind, and what of it could not be read and therefore counts for nothing.
#[derive(Debug, Default)]
pub struct LeftOvers {
    /// What nobody uses, by path.
    pub found: Vec<LeftOver>,
    /// Why further ones may be there.
    pub unreadable: Vec<FactError>,
}

impl LeftOvers {
    /// Looks for what is older than `ages` at `now` and in use by nobody.
    pub fn read(layout: &Layout, ages: Ages, now: SystemTime) -> Self {
        let mut left = Self::default();
        let is_old = |age: Duration| {
            move |changed: SystemTime| now.duration_since(changed).unwrap_or_default() >= age
        };
        if let Some(age) = ages.build_directories
            && let Err(error) = build_dirs::read(layout, &is_old(age), &mut left)
        {
            left.unreadable.push(error);
        }
        if let Some(age) = ages.logs
            && let Err(error) = logs::read(layout, &is_old(age), &mut left)
        {
            left.unreadable.push(error);
        }
        left.found.sort_by(|a, b| a.path.cmp(&b.path));
        left
    }
}

impl LeftOver {
    /// Looks at it once more: whether it is the one that was found, unchanged, and still used by
    /// nobody. `None` if it is gone.
    ///
    /// # Errors
    /// What is different, or could not be read.
    pub fn look_again(&self, layout: &Layout) -> Result<Option<()>> {
        let again = match self.kind {
            LeftOverKind::BuildDirectory => build_dirs::look_again(layout, self)?,
            LeftOverKind::Log => logs::look_again(self)?,
        };
        match again {
            None => Ok(None),
            Some((identity, changed)) if (identity, changed) == (self.identity, self.changed) => {
                Ok(Some(()))
            }
            Some(_) => Err(FactError::malformed(
                "remove what a build left",
                &self.path,
                "it was changed since it was looked at",
                "it stays; look again later",
            )),
        }
    }
}

/// Who may have made a build directory: root, whoever the store belongs to, and build users.
struct Owners {
    always: [u32; 2],
    /// Build users, and whether a build has each now.
    slots: Vec<(std::ops::Range<u32>, bool)>,
}

impl Owners {
    fn read(layout: &Layout, conf: &NixConf) -> Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let state = layout.state();
        let meta = std::fs::symlink_metadata(&state)
            .map_err(|error| FactError::io("see whose the store is", &state, &error, ""))?;
        // A store of one user has none; what a build user owns is then somebody else's, and stays.
        let slots = crate::build_users::slots(layout, conf).unwrap_or_default();
        let locks = Locks::read(layout)?;
        let mut read = Vec::new();
        for (uids, lock) in slots {
            read.push((uids, locks.is_held(&lock)?));
        }
        Ok(Self {
            always: [0, meta.uid()],
            slots: read,
        })
    }

    /// Whether Nix builds as this user, and no build has it now.
    fn is_idle(&self, uid: u32) -> bool {
        match self.slots.iter().find(|(uids, _)| uids.contains(&uid)) {
            Some((_, is_busy)) => !is_busy,
            None => self.always.contains(&uid),
        }
    }
}

#[cfg(test)]
mod tests;
