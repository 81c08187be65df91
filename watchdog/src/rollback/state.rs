//! The states of the rollback remedy, as data that survives a restart.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    facts::{Deploy, GenerationId},
    soak::{Elapsed, Soak},
};

/// What was wrong before a deploy, and so is not the deploy's fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// When the first deploy since the last good system began, milliseconds since the epoch. An
    /// alert that was active before condemns nothing.
    pub armed_since_ms: i64,
    /// Probes that failed then and have failed ever since.
    pub failing: BTreeSet<String>,
    /// The probes that there were then. One that came with the deploy can tell nothing of what is
    /// gone back to. `None` if that is not known.
    #[serde(default)]
    pub known: Option<BTreeSet<String>>,
}

/// A deploy on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// What is on trial.
    pub deploy: Deploy,
    /// When its activation began, milliseconds since the epoch.
    pub since_ms: i64,
    /// What was wrong before.
    pub before: Before,
    /// It was known good before, and somebody went back to it.
    #[serde(default)]
    pub known_good: bool,
    /// A probe failed under the deploy on trial that was left for it.
    #[serde(default)]
    pub fled: bool,
    /// The boot that it runs in.
    #[serde(default)]
    pub boot_id: Option<String>,
    /// When it was first seen to run, or to run again after a reboot: then everything is started.
    #[serde(default)]
    pub started_ms: Option<i64>,
    /// It was condemned and well again before anything was done, once.
    #[serde(default)]
    pub recovered: bool,
    /// Whether a human or the deploy tool said that it is well.
    #[serde(default)]
    pub confirmed: bool,
    /// Healthy time so far. Not kept over a restart: the soak begins anew.
    #[serde(skip)]
    pub(super) soak: Option<Soak>,
    /// Time on trial that was seen; not kept over a restart either.
    #[serde(skip)]
    pub(super) waited: Elapsed,
}

/// What condemned a deploy that nobody confirmed in time, in the place of an alert's name.
pub const NOT_CONFIRMED: &str = "not_confirmed";

/// A deploy that was condemned, and by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bad {
    /// The deploy.
    pub deploy: Deploy,
    /// When its activation began, milliseconds since the epoch.
    pub since_ms: i64,
    /// What was wrong before it.
    pub before: Before,
    /// The alert that condemned it, or [`NOT_CONFIRMED`].
    pub alert: String,
    /// The trial in which it was, without its times.
    #[serde(default)]
    pub trial: Tried,
}

/// What a trial knew of a deploy beside its times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tried {
    /// See [`Trial`].
    pub known_good: bool,
    /// See [`Trial`].
    pub fled: bool,
    /// See [`Trial`].
    pub recovered: bool,
    /// See [`Trial`].
    pub confirmed: bool,
}

impl Bad {
    /// The name of the incident that all records of this deploy share.
    pub fn incident(&self) -> String {
        incident(self.since_ms)
    }
}

/// The name of the incident of a deploy whose activation began then.
pub(super) fn incident(since_ms: i64) -> String {
    format!("rollback-{since_ms}")
}

/// How far the acts of a rollback have come. Each phase is on disk before its act begins, and
/// each act can be begun again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The next act is to point the profile at the target.
    Begun,
    /// The profile points at the target; the next act is to switch to it, or, where only a reboot
    /// leads there, to make it the boot default.
    ProfileSet,
    /// The target runs, and the boot loader would start something else: the next act is to make
    /// the target the boot default.
    BootDiffers,
    /// Only a reboot leads to the target, and its boot default was set. Once that is read back, the
    /// host is rebooted, or people are called.
    BootSet,
    /// The next act, or the last one, is the reboot.
    Rebooting,
}

/// The reboot that a rollback needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reboot {
    /// Why it is needed.
    pub why: String,
    /// The boot that it is to end: once another one is seen, the reboot was done.
    pub boot: Option<String>,
}

/// Why the remedy gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable word, the `reason` of the record.
    pub reason: String,
    /// One sentence for people.
    pub why: String,
}

/// Where the remedy stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum State {
    /// No system was seen yet.
    Unknown {},
    /// The first system ever seen. It is taken as good after its soak, and can be condemned by
    /// nothing, since nothing is known that would be better.
    Adopting {
        /// What runs.
        deploy: Deploy,
        /// Healthy time so far.
        #[serde(skip)]
        soak: Option<Soak>,
    },
    /// A known good system runs.
    Settled {
        /// What runs.
        good: Deploy,
    },
    /// A new system runs and is watched. Only here the remedy is armed.
    Trial(Trial),
    /// The deploy is bad; no target could be chosen yet, because something could not be read, or it
    /// is not yet this host's turn to act.
    Condemned {
        /// What was condemned.
        bad: Bad,
        /// What is waited for: what could not be read, or this host's turn.
        waiting: String,
        /// How long it has waited.
        #[serde(skip)]
        waited: Elapsed,
        /// The lock server is to be asked next.
        #[serde(skip)]
        asks: bool,
        /// How many times in a row the lock server said nothing.
        #[serde(skip)]
        silent: u32,
        /// It goes on without the lock server.
        #[serde(skip)]
        alone: bool,
        /// For how long it has been well again.
        #[serde(skip)]
        well: Option<Soak>,
    },
    /// A rollback is being carried out.
    RollingBack {
        /// What is undone.
        bad: Bad,
        /// What is gone back to.
        target: GenerationId,
        /// Number of the generation that the profile pointed to when the rollback was decided.
        from: Option<u64>,
        /// How far it has come.
        phase: Phase,
        /// How many times an act was begun.
        attempts: u32,
        /// Set where only a reboot leads to the target.
        #[serde(default)]
        reboot: Option<Reboot>,
        /// It could not be read whether it can be switched to; nothing is done then.
        #[serde(skip)]
        blind: bool,
        /// How long the reboot was waited for.
        #[serde(skip)]
        elapsed: Elapsed,
    },
    /// The target was switched to; the host is read again.
    Verifying {
        /// What was undone.
        bad: Bad,
        /// What should run now.
        target: GenerationId,
        /// Whether the boot default was set by an act of its own, which is done once.
        #[serde(default)]
        boot_set: bool,
        /// When it was first looked at in this state, by this watchdog.
        #[serde(skip)]
        since_ms: Option<i64>,
        /// Time in this state.
        #[serde(skip)]
        elapsed: Elapsed,
        /// Healthy time so far.
        #[serde(skip)]
        soak: Option<Soak>,
    },
    /// Observe mode: everything was decided, nothing was done. Left by the next deploy only, so
    /// that one bad deploy is told of once.
    Observed {
        /// What would have been undone.
        bad: Bad,
        /// What would have been gone back to; `None` if the rollback would have been refused.
        target: Option<GenerationId>,
        /// Only a reboot would have led there.
        #[serde(default)]
        reboot: bool,
    },
    /// Latched: pages, and touches nothing more until it is released by hand.
    Failed {
        /// What was condemned.
        bad: Bad,
        /// What was chosen to go back to, if it came so far.
        target: Option<GenerationId>,
        /// Why it failed.
        failure: Failure,
    },
}

impl State {
    /// The names of all states, as the label `state` carries them.
    pub const NAMES: [&'static str; 9] = [
        "unknown",
        "adopting",
        "settled",
        "trial",
        "condemned",
        "rolling_back",
        "verifying",
        "observed",
        "failed",
    ];

    /// The name of this state.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unknown {} => "unknown",
            Self::Adopting { .. } => "adopting",
            Self::Settled { .. } => "settled",
            Self::Trial(_) => "trial",
            Self::Condemned { .. } => "condemned",
            Self::RollingBack { .. } => "rolling_back",
            Self::Verifying { .. } => "verifying",
            Self::Observed { .. } => "observed",
            Self::Failed { .. } => "failed",
        }
    }

    /// What was before the deploy that this state is about, until it is over.
    pub(super) const fn before_mut(&mut self) -> Option<&mut Before> {
        match self {
            Self::Trial(Trial { before, .. }) => Some(before),
            Self::Condemned { bad, .. }
            | Self::RollingBack { bad, .. }
            | Self::Verifying { bad, .. }
            | Self::Observed { bad, .. } => Some(&mut bad.before),
            Self::Unknown {}
            | Self::Adopting { .. }
            | Self::Settled { .. }
            | Self::Failed { .. } => None,
        }
    }
}

/// A closure that was condemned and rolled back from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// Its store path.
    pub store_path: String,
    /// When, milliseconds since the epoch.
    pub at_ms: i64,
    /// The alert that condemned it.
    pub alert: String,
    /// How many times it was rolled back from.
    #[serde(default = "once")]
    pub times: u32,
}

fn once() -> u32 {
    1
}

/// Whether the updater is kept from deploying a condemned closure again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Updater {
    /// It is not.
    Free {},
    /// It is, since a rollback began.
    Held {
        /// The closure that it would bring again.
        closure: String,
        /// What was gone back to. It is no other closure that ends the hold.
        target: String,
        /// Since when, milliseconds since the epoch.
        since_ms: i64,
        /// The incident of the rollback.
        incident: String,
        /// Why it could not be applied at the last look, which is told once.
        #[serde(skip)]
        failing: Option<String>,
    },
    /// The hold is over and must still be lifted.
    Lifting {
        /// The closure for which it was held.
        closure: String,
        /// The incident of the rollback.
        incident: String,
        /// Why it could not be lifted at the last look.
        #[serde(skip)]
        failing: Option<String>,
    },
}

impl Default for Updater {
    fn default() -> Self {
        Self::Free {}
    }
}
