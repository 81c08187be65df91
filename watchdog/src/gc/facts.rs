//! What a plan is made from: the store, its generations, and what must stay.

use std::{collections::HashSet, ffi::OsStr, path::PathBuf};

use snowguard_host::{
    BootDefault, FactError, Layout, Locks, NixConf, Profiles, System,
    store::{Analysis, FileSystem, Footprint, optimised_inodes},
};

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
    /// Inodes with a link in `.links`.
    pub optimised: HashSet<u64>,
    /// The process that holds `gc.lock`: another collection is under way.
    pub collector: Option<u32>,
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
}

impl Scales for Layout {
    fn weigh(&self, name: &OsStr) -> Result<Footprint, FactError> {
        Footprint::read(self, name)
    }
}

impl Facts {
    /// Reads the host. `good` are store paths of systems that are known good.
    ///
    /// # Errors
    /// Whatever cannot be read: a plan is made from everything or not at all.
    pub fn read(layout: &Layout, good: &[PathBuf]) -> Result<Self, FactError> {
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
        if let BootDefault::System(link) = system.boot_default? {
            protect(link.path, "boot default");
        }
        for path in good {
            protect(path.clone(), "known good");
        }
        let collector = Locks::read(layout)?.holder(&layout.state().join("gc.lock"))?;
        Ok(Self {
            analysis: Analysis::read(layout, &conf)?,
            file_system: FileSystem::read(layout)?,
            profiles,
            protected,
            optimised: optimised_inodes(layout)?,
            collector,
        })
    }
}
