//! A host of sets and numbers, for tests: small enough to be judged by brute force, and written
//! to disk ([`files`]) as Nix would leave it, so that what is planned was read from files.

pub(crate) mod arbitrary;
pub(crate) mod files;
mod memory;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use snowguard_host::{
    Ages, FactError, LeftOver, LeftOverKind, LeftOvers,
    provenance::Regret,
    store::{FileSystem, Footprint, Keep},
};

use super::{
    facts::Scales,
    policy::{Policy, Space},
};

/// Base names of the store directory.
pub(crate) type Names = BTreeSet<String>;

/// A valid path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    pub(crate) references: Names,
    pub(crate) deriver: Option<String>,
    pub(crate) outputs: Names,
    /// What lies under it and under nothing else.
    pub(crate) own: Space,
    /// False if its files are gone although the database has it.
    pub(crate) on_disk: bool,
    /// False if what lies under it cannot be read.
    pub(crate) readable: bool,
}

/// A file with one link under each of several paths.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) holders: Names,
    pub(crate) blocks: u64,
    /// It has a link in `.links`.
    pub(crate) optimised: bool,
    /// It has a link outside the store.
    pub(crate) outside: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) target: String,
    /// Seconds since the epoch.
    pub(crate) created: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) current: Option<u64>,
    pub(crate) generations: Vec<Generation>,
}

/// What a build left beside the store.
#[derive(Debug, Clone)]
pub(crate) struct Left {
    pub(crate) kind: LeftOverKind,
    pub(crate) own: Space,
    /// Seconds since the epoch.
    pub(crate) changed: i64,
}

/// An automatic root.
#[derive(Debug, Clone)]
pub(crate) struct Auto {
    pub(crate) target: String,
    /// When its link, and when the link that this one names was made; seconds since the epoch.
    pub(crate) made: (i64, i64),
    /// It is a generation of somebody's profile.
    pub(crate) is_generation: bool,
}

impl Auto {
    /// The base name of the link that it names.
    pub(crate) fn link(&self, name: &str) -> String {
        match self.is_generation {
            true => format!("{name}-1-link"),
            false => format!("result-{name}"),
        }
    }
}

/// A generation of a profile by name and number.
pub(crate) type Handle = (String, u64);

/// The whole host.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) keep: Keep,
    pub(crate) entries: BTreeMap<String, Entry>,
    /// Entries of the store directory that the database does not know.
    pub(crate) strays: BTreeMap<String, Space>,
    pub(crate) shared: Vec<Shared>,
    /// Targets of links below `gcroots`.
    pub(crate) roots: Names,
    /// What only Nix knows to be in use.
    pub(crate) hidden: Names,
    pub(crate) profiles: Vec<Profile>,
    /// What builds left, by file name.
    pub(crate) left: BTreeMap<String, Left>,
    /// Which of it a build has begun to use, as only a look at it shows.
    pub(crate) begun: Names,
    /// Automatic roots by name.
    pub(crate) autos: BTreeMap<String, Auto>,
    pub(crate) booted: Option<String>,
    pub(crate) running: Option<String>,
    pub(crate) boot_default: Option<String>,
    pub(crate) good: Names,
    /// What came to this host only now.
    pub(crate) recent: Names,
    /// What it would take to have a path again; it came from elsewhere if nothing
    /// is said.
    pub(crate) regrets: BTreeMap<String, Regret>,
    pub(crate) disk: FileSystem,
}

/// The bytes that a file of so many blocks takes; checked where the file is made.
pub(crate) const BLOCK: u64 = 4096;

impl World {
    /// Whether `a` keeps `b` alive, as Nix has it.
    fn keeps(&self, a: &str, b: &str) -> bool {
        let Some(entry) = self.entries.get(a) else {
            return false;
        };
        self.entries.contains_key(b)
            && (entry.references.contains(b)
                || self.keep.derivations && entry.deriver.as_deref() == Some(b)
                || self.keep.outputs && entry.outputs.contains(b))
    }

    /// The valid paths that keep `name`, other than itself.
    pub(crate) fn keepers(&self, name: &str) -> Names {
        let others = self.entries.keys().filter(|other| *other != name);
        others.filter(|a| self.keeps(a, name)).cloned().collect()
    }

    /// A path with all that keeps it, directly or not.
    pub(crate) fn with_keepers(&self, name: &str) -> Names {
        let mut closure = Names::from([name.to_owned()]);
        let mut todo = vec![name.to_owned()];
        while let Some(name) = todo.pop() {
            let keepers = self.keepers(&name);
            todo.extend(keepers.difference(&closure).cloned());
            closure.extend(keepers);
        }
        closure
    }

    /// What is alive to a reader of the files when some generations are given up.
    pub(crate) fn alive_without(&self, given_up: &BTreeSet<Handle>) -> Names {
        self.alive_without_both(given_up, &Names::new())
    }

    /// The same when some automatic roots are, too.
    pub(crate) fn alive_without_both(&self, given_up: &BTreeSet<Handle>, autos: &Names) -> Names {
        let roots = self.autos.iter().filter(|(name, _)| !autos.contains(*name));
        let generations = self.profiles.iter().flat_map(|profile| {
            let stays = |generation: &&Generation| {
                !given_up.contains(&(profile.name.clone(), generation.number))
            };
            profile.generations.iter().filter(stays)
        });
        let mut alive: Names = generations
            .map(|generation| &generation.target)
            .chain(&self.roots)
            .chain(roots.map(|(_, auto)| &auto.target))
            .chain(&self.booted)
            .chain(&self.running)
            .filter(|name| self.entries.contains_key(*name))
            .cloned()
            .collect();
        self.spread(&mut alive);
        alive
    }

    /// What Nix holds alive.
    pub(crate) fn alive_to_nix(&self) -> Names {
        let mut alive = self.alive_without(&BTreeSet::new());
        let hidden = self.hidden.iter();
        alive.extend(
            hidden
                .filter(|name| self.entries.contains_key(*name))
                .cloned(),
        );
        self.spread(&mut alive);
        alive
    }

    /// What a valid path keeps alive, valid or not.
    fn kept_by<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = &'a String> {
        let derivations = self.keep.derivations.then_some(&entry.deriver);
        let outputs = self.keep.outputs.then_some(&entry.outputs);
        (entry.references.iter())
            .chain(derivations.into_iter().flatten())
            .chain(outputs.into_iter().flatten())
    }

    /// Valid ones of these with all that they keep.
    pub(crate) fn with_kept(&self, names: &Names) -> Names {
        let valid = names.iter().filter(|name| self.entries.contains_key(*name));
        let mut kept = valid.cloned().collect();
        self.spread(&mut kept);
        kept
    }

    /// To the fixed point.
    fn spread(&self, alive: &mut Names) {
        let mut todo: Vec<String> = alive.iter().cloned().collect();
        while let Some(entry) = todo.pop().and_then(|name| self.entries.get(&name)) {
            for kept in self.kept_by(entry) {
                if self.entries.contains_key(kept) && alive.insert(kept.clone()) {
                    todo.push(kept.clone());
                }
            }
        }
    }

    /// Targets of generations that are never given up.
    pub(crate) fn protected(&self) -> Names {
        let system = self.profiles.iter().find(|p| p.name == "system");
        let current = system.and_then(|p| {
            let mut all = p.generations.iter();
            all.find(|generation| Some(generation.number) == p.current)
        });
        (self
            .booted
            .iter()
            .chain(&self.running)
            .chain(&self.boot_default))
        .chain(current.map(|generation| &generation.target))
        .chain(&self.good)
        .cloned()
        .collect()
    }

    /// Generations that policy lets go, oldest first. Of rules for single profiles the model has
    /// those that name one of them alone.
    pub(crate) fn removable(&self, policy: &Policy) -> Vec<Handle> {
        let protected = self.protected();
        let mut removable = Vec::new();
        for profile in &self.profiles {
            let mut rules = policy.profiles.iter();
            let rule = rules.find(|rule| rule.pattern == profile.name);
            let keep = rule.and_then(|rule| rule.keep_generations);
            let keep = keep.unwrap_or(policy.keep_generations).max(1);
            let young = rule.and_then(|rule| rule.keep_younger_than);
            let young = young.unwrap_or(policy.keep_younger_than).as_secs();
            for generation in &profile.generations {
                let newer = profile.generations.iter().map(|g| g.number);
                let is_among_newest = newer.filter(|n| *n > generation.number).count() < keep;
                let is_young = NOW - generation.created < i64::try_from(young).unwrap();
                if !is_among_newest
                    && !is_young
                    && profile.current != Some(generation.number)
                    && protected.is_disjoint(&self.closure(&generation.target))
                {
                    let handle = (profile.name.clone(), generation.number);
                    removable.push((generation.created, handle));
                }
            }
        }
        removable.sort();
        removable.into_iter().map(|(_, handle)| handle).collect()
    }

    /// A path with all that it needs to run.
    fn closure(&self, name: &str) -> Names {
        let mut closure = Names::from([name.to_owned()]);
        let mut todo = vec![name.to_owned()];
        while let Some(entry) = todo.pop().and_then(|name| self.entries.get(&name)) {
            for reference in &entry.references {
                if self.entries.contains_key(reference) && closure.insert(reference.clone()) {
                    todo.push(reference.clone());
                }
            }
        }
        closure
    }

    /// Automatic roots that policy lets go, oldest first.
    pub(crate) fn removable_autos(&self, policy: &Policy) -> Vec<String> {
        let Some(least) = policy.stale_roots_older_than else {
            return Vec::new();
        };
        let protected = self.protected();
        let mut removable: Vec<(i64, String)> = (self.autos.iter())
            .filter(|(_, auto)| !auto.is_generation && !protected.contains(&auto.target))
            .map(|(name, auto)| (auto.made.0.max(auto.made.1), name.clone()))
            .filter(|(made, _)| NOW - made >= i64::try_from(least.as_secs()).unwrap())
            .collect();
        removable.sort();
        removable.into_iter().map(|(_, name)| name).collect()
    }

    /// Whether policy lets something go that a build left.
    pub(crate) fn is_removable(&self, name: &str, policy: &Policy) -> bool {
        self.left.get(name).is_some_and(|left| {
            let least = policy.ages().of(left.kind);
            least.is_some_and(|least| NOW - left.changed >= i64::try_from(least.as_secs()).unwrap())
        })
    }

    /// What builds left, as a reader finds it.
    pub(crate) fn left_overs(&self) -> Vec<LeftOver> {
        (0..)
            .zip(&self.left)
            .map(|(number, (name, left))| LeftOver {
                kind: left.kind,
                path: PathBuf::from("/left").join(name),
                changed: at(left.changed),
                bytes: left.own.bytes,
                files: left.own.files,
                derivation: None,
                identity: (1, number),
            })
            .collect()
    }

    /// When each link of an automatic root was made, by its base name.
    pub(crate) fn made(&self) -> BTreeMap<OsString, i64> {
        (self.autos.iter())
            .map(|(name, auto)| (OsString::from(name), auto.made.0))
            .collect()
    }

    /// What deleting these entries together frees; what cannot be read counts for nothing, and
    /// keeps the files that it shares.
    pub(crate) fn freed_by(&self, names: &Names) -> Space {
        let mut freed = Space::NONE;
        let measured = |name: &String| match self.entries.get(name) {
            Some(entry) => entry.on_disk && entry.readable,
            None => self.strays.contains_key(name),
        };
        for name in names.iter().filter(|name| measured(name)) {
            let own = self.entries.get(name).map(|entry| entry.own);
            freed = freed.plus(
                own.or_else(|| self.strays.get(name).copied())
                    .unwrap_or_default(),
            );
        }
        for file in &self.shared {
            let mut holders = file
                .holders
                .iter()
                .filter(|name| self.is_there(name))
                .peekable();
            let goes = holders.peek().is_some()
                && !file.outside
                && holders.all(|name| names.contains(name) && measured(name));
            if goes {
                freed = freed.plus(Space {
                    bytes: file.blocks * BLOCK,
                    files: 1,
                });
            }
        }
        freed
    }

    fn is_there(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.on_disk)
    }

    /// Entries and all that must go with them, if all of that can be measured and did not come
    /// only now.
    pub(crate) fn deletable(&self, dead: &Names) -> Names {
        let blocked = |name: &&String| {
            let closure = self.with_keepers(name);
            let is_readable = |name| self.entries.get(name).is_none_or(|entry| entry.readable);
            closure
                .iter()
                .any(|name| !is_readable(name) || self.recent.contains(name))
        };
        dead.iter().filter(|name| !blocked(name)).cloned().collect()
    }

    /// So much is free again.
    pub(crate) fn free(&mut self, freed: Space) {
        self.disk.avail_bytes += freed.bytes;
        // A file system that makes inodes as it needs them counts none.
        if self.disk.files > 0 {
            self.disk.files_free += freed.files;
        }
    }

    /// Deletes entries, which frees what they take.
    pub(crate) fn delete(&mut self, names: &Names) {
        self.free(self.freed_by(names));
        for name in names {
            self.entries.remove(name);
            self.strays.remove(name);
            for file in &mut self.shared {
                file.holders.remove(name);
            }
        }
    }
}

/// Weighs by the model; files with several links are those that were made on disk.
#[derive(Debug)]
pub(crate) struct FakeScales {
    weights: BTreeMap<OsString, Option<Footprint>>,
    arrived: BTreeMap<OsString, i64>,
    left: Vec<LeftOver>,
    made: BTreeMap<OsString, i64>,
}

/// The clock of the model when nothing else is said, seconds since the epoch.
pub(crate) const NOW: i64 = 1_700_100_000;

/// A time of the model.
pub(crate) fn at(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

impl FakeScales {
    /// Seconds since the epoch, by the base name.
    fn arrival(&self, name: &OsStr) -> i64 {
        self.arrived.get(name).copied().unwrap_or(0)
    }
}

impl Scales for FakeScales {
    fn weigh(&self, name: &OsStr) -> Result<Footprint, FactError> {
        match self.weights.get(name) {
            Some(Some(footprint)) => Ok(footprint.clone()),
            Some(None) => Err(FactError::malformed(
                "measure",
                PathBuf::from(name),
                "EIO",
                "",
            )),
            None => Ok(Footprint::default()),
        }
    }

    fn arrived(&self, name: &OsStr) -> Result<Option<SystemTime>, FactError> {
        Ok(Some(at(self.arrival(name))))
    }

    fn left_overs(&self, ages: Ages, now: SystemTime) -> LeftOvers {
        let mut left = LeftOvers {
            found: self.left.clone(),
            ..LeftOvers::default()
        };
        // A reader need not tell what is younger, but may.
        left.found.retain(|left| {
            ages.of(left.kind).is_some() && now.duration_since(left.changed).is_ok()
        });
        left
    }

    fn made(&self, link: &Path) -> Result<Option<SystemTime>, FactError> {
        let name = link.file_name().unwrap_or_default();
        Ok(self.made.get(name).map(|made| at(*made)))
    }
}
