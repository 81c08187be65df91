//! What an incident began with, kept on disk, for it must end with the same: a rollback goes back
//! to a generation whose configuration may be another, and brings it into force. Verified by the
//! probes of that one, a rollback would be done while what was wrong is wrong still.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::{
    config::Settings,
    keep::{Keep, KeepError},
    rollback::{fleet_lock::FleetLock, machine::Machine},
};

/// The document, and what it says now.
pub(super) struct Incident {
    began_with: BeganWith,
    kept: Keep,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct BeganWith {
    /// The text of the configuration, while an incident goes on.
    settings: Option<String>,
    /// Who was asked for a place in the fleet's lock, until it is given back.
    place: Option<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    url: String,
    group: String,
    id: String,
    timeout_ms: u64,
    authorities: Vec<PathBuf>,
}

impl Incident {
    pub(super) fn load(mut kept: Keep) -> Result<Self, KeepError> {
        Ok(Self {
            began_with: kept.load()?.unwrap_or_default(),
            kept,
        })
    }

    /// The settings of the incident that went on when this was written, if one did.
    pub(super) fn settings(&self) -> Option<Settings> {
        let text = self.began_with.settings.as_deref()?;
        let settings = Settings::parse(text);
        if let Err(error) = &settings {
            // By another version of the program.
            warn!(%error, "the settings of before the restart cannot be used for the incident that goes on");
        }
        settings.ok()
    }

    /// Before a machine is kept on disk: keeps what the incident that it is in must end with.
    pub(super) fn keep_before(
        &mut self,
        machine: &Machine,
        settings: &Settings,
        lock: Option<&FleetLock>,
    ) -> Result<(), KeepError> {
        let mut next = self.began_with.clone();
        if machine.is_in_incident() && next.settings.is_none() {
            next.settings = Some(settings.text.clone());
        }
        if machine.lease().is_asked() {
            next.place = lock.map(Place::of);
        }
        self.keep(next)
    }

    /// After a look: forgets what is needed no more.
    pub(super) fn look(&mut self, goes_on: bool, place_is_out: bool, settings: &Settings) {
        let mut next = self.began_with.clone();
        // One that a version before this one began has none yet.
        next.settings = goes_on.then(|| next.settings.unwrap_or_else(|| settings.text.clone()));
        next.place = next.place.filter(|_| place_is_out);
        let outcome = self.keep(next.clone());
        if let Err(error) = outcome {
            // On disk it is of no account without an incident, and the next one begins with its own.
            warn!(%error, "what an incident began with cannot be forgotten");
            self.began_with = next;
        }
    }

    /// The lock in which this host has a place.
    pub(super) fn place(&self) -> Option<FleetLock> {
        self.began_with.place.as_ref().and_then(Place::lock)
    }

    fn keep(&mut self, next: BeganWith) -> Result<(), KeepError> {
        if next != self.began_with {
            self.kept.save(&next)?;
            self.began_with = next;
        }
        Ok(())
    }
}

impl Place {
    fn of(lock: &FleetLock) -> Self {
        Self {
            url: lock.url.to_string(),
            group: lock.group.clone(),
            id: lock.id.clone(),
            timeout_ms: u64::try_from(lock.timeout.as_millis()).unwrap_or(u64::MAX),
            authorities: lock.authorities.clone(),
        }
    }

    fn lock(&self) -> Option<FleetLock> {
        Some(FleetLock {
            url: self.url.parse().ok()?,
            group: self.group.clone(),
            id: self.id.clone(),
            timeout: Duration::from_millis(self.timeout_ms),
            authorities: self.authorities.clone(),
        })
    }
}
