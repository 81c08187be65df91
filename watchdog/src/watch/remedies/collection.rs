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
        run::End,
    },
    record::{Mode, Record, Recorder, Remedy, Step},
};

/// One call of Nix; the deadline of the whole collection is looked at between calls.
const DELETE_DEADLINE: Duration = Duration::from_secs(600);

impl Remedies {
    pub(super) fn gc(&mut self, alert: &Alert, now_ms: i64, counters: &mut Counters) {
        let policy = self.settings.gc.clone();
        let incident = format!("gc-{}-{}", alert.rule.name, alert.active_at_ms);
        if let Some(refusal) = self.standing_refusal(policy.mode, now_ms) {
            let known = self.refused.get(&incident) == Some(&refusal.reason);
            if !known {
                let step = Step::Refused;
                let reason = refusal.reason.name();
                self.record(
                    counters,
                    now_ms,
                    &incident,
                    step,
                    reason,
                    refusal.detail,
                    json!(null),
                );
                self.refused.insert(incident, refusal.reason);
            }
            return;
        }
        let trip = format!(
            "{} has held since {} and asks for garbage collection",
            alert.rule.name,
            time(alert.active_at_ms)
        );
        let facts = json!({"alert": alert.rule.name, "value": alert.value});
        self.record(
            counters,
            now_ms,
            &incident,
            Step::Trip,
            "alert",
            trip,
            facts,
        );
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
        let report = gc::run::collect(&mut host, &policy, &incident, &mut recorder);
        if report.promised != Space::NONE {
            counters.promised = report.promised;
        }
        counters.freed = counters.freed.plus(report.freed);
        match report.end {
            End::Short(_) => counters.run(Remedy::Gc, "failed"),
            End::Observed => counters.run(Remedy::Gc, "observed"),
            // The journal's `done` is counted where it is recorded; a refusal by its reason.
            End::Reached | End::Refused(_) => {}
        }
        let cooldown = i64::try_from(policy.cooldown.as_millis()).unwrap_or(i64::MAX);
        // A collection that reached its target has no reason to wait: the alert has its own.
        self.resting = (report.end != End::Reached).then(|| Rest {
            until_ms: now_ms.saturating_add(cooldown),
        });
        self.refused.retain(|other, _| *other == incident);
    }

    /// Why nothing is even planned.
    fn standing_refusal(&self, mode: Mode, now_ms: i64) -> Option<Refusal> {
        if mode == Mode::Off {
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
            let detail = format!("an operator holds all remedies: {hold:?}; remove it to release");
            return Some(Refusal {
                reason: Reason::Held,
                detail,
            });
        }
        let rest = self
            .resting
            .as_ref()
            .filter(|rest| now_ms < rest.until_ms)?;
        let detail = format!(
            "the last try did not help; the next is at {}",
            time(rest.until_ms)
        );
        Some(Refusal {
            reason: Reason::Cooldown,
            detail,
        })
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

    #[expect(clippy::too_many_arguments, reason = "the parts of one record")]
    fn record(
        &mut self,
        counters: &mut Counters,
        at_ms: i64,
        incident: &str,
        step: Step,
        reason: &str,
        message: String,
        facts: serde_json::Value,
    ) {
        Counting {
            counters,
            inner: &mut self.journal,
        }
        .record(Record {
            at_ms,
            incident: incident.to_owned(),
            remedy: Remedy::Gc,
            mode: self.settings.gc.mode,
            step,
            reason: reason.to_owned(),
            message,
            facts,
        });
    }
}

fn time(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(
        |_| at_ms.to_string(),
        |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}
