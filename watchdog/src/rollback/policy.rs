//! The limits that the rollback remedy keeps.

use std::time::Duration;

use super::turn::WhenSilent;
use crate::record::Mode;

/// The limits that the rollback remedy keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether it may act.
    pub mode: Mode,
    /// How long a new system must be seen healthy before it is known good.
    pub soak: Duration,
    /// How long the target must be seen healthy before a rollback counts as done.
    pub verify_soak: Duration,
    /// How long the target may take to become healthy. After that the rollback has failed.
    pub verify_window: Duration,
    /// A pause between two looks longer than this is time not seen, and counts for no soak.
    pub max_gap: Duration,
    /// A profile set at most this long before the new system was seen running marks the beginning of
    /// its activation. Units are stopped before the running system changes, so that a failure in
    /// between is the deploy's own. Set earlier, it was to be activated some other time.
    pub activation: Duration,
    /// Where no link tells when an activation began, it may have stopped units for so long before
    /// the new system was seen running: what has not failed for longer is the deploy's own.
    pub stopping: Duration,
    /// How long a deploy made on top of a failing one has to cure what it found.
    pub cure: Duration,
    /// How long a deploy may go unconfirmed before it is condemned; `None` if nobody need confirm.
    pub require_confirmation: Option<Duration>,
    /// Whether the host may be rebooted where only that leads to the target.
    pub allow_reboot: bool,
    /// How long a reboot that was asked for may take to begin.
    pub reboot_window: Duration,
    /// How long this host waits before it acts, as its part of `rollback.jitter`.
    pub delay: Duration,
    /// What of the fleet's lock, if there is one.
    pub fleet: Option<Fleet>,
    /// What runs is what the profile points to, so that to set the profile is to leave the bad system.
    pub follows_profile: bool,
    /// How many times a step of a rollback is begun before it is given up: by a kill in
    /// mid-step.
    pub max_attempts: u32,
    /// How long a rollback may take to begin its switch, while another switch holds the lock or it
    /// cannot be read whether the target can be switched to.
    pub act_window: Duration,
}

/// How this host waits for its turn in a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fleet {
    /// What is done while the lock server is silent.
    pub when_silent: WhenSilent,
    /// How long a turn is waited for. Then the remedy latches, and people are called.
    pub deadline: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Observe,
            soak: Duration::from_secs(600),
            verify_soak: Duration::from_secs(30),
            verify_window: Duration::from_secs(180),
            max_gap: Duration::from_secs(120),
            activation: Duration::from_secs(1800),
            stopping: Duration::from_secs(120),
            cure: Duration::from_secs(120),
            require_confirmation: None,
            allow_reboot: false,
            reboot_window: Duration::from_secs(600),
            delay: Duration::ZERO,
            fleet: None,
            follows_profile: false,
            max_attempts: 40,
            act_window: Duration::from_secs(600),
        }
    }
}
