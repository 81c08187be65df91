//! Whose turn it is in a fleet: a bad deploy comes to all hosts at once, and not all of them are to
//! go back at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gc::restraint::spread;

/// What is done while the lock server says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenSilent {
    /// Nothing is done before it answers.
    #[default]
    Wait,
    /// The host goes back without it, once it was asked so many times in a row.
    Proceed,
}

/// How many times in a row the server must have said nothing to be called silent.
pub const SILENT_AFTER: u32 = 3;

/// What the lock server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This host holds a place.
    Granted,
    /// None is free.
    Refused(String),
    /// Nothing that could be understood.
    Silent(String),
}

/// The place of this host in the fleet's lock, as far as it knows. Outlives a restart: what was
/// asked for must be given back, even if the answer was never heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lease {
    /// It holds none.
    #[default]
    Free,
    /// It asked, and may hold one.
    Asked,
    /// It holds one.
    Held,
    /// It needs it no more, and has to give it back.
    Returning,
}

impl Lease {
    /// True if the server was asked for a place that is needed still.
    pub const fn is_asked(self) -> bool {
        matches!(self, Self::Asked | Self::Held)
    }

    /// True if the server may count this host among those that act.
    pub const fn is_out(self) -> bool {
        !matches!(self, Self::Free)
    }
}

/// How long this host waits before it acts: the same each time, and evenly spread over a fleet.
pub fn delay(jitter: Duration, host: &str) -> Duration {
    let delay = spread(jitter, host, "rollback");
    Duration::from_millis(u64::try_from(delay).unwrap_or(0))
}
