//! What was done by collections before, kept on disk, and what follows for the next one.

use std::{fs, path::Path};

use snowguard_host::{Layout, store::FileSystem};
use snowguard_rules::{Alert, AlertState};
use tracing::warn;

use super::{Remedies, collection::time};
use crate::{
    gc::{
        plan::{Reason, Refusal},
        policy::{Policy, Space},
        restraint::{Asked, History, KEPT},
        run::Report,
    },
    keep::{Keep, KeepError},
    watch::RUN_DIR,
};

/// The history of collections on this host.
pub(super) struct Restraint {
    history: History,
    kept: Keep,
    /// The machine id, which tells this host from others of its fleet.
    host: String,
}

impl Restraint {
    pub(super) fn load(layout: &Layout, state_dir: &Path) -> Result<Self, KeepError> {
        let mut kept = Keep::new(KEPT, state_dir, &layout.inside(RUN_DIR));
        // Without an id all hosts of a fleet begin at once, as they would without this.
        let host = fs::read_to_string(layout.inside("/etc/machine-id")).unwrap_or_default();
        Ok(Self {
            history: kept.load()?.unwrap_or_default(),
            kept,
            host: host.trim().to_owned(),
        })
    }

    /// What tells this host from others of its fleet.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// A collection ended.
    pub(super) fn ended(&mut self, policy: &Policy, report: &Report, now_ms: i64) {
        let before = self.history.clone();
        self.history.ended(policy, report, now_ms);
        if self.history != before {
            self.save();
        }
    }

    /// Why one that did not come to its end is not gone on with.
    pub(super) fn spent(&mut self, policy: &Policy, now_ms: i64) -> Option<Refusal> {
        self.history.settle(now_ms);
        self.history.spent(policy)
    }

    /// One begins. On disk before it can end the watchdog.
    pub(super) fn begun(&mut self, now_ms: i64) {
        self.history.begun(now_ms);
        self.save();
    }

    /// It was stopped, or never was.
    pub(super) fn called_off(&mut self) {
        self.history.called_off();
        self.save();
    }

    /// What was done or planned for an alert did not help it.
    pub(super) fn rest(&mut self, policy: &Policy, alert: &str, now_ms: i64) {
        self.history.rest(policy, alert, now_ms);
        self.save();
    }

    /// The limits are others.
    pub(super) fn rest_no_more(&mut self) {
        let before = self.history.clone();
        self.history.rest_no_more();
        if self.history != before {
            self.save();
        }
    }

    /// An operator has looked.
    pub(super) fn release(&mut self) -> Result<(), KeepError> {
        self.history.release();
        self.kept.save(&self.history)
    }

    fn save(&mut self) {
        if let Err(error) = self.kept.save(&self.history) {
            warn!(%error, "a restart would forget how many collections there were");
        }
    }
}

impl Remedies {
    /// How long this alert must wait after a collection that did not help it.
    pub(super) fn rests(&mut self, alert: &Alert, now_ms: i64) -> Option<Refusal> {
        let (name, history) = (&alert.rule.name, &mut self.restraint.history);
        history.settle(now_ms);
        let until_ms = history.rests_until(&self.settings.gc, name, now_ms)?;
        Some(Refusal {
            reason: Reason::Cooldown,
            detail: format!(
                "what was planned last for {name} did not bring it to an end; the next look is at \
                 {}",
                time(until_ms)
            ),
        })
    }

    /// What the collections before say against one for this alert.
    pub(super) fn restrained(
        &mut self,
        alert: &Alert,
        incident: &str,
        now_ms: i64,
    ) -> Option<Refusal> {
        let policy = &self.settings.gc;
        let is_urgent = FileSystem::read(&self.layout).is_ok_and(|now| {
            let (free, trigger) = (Space::free(&now), policy.trigger_on(&now));
            free.bytes < trigger.bytes / 2 || free.files < trigger.files / 2
        });
        let since_ms = match alert.state {
            AlertState::Firing { fired_at_ms } => fired_at_ms,
            AlertState::Pending => alert.active_at_ms,
        };
        let restraint = &mut self.restraint;
        restraint.history.settle(now_ms);
        let asked = Asked {
            incident,
            since_ms,
            host: &restraint.host,
            is_urgent,
        };
        restraint.history.refusal(policy, asked, now_ms)
    }
}
