//! What the state machine is told about the host: all of it read by others, none of it here.

use serde::{Deserialize, Serialize};

use crate::probe::ProbeResult;

/// A generation of the system profile. Nix gives the number of a deleted generation to the next
/// one, so the number alone names nothing: number, store path and time of the link do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationId {
    /// The number in `system-N-link`; Nix begins with 1, and 0 is a system without a link there.
    pub number: u64,
    /// The store path that the link points to, as the host itself names it.
    pub store_path: String,
    /// Modification time of the link itself, milliseconds since the epoch.
    pub linked_at_ms: i64,
}

impl GenerationId {
    /// A system that is no generation of the profile: that of another profile (comin,
    /// `nixos-rebuild --profile-name`), or what a wrapper in the profile leads to (deploy-rs). It
    /// becomes a generation when it is gone back to.
    pub fn without_link(store_path: &str) -> Self {
        Self {
            number: 0,
            store_path: store_path.to_owned(),
            linked_at_ms: 0,
        }
    }

    /// Whether a link of the profile names it.
    pub fn has_link(&self) -> bool {
        self.number != 0
    }
}

/// What the boot loader starts by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BootSeen {
    /// The system of this store path.
    System(String),
    /// There is no boot loader whose default can be told (only that of systemd-boot can).
    #[default]
    Unknown,
    /// It could not be read, and why.
    Unreadable(String),
}

/// The system as it was read at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemSeen {
    /// Store path of the running system (`/run/current-system`); `None` on a host that has none.
    pub running: Option<String>,
    /// Store path of the booted system (`/run/booted-system`); `None` on a host that has none.
    pub booted: Option<String>,
    /// The generation that the profile points to.
    pub current: Option<GenerationId>,
    /// Every generation of the profile that has a link.
    pub generations: Vec<GenerationId>,
    /// What would run after a reboot.
    pub boot: BootSeen,
    /// The store path that our own GC root keeps; its generation may be gone.
    pub kept: Option<String>,
    /// What tells this boot from others; `None` if it cannot be read.
    pub boot_id: Option<String>,
    /// What runs is no generation, and yet there to stay: the boot loader starts it, or another
    /// profile leads to it. One that was activated to be tested is not.
    pub lasts: bool,
    /// The current generation is a wrapper of what runs.
    pub wraps: bool,
    /// When the link was made by which another profile, or a wrapper, leads to what runs.
    pub led_since_ms: Option<i64>,
    /// Somebody's `switch-to-configuration` goes on.
    pub switching: bool,
}

/// A deploy: the running system, and the generation it is, if it is one. A `test` activation runs
/// a system that is no generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// Store path of the running system.
    pub store_path: String,
    /// Its generation: the current one if that is the same closure, else the newest that is.
    pub generation: Option<GenerationId>,
}

impl SystemSeen {
    /// The deploy that runs, `None` if nothing does.
    pub fn deploy(&self) -> Option<Deploy> {
        let store_path = self.running.clone()?;
        let same = |generation: &&GenerationId| generation.store_path == store_path;
        let generation = self
            .current
            .as_ref()
            .filter(same)
            .or_else(|| {
                let of_closure = self.generations.iter().filter(same);
                of_closure.max_by_key(|generation| generation.number)
            })
            .cloned();
        Some(Deploy {
            store_path,
            generation,
        })
    }
}

/// A firing alert that carries `remedy: rollback`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertSeen {
    /// The name of the alert.
    pub name: String,
    /// When its condition began to hold (`activeAt`), milliseconds since the epoch.
    pub active_at_ms: i64,
    /// The value of its label `probe`, if it has one. An alert about a probe that failed before
    /// the activation condemns nothing.
    pub probe: Option<String>,
}

/// What must be asked about a target before anything is done. An `Err` is blindness: the machine
/// waits and asks again.
pub trait TargetCheck {
    /// True if the store path is valid and so is everything it refers to.
    ///
    /// # Errors
    /// A sentence that says why this could not be read.
    fn valid(&self, store_path: &str) -> Result<bool, String>;

    /// What keeps the target from being switched to without a reboot, `None` if nothing does.
    ///
    /// # Errors
    /// A sentence that says why this could not be read.
    fn needs_reboot(&self, system: &SystemSeen, target: &str) -> Result<Option<String>, String>;
}

/// Everything seen in one tick. `None` is blindness, and the machine never acts from that.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The system, `None` if it could not be read.
    pub system: Option<&'a SystemSeen>,
    /// The probes of this tick, `None` if they could not be run. No probes configured is `Some`
    /// of nothing.
    pub probes: Option<&'a [ProbeResult]>,
    /// The store path of the system that somebody confirmed, if somebody did.
    pub confirmed: Option<&'a str>,
    /// The alerts that fire now and ask for a rollback.
    pub alerts: &'a [AlertSeen],
    /// The same that do not fire yet, because their `for` has not passed.
    pub pending: &'a [AlertSeen],
    /// The alerts of which it cannot be told now whether they fire: their rule has no answer, or is
    /// gone. Not to be seen among `alerts` says nothing of them.
    pub unanswered: &'a [String],
    /// Answers about possible targets.
    pub targets: &'a dyn TargetCheck,
}
