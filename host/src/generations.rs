//! Profiles and their generations, and which system is current, running, booted and boot default.
//!
//! Read from the links alone: `nix-env --list-generations` takes the lock of the profile and
//! waits for it without limit.

mod boot;
mod outlook;
mod profiles;
mod system;
mod users;

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

pub use boot::BootDefault;
pub use outlook::Outlook;
pub use profiles::Profiles;
pub use system::{System, SystemLink};

/// What makes a generation this one: numbers are used again after a rollback and a deletion of
/// newer generations, and the same system can be built twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GenerationId {
    /// The number in the name of its link.
    pub number: u64,
    /// What the link points at, as the host names it.
    pub target: PathBuf,
    /// When the link was made.
    pub created: SystemTime,
}

/// One generation of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Number, target and age.
    pub id: GenerationId,
    /// The link, where this process finds it.
    pub link: PathBuf,
    /// False if the link dangles: its target is not in the store.
    pub valid: bool,
}

/// A profile: a link to one of its generations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The path below the profiles directory, `system` or `per-user/root/profile`; for a profile
    /// elsewhere the absolute path on the host.
    pub name: PathBuf,
    /// The profile's own link, where this process finds it. It need not exist.
    pub link: PathBuf,
    /// The number of the generation that the profile points at. There may be no generation of
    /// that number any more; `None` if the profile points at none by its name.
    pub current: Option<u64>,
    /// All generations, ascending by number.
    pub generations: Vec<Generation>,
}

impl Profile {
    /// The generation that the profile points at, if it exists.
    pub fn current_generation(&self) -> Option<&Generation> {
        self.generation(self.current?)
    }

    /// The generation of this number.
    pub fn generation(&self, number: u64) -> Option<&Generation> {
        self.generations.iter().find(|g| g.id.number == number)
    }

    /// The newest generation with this target, or the current one if several have it.
    pub fn generation_of(&self, target: &Path) -> Option<&Generation> {
        self.current_generation()
            .filter(|g| g.id.target == target)
            .or_else(|| {
                self.generations
                    .iter()
                    .rev()
                    .find(|g| g.id.target == target)
            })
    }
}

/// Splits the name of a generation's link, `PROFILE-NUMBER-link`, into profile and number
/// (`parseName` in `libstore/profiles.cc`).
pub(crate) fn parse_link_name(name: &OsStr) -> Option<(&OsStr, u64)> {
    let stem = name.as_bytes().strip_suffix(b"-link")?;
    let dash = stem.iter().rposition(|byte| *byte == b'-')?;
    let (profile, number) = (&stem[..dash], &stem[dash + 1..]);
    if profile.is_empty() || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some((OsStr::from_bytes(profile), number))
}

#[cfg(test)]
mod tests;
