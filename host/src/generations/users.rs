//! The profiles of users: those of `nix profile` and home-manager, which lie in their homes.
//!
//! Apart from [`Profiles::read`], because they are for the eyes alone: what a user has is no space
//! of Snowguard's to give up, and whoever removed links in a directory of theirs as root could be
//! led elsewhere.

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    Profiles, parse_link_name,
    profiles::{ATTEMPT, CURE, ROOTS_OWN},
};
use crate::{FactError, Layout, Result, STORE_DIR, locks::Mounts};

/// Below a home, since Nix 2.14; home-manager has its own there, too (`createDirs` in
/// `libstore/profiles.cc`, without `XDG_STATE_HOME`).
const IN_A_HOME: &str = ".local/state/nix/profiles";

/// What file systems are called that others serve, or that are mounted when they are looked at.
const FAR: [&str; 8] = ["nfs", "cifs", "smb", "fuse", "autofs", "9p", "ceph", "afs"];

impl Profiles {
    /// The profiles of [`Profiles::read`] and those of all users, by the links of their generations
    /// in `gcroots/auto` and by the homes of `/etc/passwd`. What cannot be read of them is in
    /// [`Profiles::unreadable`].
    ///
    /// # Errors
    /// Those of [`Profiles::read`].
    pub fn everybodys(layout: &Layout) -> Result<Self> {
        let mut found = Self::read(layout)?;
        let shared = Path::new("/nix/var/nix/profiles");
        let known = [layout.profiles(), layout.inside(ROOTS_OWN)];
        let mut seen: HashSet<_> = (known.iter())
            .filter_map(|directory| fs::metadata(directory).ok())
            .map(|meta| (meta.dev(), meta.ino()))
            .collect();
        let rooted = found.rooted(layout);
        let homes = found.homes(layout);
        // By the name that a root has for it, where both lead to one.
        for directory in rooted.iter().chain(homes.difference(&rooted)) {
            // What lies below the shared directory was read with it, and root's own, too.
            if !directory.starts_with(shared) && directory != Path::new(ROOTS_OWN) {
                found.farm(layout, directory, &mut seen);
            }
        }
        found.profiles.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Where the links of generations lie that automatic roots name, as the host names it.
    fn rooted(&mut self, layout: &Layout) -> BTreeSet<PathBuf> {
        let automatic = layout.state().join("gcroots/auto");
        let mut directories = BTreeSet::new();
        let entries = match fs::read_dir(&automatic) {
            Ok(entries) => entries,
            Err(e) => {
                self.gone_or_unreadable(automatic, &e);
                return directories;
            }
        };
        for entry in entries {
            let target = entry.and_then(|entry| fs::read_link(entry.path()));
            let target = match target {
                Ok(target) => target,
                // A link that went meanwhile, and what is none.
                Err(e) if is_no_link(&e) => continue,
                Err(e) => {
                    self.gone_or_unreadable(automatic.clone(), &e);
                    continue;
                }
            };
            // `nix-store --store DIR` writes the way from outside of `DIR`.
            let logical = match target.strip_prefix(layout.root()) {
                Ok(below) => Path::new("/").join(below),
                Err(_) => target,
            };
            if let (Some(name), Some(directory)) = (logical.file_name(), logical.parent())
                && logical.is_absolute()
                && parse_link_name(name).is_some()
            {
                directories.insert(directory.to_owned());
            }
        }
        directories
    }

    /// Where the users of `/etc/passwd` have their profiles, if they have any. Not those whose homes
    /// lie on a network: what nothing leads to there is not looked for, because whoever looks may
    /// have to wait for a server that is gone.
    fn homes(&mut self, layout: &Layout) -> BTreeSet<PathBuf> {
        let file = layout.inside("/etc/passwd");
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(e) => {
                self.gone_or_unreadable(file, &e);
                return BTreeSet::new();
            }
        };
        let mounts = match Mounts::read(&layout.proc_dir().join("self/mountinfo")) {
            Ok(mounts) => mounts,
            // Which of them lie on a network is not known.
            Err(e) => {
                self.unreadable.push(e);
                return BTreeSet::new();
            }
        };
        let is_far = |directory: &Path| {
            let kind = mounts.kind_over(directory);
            kind.is_some_and(|kind| FAR.iter().any(|far| kind.starts_with(far)))
        };
        (String::from_utf8_lossy(&text).lines())
            .filter_map(|line| line.split(':').nth(5))
            .map(|home| Path::new(home).join(IN_A_HOME))
            .filter(|directory| directory.is_absolute() && !is_far(&layout.inside(directory)))
            .collect()
    }

    /// Adds the profiles of this one directory; `seen` are those that were added by any name.
    fn farm(&mut self, layout: &Layout, directory: &Path, seen: &mut HashSet<(u64, u64)>) {
        let real = layout.inside(directory);
        let entries = fs::metadata(&real).and_then(|meta| {
            let is_new = seen.insert((meta.dev(), meta.ino()));
            is_new.then(|| fs::read_dir(&real)).transpose()
        });
        match entries {
            Ok(Some(entries)) => self.generations_in(layout, directory, &real, entries),
            Ok(None) => {}
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => {}
            Err(e) => self.gone_or_unreadable(real, &e),
        }
    }

    /// Links of generations to the store alone: any other link that lies beside them is the user's own.
    fn generations_in(
        &mut self,
        layout: &Layout,
        name: &Path,
        directory: &Path,
        entries: fs::ReadDir,
    ) {
        let mut farm = super::profiles::Farm::new();
        for entry in entries {
            match entry {
                Ok(entry) => {
                    let link = entry.path();
                    // A user's link can lead here from anywhere, to a directory of any size.
                    if parse_link_name(&entry.file_name()).is_some()
                        && fs::read_link(&link).is_ok_and(|target| target.starts_with(STORE_DIR))
                    {
                        self.add_link(layout, &link, &mut farm);
                    }
                }
                Err(e) => (self.unreadable).push(FactError::io(ATTEMPT, directory, &e, CURE)),
            }
        }
        self.reap(name, directory, farm);
    }
}

fn is_no_link(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
    )
}
