//! When an activation began. The running system changes last: before that the profile is set and
//! units are stopped, and what fails in between is the deploy's own.

use serde::{Deserialize, Serialize};

use super::{Looked, Machine};
use crate::rollback::{
    facts::{Deploy, GenerationId, SystemSeen},
    policy::Policy,
    soak,
    state::{State, Trial},
};

/// What the profile pointed to at the last look, kept on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    /// The boot of that look.
    boot_id: Option<String>,
    /// The generation.
    current: Option<GenerationId>,
    /// Since when it is that one, as far as its link and the looks tell; milliseconds since the epoch.
    pub(super) since_ms: i64,
}

impl Machine {
    /// When the activation of a deploy that was first seen now began, `None` if nothing tells: the
    /// profile was set right before, to one that was not current at an earlier look, or the link is
    /// younger than that look. Not after a reboot, which starts everything anew by itself.
    pub(super) fn began(
        &self,
        deploy: &Deploy,
        system: &SystemSeen,
        policy: &Policy,
        now: i64,
    ) -> Option<i64> {
        if let Some(seen) = &self.seen
            && let (Some(then), Some(here)) = (&seen.boot_id, &system.boot_id)
            && then != here
        {
            return None;
        }
        let fresh = |since: &i64| {
            (0..=soak::millis(policy.activation)).contains(&now.saturating_sub(*since))
        };
        let current = system.current.as_ref();
        if deploy.generation.is_none() {
            return system.led_since_ms.filter(fresh);
        }
        let current = current.filter(|current| deploy.generation.as_ref() == Some(current))?;
        let since = self.current_since(current);
        let set_before_a_look =
            (self.seen.as_ref()).is_some_and(|seen| seen.current.as_ref() == Some(current));
        // An old generation that is set and runs from one look to the next: its units may have been
        // stopped before, by whoever called its switch first.
        if !set_before_a_look && since > current.linked_at_ms {
            return None;
        }
        Some(since).filter(fresh)
    }

    fn current_since(&self, current: &GenerationId) -> i64 {
        match &self.seen {
            Some(seen) if seen.current.as_ref() == Some(current) => seen.since_ms,
            // Somebody set the profile since the last look, to a new generation or to an old one.
            _ => current.linked_at_ms.max(self.saw.0.unwrap_or(i64::MIN)),
        }
    }

    /// After a look: what the profile points to.
    pub(super) fn note_seen(&mut self, system: &SystemSeen, now: i64) {
        let since_ms = system
            .current
            .as_ref()
            .map_or(0, |current| self.current_since(current));
        self.seen = Some(Before {
            boot_id: system.boot_id.clone(),
            current: system.current.clone(),
            since_ms,
        });
        self.saw = Looked(Some(now));
    }

    /// The host was rebooted on trial: probes get their grace anew.
    pub(super) fn note_boot(&mut self, system: &SystemSeen, now: i64) {
        if let State::Trial(Trial {
            boot_id,
            started_ms,
            ..
        }) = &mut self.state
            && system.boot_id.is_some()
            && *boot_id != system.boot_id
        {
            if boot_id.is_some() {
                *started_ms = Some(now);
            }
            boot_id.clone_from(&system.boot_id);
        }
    }
}
