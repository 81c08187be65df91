//! The link farm below the profiles directories.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{Generation, GenerationId, Profile, parse_link_name};
use crate::{FactError, Kind, Layout, Result, STORE_DIR};

pub(super) const ATTEMPT: &str = "read the profiles";
pub(super) const CURE: &str = "make it readable to this user";

/// Where root's own profiles are besides the shared directory: Nix 2.14 and `nix profile` with
/// `use-xdg-base-directories`.
pub(super) const ROOTS_OWN: &str = "/root/.local/state/nix/profiles";

/// The generations that lie in one directory, by the name of their profile.
pub(super) type Farm = BTreeMap<OsString, Vec<Generation>>;

/// The profiles of a host.
#[derive(Debug)]
pub struct Profiles {
    /// Ascending by name.
    pub profiles: Vec<Profile>,
    /// What could not be read below the profiles directories: each is a part of the answer that
    /// is missing. A home directory of root that this user may not search is among them.
    pub unreadable: Vec<FactError>,
}

impl Profile {
    /// Reads one profile, wherever it is, by its link as the host names it. No lock is taken.
    ///
    /// # Errors
    /// If its directory or anything in it cannot be read, or there is no such profile.
    pub fn read(layout: &Layout, link: &Path) -> Result<Self> {
        let inside = layout.inside(link);
        let dir = inside.parent().unwrap_or(Path::new("/")).to_owned();
        let entries = fs::read_dir(&dir).map_err(|e| FactError::io(ATTEMPT, &dir, &e, CURE))?;
        let mut found = Profiles {
            profiles: Vec::new(),
            unreadable: Vec::new(),
        };
        found.walk(
            layout,
            link.parent().unwrap_or(Path::new("/")),
            &dir,
            entries,
        );
        if let Some(profile) = found.profiles.into_iter().find(|p| p.name == link) {
            return Ok(profile);
        }
        let cure = "see `snowguard generations` for the profiles there are";
        let none = || FactError::new(Kind::Missing, ATTEMPT, &inside, "there is none", cure);
        Err(found.unreadable.into_iter().next().unwrap_or_else(none))
    }
}

impl Profiles {
    /// Reads the profiles directories of a host: the shared one, all below it, and root's own.
    /// No lock is taken; a profile that changes meanwhile is seen before or after the change.
    ///
    /// # Errors
    /// If the shared profiles directory is missing or cannot be read. What cannot be read below
    /// it is in [`Profiles::unreadable`].
    pub fn read(layout: &Layout) -> Result<Self> {
        let mut found = Self {
            profiles: Vec::new(),
            unreadable: Vec::new(),
        };
        let shared = layout.profiles();
        let entries = fs::read_dir(&shared).map_err(|e| {
            let cure = match e.kind() {
                io::ErrorKind::PermissionDenied => CURE,
                _ => "is this the root of a host with Nix? see --root",
            };
            FactError::io(ATTEMPT, &shared, &e, cure)
        })?;
        found.walk(layout, Path::new(""), &shared, entries);
        found.roots_own(layout);
        found.profiles.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The profile with this name.
    pub fn get(&self, name: impl AsRef<Path>) -> Option<&Profile> {
        self.profiles.iter().find(|p| p.name == name.as_ref())
    }

    fn roots_own(&mut self, layout: &Layout) {
        let dir = layout.inside(ROOTS_OWN);
        match fs::read_dir(&dir) {
            Ok(entries) => self.walk(layout, Path::new(ROOTS_OWN), &dir, entries),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => self.unreadable.push(FactError::io(ATTEMPT, dir, &e, CURE)),
        }
    }

    /// Adds the profiles of one directory and of those below it. Links to directories are not
    /// followed, as the collector of Nix does not either (`libstore/gc.cc`, `findRoots`).
    fn walk(&mut self, layout: &Layout, name: &Path, dir: &Path, entries: fs::ReadDir) {
        let mut farm = Farm::new();
        let mut links: Vec<OsString> = Vec::new();
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(e) => {
                    self.unreadable.push(FactError::io(ATTEMPT, dir, &e, CURE));
                    continue;
                }
            };
            let (path, file_name) = (entry.path(), entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => match fs::read_dir(&path) {
                    Ok(entries) => self.walk(layout, &name.join(&file_name), &path, entries),
                    Err(e) => self.gone_or_unreadable(path, &e),
                },
                Ok(_) if is_temporary(&file_name) => {}
                Ok(kind) if kind.is_symlink() => match parse_link_name(&file_name) {
                    Some(_) => self.add_link(layout, &path, &mut farm),
                    None => links.push(file_name),
                },
                Ok(_) => {}
                Err(e) => self.gone_or_unreadable(path, &e),
            }
        }
        // A profile whose own link is gone still has generations that keep their targets alive;
        // a link without any generation is a profile of the oldest kind, straight to the store.
        for link in links {
            match is_profile(&dir.join(&link), &link) {
                Ok(true) => drop(farm.entry(link).or_default()),
                Ok(false) => {}
                Err(e) => self.unreadable.push(e),
            }
        }
        self.reap(name, dir, farm);
    }

    /// Adds the generation that the link is, if its name says so.
    pub(super) fn add_link(&mut self, layout: &Layout, link: &Path, farm: &mut Farm) {
        let Some(name) = link.file_name().filter(|name| !is_temporary(name)) else {
            return;
        };
        let Some((profile, number)) = parse_link_name(name) else {
            return;
        };
        match generation(layout, number, link) {
            Ok(Some(g)) => farm.entry(profile.to_owned()).or_default().push(g),
            Ok(None) => {}
            Err(e) => self.unreadable.push(e),
        }
    }

    /// Adds the profiles of a directory, whose generations these are.
    pub(super) fn reap(&mut self, name: &Path, dir: &Path, farm: Farm) {
        for (file_name, mut generations) in farm {
            generations.sort_by(|a, b| a.id.cmp(&b.id));
            let link = dir.join(&file_name);
            match current(&link, &file_name) {
                Ok(current) => self.profiles.push(Profile {
                    name: name.join(&file_name),
                    link,
                    current,
                    generations,
                }),
                Err(e) => self.unreadable.push(e),
            }
        }
    }

    pub(super) fn gone_or_unreadable(&mut self, path: PathBuf, error: &io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            self.unreadable
                .push(FactError::io(ATTEMPT, path, error, CURE));
        }
    }
}

/// One generation, or `None` if the link was deleted since the directory was listed.
fn generation(layout: &Layout, number: u64, link: &Path) -> Result<Option<Generation>> {
    let gone_or = |e: &io::Error| match e.kind() {
        io::ErrorKind::NotFound => Ok(None),
        _ => Err(FactError::io(ATTEMPT, link, e, CURE)),
    };
    let (target, meta) = match (fs::read_link(link), fs::symlink_metadata(link)) {
        (Ok(target), Ok(meta)) => (target, meta),
        (Err(e), _) | (_, Err(e)) => return gone_or(&e),
    };
    let created = meta
        .modified()
        .map_err(|e| FactError::io(ATTEMPT, link, &e, ""))?;
    Ok(Some(Generation {
        valid: in_store(layout, &target)?,
        id: GenerationId {
            number,
            target,
            created,
        },
        link: link.to_owned(),
    }))
}

/// The generation that a profile's link points at: `system -> system-42-link`, relative in every
/// Nix since 1.0, absolute when made by hand.
fn current(link: &Path, profile: &OsStr) -> Result<Option<u64>> {
    let target = match fs::read_link(link) {
        Ok(target) => target,
        // A file or directory of that name points nowhere.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
            ) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(FactError::io(ATTEMPT, link, &e, CURE)),
    };
    let parsed = target.file_name().and_then(parse_link_name);
    Ok(parsed
        .filter(|(name, _)| *name == profile)
        .map(|(_, number)| number))
}

/// True if a link without generations is a profile all the same: it points at a generation of its
/// own that is gone, or straight at the store. Other links only lead to other directories.
fn is_profile(link: &Path, name: &OsStr) -> Result<bool> {
    let direct = link_target(ATTEMPT, link)?.is_some_and(|target| target.starts_with(STORE_DIR));
    Ok(direct || current(link, name)?.is_some())
}

/// Links under which Nix makes a new link before it renames it into place, `.0_system-43-link`
/// (`replaceSymlink` in `libutil`): one that is left over is no generation.
fn is_temporary(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    bytes.first() == Some(&b'.') && bytes.get(1).is_some_and(u8::is_ascii_digit)
}

/// True if the store has the path that contains `target`.
pub(super) fn in_store(layout: &Layout, target: &Path) -> Result<bool> {
    if !target.starts_with(STORE_DIR) {
        return Ok(false);
    }
    let real = layout.inside(target);
    match fs::symlink_metadata(&real) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(FactError::io(ATTEMPT, real, &e, CURE)),
    }
}

/// Shared with the system's own links: the target of a link, `None` if there is no such link.
pub(super) fn link_target(attempt: &str, link: &Path) -> Result<Option<PathBuf>> {
    match fs::read_link(link) {
        Ok(target) => Ok(Some(target)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => Err(FactError::new(
            Kind::Malformed,
            attempt,
            link,
            "not a symbolic link",
            "",
        )),
        Err(e) => Err(FactError::io(attempt, link, &e, CURE)),
    }
}
