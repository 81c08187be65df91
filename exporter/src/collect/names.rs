//! The collectors by name, and which of them run.

use serde::Deserialize;

/// A collector of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// Space and inodes of the store's file system.
    Filesystem,
    /// Paths of the store, and which of them are dead.
    Store,
    /// Generations of every profile.
    Generations,
    /// What old generations keep.
    Reclaimable,
    /// The NixOS system: current, booted and running generation.
    System,
    /// Build users and whose locks are held.
    BuildUsers,
    /// Where new paths came from.
    Substituters,
    /// Whether the substituters answer.
    SubstituterProbes,
    /// Size of the store's database.
    Database,
    /// The lock of the garbage collector.
    Gc,
    /// Whether the daemon of Nix answers.
    Daemon,
    /// What builds wait for: pressure on the daemon's control group.
    Pressure,
    /// Room on the boot loader's file system.
    Boot,
    /// How old the inputs of the system's flake are.
    Flake,
    /// Memory of the machine.
    Memory,
    /// What the watchdog published.
    Watchdog,
}

impl Name {
    /// Every collector, in the order in which they run. The watchdog's is the last: of two
    /// families of one name the exporter's own is kept.
    pub const ALL: [Self; 16] = [
        Self::Filesystem,
        Self::Store,
        Self::Generations,
        Self::Reclaimable,
        Self::System,
        Self::BuildUsers,
        Self::Substituters,
        Self::SubstituterProbes,
        Self::Database,
        Self::Gc,
        Self::Daemon,
        Self::Pressure,
        Self::Boot,
        Self::Flake,
        Self::Memory,
        Self::Watchdog,
    ];

    /// The name in the configuration and in the label `collector`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Filesystem => "filesystem",
            Self::Store => "store",
            Self::Generations => "generations",
            Self::Reclaimable => "reclaimable",
            Self::System => "system",
            Self::BuildUsers => "build_users",
            Self::Substituters => "substituters",
            Self::SubstituterProbes => "substituter_probes",
            Self::Database => "database",
            Self::Gc => "gc",
            Self::Daemon => "daemon",
            Self::Pressure => "pressure",
            Self::Boot => "boot",
            Self::Flake => "flake",
            Self::Memory => "memory",
            Self::Watchdog => "watchdog",
        }
    }
}

/// Which collectors run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(Vec<Name>);

impl Names {
    /// All of them: the exporter's default.
    pub fn all() -> Self {
        Self(Name::ALL.to_vec())
    }

    /// None of them, for a registry of other collectors.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Those that read the host itself: what the watchdog collects.
    pub fn of_the_host() -> Self {
        Self::all().without(Name::Watchdog)
    }

    /// The same without this one.
    #[must_use]
    pub fn without(mut self, name: Name) -> Self {
        self.0.retain(|other| *other != name);
        self
    }

    /// True if this one runs.
    pub fn has(&self, name: Name) -> bool {
        self.0.contains(&name)
    }

    /// Those that run, in order.
    pub fn iter(&self) -> impl Iterator<Item = Name> + '_ {
        self.0.iter().copied()
    }
}

/// `exporter.collectors` of the configuration; what is not said runs.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Switches {
    filesystem: Option<bool>,
    store: Option<bool>,
    generations: Option<bool>,
    reclaimable: Option<bool>,
    system: Option<bool>,
    build_users: Option<bool>,
    substituters: Option<bool>,
    substituter_probes: Option<bool>,
    database: Option<bool>,
    gc: Option<bool>,
    daemon: Option<bool>,
    pressure: Option<bool>,
    boot: Option<bool>,
    flake: Option<bool>,
    memory: Option<bool>,
    watchdog: Option<bool>,
}

impl Switches {
    /// The collectors that are on.
    pub(crate) fn names(&self) -> Names {
        let is_on = |name: &Name| {
            let switch = match name {
                Name::Filesystem => self.filesystem,
                Name::Store => self.store,
                Name::Generations => self.generations,
                Name::Reclaimable => self.reclaimable,
                Name::System => self.system,
                Name::BuildUsers => self.build_users,
                Name::Substituters => self.substituters,
                Name::SubstituterProbes => self.substituter_probes,
                Name::Database => self.database,
                Name::Gc => self.gc,
                Name::Daemon => self.daemon,
                Name::Pressure => self.pressure,
                Name::Boot => self.boot,
                Name::Flake => self.flake,
                Name::Memory => self.memory,
                Name::Watchdog => self.watchdog,
            };
            switch.unwrap_or(true)
        };
        Names(Name::ALL.into_iter().filter(is_on).collect())
    }
}
