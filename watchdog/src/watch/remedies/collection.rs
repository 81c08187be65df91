//! The gc remedy: whether it is due, and the ballast between two collections.

use std::{
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::json;
use snowguard_host::store::FileSystem;
use snowguard_rules::Alert;
use tracing::{info, warn};

use super::{Counters, Counting, PROFILE_LOCK, Remedies, Rest};
use crate::{
    act::{delete_paths::DeletePaths, remove_generation::RemoveGeneration},
    gc::{
        self,
        plan::{Reason, Refusal},
        policy::Space,
        run::{End, Report},
    },
    keep::Keep,
    record::{Mode, Record, Recorder, Remedy, Step},
};

/// One call of Nix; the deadline of the whole collection is looked at between calls.
const DELETE_DEADLINE: Duration = Duration::from_secs(600);

impl Remedies {
    /// Looks at the firing alerts that ask for a collection, and carries out the first that
    /// nothing stands against.
    pub(super) fn gc(&mut self, alerts: &[&Alert], now_ms: i64, counters: &mut Counters) {
        let incidents: Vec<String> = alerts.iter().map(|alert| incident_of(alert)).collect();
        self.told.retain(|incident, _| incidents.contains(incident));
        for (alert, incident) in alerts.iter().zip(&incidents) {
            match self.standing_refusal(alert, now_ms) {
                Some(refusal) => self.tell_refusal(counters, now_ms, incident, refusal),
                None => return self.collect(alert, incident, now_ms, counters),
            }
        }
    }

    fn collect(&mut self, alert: &Alert, incident: &str, now_ms: i64, counters: &mut Counters) {
        let told = self.told.get(incident).copied();
        if told.is_none() {
            let message = format!(
                "{} has held since {} and asks for garbage collection",
                alert.rule.name,
                time(alert.active_at_ms)
            );
            let facts = json!({"alert": alert.rule.name, "value": alert.value});
            let record = self.line(now_ms, incident, Step::Trip, "alert", message, facts);
            self.tell(counters, record);
        }
        let report = self.carry_out(incident, told.flatten(), counters);
        let refused = match &report.end {
            End::Refused(refusal) => Some(refusal.reason),
            End::Reached | End::Observed | End::Short(_) => None,
        };
        self.told.insert(incident.to_owned(), refused);
        // A collection that reached its target has no reason to wait: the alert has its own. What
        // passes by itself (another collection, a file that could not be read) is looked at again
        // in the next tick. What cannot help now, or did not, would not a moment later either.
        let rests = match refused {
            None => report.end != End::Reached,
            Some(reason) => reason == Reason::CannotHelp,
        };
        if rests {
            let cooldown = i64::try_from(self.settings.gc.cooldown.as_millis()).unwrap_or(i64::MAX);
            let until_ms = now_ms.saturating_add(cooldown);
            self.resting
                .insert(alert.rule.name.clone(), Rest { until_ms });
        }
    }

    /// A collection that a kill cut short is ended first: what it dropped or deleted by then may
    /// have silenced the alert long before the target.
    pub(super) fn resume(&mut self, now_ms: i64, counters: &mut Counters) {
        let Some(incident) = self.begun.take() else {
            return;
        };
        if let Err(error) = self.begun_kept.save(&None::<String>) {
            warn!(%error, "the collection that a kill cut short would be gone on with once more");
        }
        // What stands against a collection now stands against the rest of this one, too.
        if let Some(refusal) = self.forbidden() {
            self.tell_refusal(counters, now_ms, &incident, refusal);
        } else if self.settings.gc.mode == Mode::Act {
            let message = "the watchdog ended in mid-collection; it goes on".to_owned();
            let record = self.line(
                now_ms,
                &incident,
                Step::State,
                "resumed",
                message,
                json!(null),
            );
            self.tell(counters, record);
            self.carry_out(&incident, None, counters);
        }
    }

    fn carry_out(
        &mut self,
        incident: &str,
        told: Option<Reason>,
        counters: &mut Counters,
    ) -> Report {
        let policy = self.settings.gc.clone();
        let mut host = gc::host::RealHost {
            layout: self.layout.clone(),
            good: self.good(),
            delete: DeletePaths {
                layout: self.layout.clone(),
                program: self.nix_store.clone(),
                deadline: DELETE_DEADLINE,
            },
            generations: RemoveGeneration {
                lock_deadline: PROFILE_LOCK,
            },
            ballast: self.ballast.clone(),
            begun: Instant::now(),
        };
        let mut recorder = Counting {
            counters,
            inner: &mut self.journal,
        };
        let mut recorder = NotAgain {
            told,
            begun: false,
            begun_kept: &mut self.begun_kept,
            inner: &mut recorder,
        };
        let report = gc::run::collect(&mut host, &policy, incident, &mut recorder);
        if recorder.begun
            && let Err(error) = self.begun_kept.save(&None::<String>)
        {
            warn!(%error, "the collection would be gone on with after a restart");
        }
        if report.promised != Space::NONE {
            counters.promised = report.promised;
        }
        counters.freed = counters.freed.plus(report.freed);
        match &report.end {
            End::Short(_) => counters.run(Remedy::Gc, "failed"),
            End::Observed => counters.run(Remedy::Gc, "observed"),
            // The journal's `done` is counted where it is recorded; a refusal by its reason.
            End::Reached | End::Refused(_) => {}
        }
        report
    }

    /// Why nothing is even planned for this alert.
    fn standing_refusal(&self, alert: &Alert, now_ms: i64) -> Option<Refusal> {
        self.forbidden().or_else(|| self.rest(alert, now_ms))
    }

    /// What the operator has said against any collection.
    fn forbidden(&self) -> Option<Refusal> {
        if self.settings.gc.mode == Mode::Off {
            let detail = "the remedy is off; set `gc.mode` to observe or act".to_owned();
            return Some(Refusal {
                reason: Reason::Off,
                detail,
            });
        }
        let hold = self.layout.inside(&self.settings.state_dir).join("hold");
        // Whatever is there, readable or not: an operator put it there.
        if !matches!(hold.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound)
        {
            let detail = format!("an operator holds collections: {hold:?}; remove it to release");
            return Some(Refusal {
                reason: Reason::Held,
                detail,
            });
        }
        None
    }

    /// How long this alert must wait after a collection that did not help it.
    fn rest(&self, alert: &Alert, now_ms: i64) -> Option<Refusal> {
        let rest = self.resting.get(&alert.rule.name)?;
        (now_ms < rest.until_ms).then(|| Refusal {
            reason: Reason::Cooldown,
            detail: format!(
                "what was planned last for {} did not bring it to an end; the next look is at {}",
                alert.rule.name,
                time(rest.until_ms)
            ),
        })
    }

    /// Records a refusal, once for as long as it stays the same.
    fn tell_refusal(
        &mut self,
        counters: &mut Counters,
        now_ms: i64,
        incident: &str,
        refusal: Refusal,
    ) {
        let reason = refusal.reason;
        if self.told.insert(incident.to_owned(), Some(reason)) == Some(Some(reason)) {
            return;
        }
        let step = Step::Refused;
        let record = self.line(
            now_ms,
            incident,
            step,
            reason.name(),
            refusal.detail,
            json!(null),
        );
        self.tell(counters, record);
    }

    /// Systems that are known good: the last one, and the one before, which is what a rollback
    /// of the last would go back to.
    fn good(&self) -> Vec<PathBuf> {
        let newest = self.machine.good().iter().rev().take(2);
        newest
            .map(|generation| PathBuf::from(&generation.store_path))
            .collect()
    }

    /// Puts the ballast back in place, once there is room for it beyond the target.
    pub(super) fn keep_ballast(&mut self) {
        if self.settings.gc.mode != Mode::Act || self.ballast.is_whole() {
            return;
        }
        let Ok(file_system) = FileSystem::read(&self.layout) else {
            return;
        };
        let wanted = self.settings.gc.target_on(&file_system).bytes;
        if file_system.avail_bytes < wanted.saturating_add(self.ballast.size()) {
            return;
        }
        match self.ballast.make() {
            Ok(()) => info!(bytes = self.ballast.size(), "the ballast is in place"),
            Err(error) => warn!(%error, "there is no ballast"),
        }
    }

    fn line(
        &self,
        at_ms: i64,
        incident: &str,
        step: Step,
        reason: &str,
        message: String,
        facts: serde_json::Value,
    ) -> Record {
        Record {
            at_ms,
            incident: incident.to_owned(),
            remedy: Remedy::Gc,
            mode: self.settings.gc.mode,
            step,
            reason: reason.to_owned(),
            message,
            facts,
        }
    }

    fn tell(&mut self, counters: &mut Counters, record: Record) {
        let inner = &mut self.journal;
        Counting { counters, inner }.record(record);
    }
}

/// Passes on everything but a refusal for the reason that was told already, and keeps on disk
/// that a collection has begun, before its first act.
struct NotAgain<'a> {
    told: Option<Reason>,
    begun: bool,
    begun_kept: &'a mut Keep,
    inner: &'a mut dyn Recorder,
}

impl Recorder for NotAgain<'_> {
    fn record(&mut self, record: Record) {
        if record.step == Step::Plan && record.mode == Mode::Act && !self.begun {
            // Not kept, it is only not gone on with after a kill.
            if let Err(error) = self.begun_kept.save(&Some(&record.incident)) {
                warn!(%error, "a kill in mid-collection would end it");
            }
            self.begun = true;
        }
        let again = record.step == Step::Refused
            && self
                .told
                .is_some_and(|reason| reason.name() == record.reason);
        if !again {
            self.inner.record(record);
        }
    }
}

fn incident_of(alert: &Alert) -> String {
    format!("gc-{}-{}", alert.rule.name, alert.active_at_ms)
}

fn time(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(
        |_| at_ms.to_string(),
        |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}
