//! What a plan is made from: the store, its generations, and what must stay.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use snowguard_host::{
    Ages, BootDefault, FactError, Layout, LeftOvers, Locks, NixConf, Profiles, System,
    provenance::{self, Regrets},
    store::{Analysis, FileSystem, Footprint, Keep, mark, optimised_inodes},
};

use crate::act::{ballast::Ballast, boot_menu::BootMenu, remove_generation::anothers};

/// The host at one moment, as far as a collection needs it.
#[derive(Debug)]
pub struct Facts {
    /// Graph, roots and dead set.
    pub analysis: Analysis,
    /// The file system of the store.
    pub file_system: FileSystem,
    /// Every profile.
    pub profiles: Profiles,
    /// Store paths of systems that are never given up, and what each is.
    pub protected: Vec<Protected>,
    /// What it would take to have the dead paths again.
    pub regrets: Regrets,
    /// When the host was read, by its own clock.
    pub now: SystemTime,
    /// Inodes with a link in `.links`.
    pub optimised: HashSet<u64>,
    /// The process that holds `gc.lock`: another collection is under way.
    pub collector: Option<u32>,
    /// Why the boot loader's menu cannot be written anew. No generation goes then that it names.
    pub boot_menu_stays: Option<String>,
    /// Store paths that it may name still though their generations are gone: they stay, with all
    /// that they reference.
    pub named_by_menu: Vec<PathBuf>,
}

/// A system whose generation is never given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    /// Its store path.
    pub store_path: PathBuf,
    /// What it is: booted, running, current, boot default, known good.
    pub what: &'static str,
}

/// Measures what lies under an entry of the store directory.
pub trait Scales {
    /// Bytes and inodes under the entry.
    ///
    /// # Errors
    /// If something under it cannot be read.
    fn weigh(&self, name: &OsStr) -> Result<Footprint, FactError>;

    /// When the entry came to this host, or later. `None` if it is gone.
    ///
    /// # Errors
    /// If that cannot be read.
    fn arrived(&self, name: &OsStr) -> Result<Option<SystemTime>, FactError>;

    /// What builds left beside the store. Read only when it is needed: on a host with many logs
    /// it takes longer than the whole plan.
    fn left_overs(&self, ages: Ages, now: SystemTime) -> LeftOvers;

    /// Whether what would go first on a disk without any room is to be told with the plan. A run finds
    /// it when it comes to that.
    fn tells_room(&self) -> bool {
        true
    }

    /// When a link was made. `None` if it is gone.
    ///
    /// # Errors
    /// If that cannot be read.
    fn made(&self, link: &Path) -> Result<Option<SystemTime>, FactError>;

    /// Whether a generation, by its link and that of its profile, or an automatic root may be
    /// given up, as far as policy lets it go. The profiles of users may not.
    fn may_go(&self, _link: &Path, _profile: Option<&Path>) -> bool {
        true
    }
}

impl Scales for Layout {
    fn weigh(&self, name: &OsStr) -> Result<Footprint, FactError> {
        Footprint::read(self, name)
    }

    /// Nix sets the time of modification to 1 s after the epoch and copies registration times
    /// along with paths; the change time of the inode is this host's own, and nothing sets it
    /// back. `--optimise` makes an entry look younger, which keeps it longer.
    fn arrived(&self, name: &OsStr) -> Result<Option<SystemTime>, FactError> {
        let path = self.store().join(name);
        match fs::symlink_metadata(&path) {
            Ok(meta) => {
                let seconds = u64::try_from(meta.ctime()).unwrap_or(0);
                Ok(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)))
            }
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => {
                let attempt = "ask when a store path came";
                Err(FactError::io(attempt, path, &source, "run as root"))
            }
        }
    }

    fn left_overs(&self, ages: Ages, now: SystemTime) -> LeftOvers {
        LeftOvers::read(self, ages, now)
    }

    fn made(&self, link: &Path) -> Result<Option<SystemTime>, FactError> {
        match fs::symlink_metadata(link).and_then(|meta| meta.modified()) {
            Ok(made) => Ok(Some(made)),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => {
                let attempt = "ask when a root was made";
                Err(FactError::io(attempt, link, &source, "run as root"))
            }
        }
    }

    fn may_go(&self, _link: &Path, profile: Option<&Path>) -> bool {
        profile.is_none_or(|profile| {
            let shared = self.profiles();
            let is_shared = profile.starts_with(&shared);
            let profiles = if is_shared { &shared } else { self.root() };
            // One that cannot be looked at is no one's to give up.
            matches!(anothers(profiles, profile), Ok(None))
        })
    }
}

impl Facts {
    /// Whether a store path is a system that is never given up.
    pub fn is_protected(&self, store_path: &Path) -> bool {
        let mut protected = self.protected.iter();
        protected.any(|kept| kept.store_path == store_path)
    }

    /// Whether such a system is this store path, or is needed by it: one that is booted into a
    /// specialisation is no generation, but the generation that brought it holds it; and a profile
    /// may point to a wrapper of the system, as that of deploy-rs does.
    pub fn holds_protected(&self, store_path: &Path) -> bool {
        if self.is_protected(store_path) {
            return true;
        }
        let graph = &self.analysis.graph;
        let find = |path: &Path| graph.find(path.file_name()?.to_str()?);
        let Some(id) = find(store_path) else {
            return false;
        };
        // What it needs to run, whatever else nix.conf keeps with it.
        let references = Keep {
            outputs: false,
            derivations: false,
        };
        let closure = mark(graph, references, [id]);
        let mut protected = self.protected.iter();
        protected.any(|kept| find(&kept.store_path).is_some_and(|id| closure.contains(id)))
    }

    /// Reads the host, at `now` by its clock. `good` are store paths of systems that are known
    /// good.
    ///
    /// # Errors
    /// Whatever cannot be read: a plan is made from everything or not at all.
    pub fn read(layout: &Layout, good: &[PathBuf], now: SystemTime) -> Result<Self, FactError> {
        let conf = NixConf::read(layout)?;
        let profiles = Profiles::read(layout)?;
        let system = System::read(layout, &profiles)?;
        let mut protected = Vec::new();
        let mut protect = |store_path: PathBuf, what| {
            protected.push(Protected { store_path, what });
        };
        for (link, what) in [
            (&system.running, "running"),
            (&system.booted, "booted"),
            (&system.current, "current"),
        ] {
            if let Some(link) = link {
                protect(link.path.clone(), what);
            }
        }
        // Where it cannot be read, the menu cannot be written either, and no generation goes that may
        // be the default.
        let ballast = Ballast::in_place(layout);
        let boot_menu = BootMenu::look(layout, &profiles, &system, ballast);
        if let Ok(BootDefault::System(link)) = system.boot_default {
            protect(link.path, "boot default");
        }
        for path in good {
            protect(path.clone(), "known good");
        }
        let collector = Locks::read(layout)?.holder(&layout.state().join("gc.lock"))?;
        let analysis = Analysis::read(layout, &conf)?;
        let cache = provenance::default_dir(layout);
        let (graph, dead) = (&analysis.graph, &analysis.dead);
        Ok(Self {
            regrets: Regrets::read(layout, &conf, &cache, graph, dead, now),
            now,
            analysis,
            file_system: FileSystem::read(layout)?,
            profiles,
            protected,
            optimised: optimised_inodes(layout)?,
            collector,
            boot_menu_stays: boot_menu.err().map(|error| error.to_string()),
            named_by_menu: Vec::new(),
        })
    }
}
