//! The gc remedy: whether it is due.

use std::path::PathBuf;

use serde_json::json;
use snowguard_host::store::FileSystem;
use snowguard_rules::Alert;
use tracing::{info, warn};

use super::{
    Counters, Counting, Remedies, TO_END,
    running::{Begin, Ended, Running, Unended, passes},
};
use crate::{
    act::stop::Stop,
    gc::{
        alone::Alone,
        hold,
        plan::{Reason, Refusal},
        policy::{Space, Tripped},
        run::End,
    },
    record::{Mode, Record, Recorder, Remedy, Step},
    watch::{RUN_DIR, collected_host},
};

impl Remedies {
    /// Looks at the firing alerts that ask for a collection, and begins the first that nothing
    /// stands against. It goes on beside the ticks that follow.
    pub(super) fn gc(&mut self, alerts: &[&Alert], now_ms: i64, counters: &mut Counters) {
        let incidents: Vec<String> = alerts.iter().map(|alert| incident_of(alert)).collect();
        self.told.retain(|incident, _| incidents.contains(incident));
        for (alert, incident) in alerts.iter().zip(&incidents) {
            match self.standing_refusal(alert, incident, now_ms) {
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
        let told = told.flatten();
        let now = FileSystem::read(&self.layout);
        let unended = Unended {
            incident: incident.to_owned(),
            tripped: now.map_or_else(|_| Tripped::default(), |now| self.settings.gc.tripped(&now)),
            alert: Some(alert.rule.name.clone()),
        };
        let begin = self.begin_with(Some(&alert.rule.name), unended, told, now_ms);
        self.begin_collection(begin, counters);
    }

    /// A collection that a kill cut short is ended first: what it dropped or deleted by then may
    /// have silenced the alert long before the target.
    pub(super) fn resume(&mut self, now_ms: i64, counters: &mut Counters) {
        let cooldown = i64::try_from(self.settings.gc.cooldown.as_millis()).unwrap_or(i64::MAX);
        let waits = (self.resume_refused_ms)
            .is_some_and(|at_ms| (at_ms..at_ms.saturating_add(cooldown)).contains(&now_ms));
        if waits {
            return;
        }
        let Some(unended) = self.begun.take() else {
            return;
        };
        let incident = unended.incident.clone();
        // What stands against a collection now stands against the rest of this one, too.
        let spent = self.restraint.spent(&self.settings.gc, now_ms);
        if let Some(refusal) = self.forbidden().or(spent) {
            self.forget_begun();
            self.tell_refusal(counters, now_ms, &incident, refusal);
        } else if self.settings.gc.mode == Mode::Act {
            let message = "the collection did not come to its end; it goes on".to_owned();
            let reason = "resumed";
            let record = self.line(now_ms, &incident, Step::State, reason, message, json!(null));
            self.tell(counters, record);
            let begin = self.begin_with(None, unended, None, now_ms);
            self.begin_collection(begin, counters);
        } else {
            self.forget_begun();
        }
    }

    pub(super) fn begin_with(
        &self,
        alert: Option<&str>,
        unended: Unended,
        told: Option<Reason>,
        now_ms: i64,
    ) -> Begin {
        Begin {
            alert: alert.map(str::to_owned),
            policy: self.settings.gc.aimed_at(unended.tripped),
            unended,
            told,
            now_ms,
            only_menu: false,
        }
    }

    pub(super) fn begin_collection(&mut self, begin: Begin, counters: &mut Counters) {
        let run_dir = self.layout.inside(RUN_DIR);
        let alone = match self.settings.gc.mode {
            Mode::Act => Alone::take_giving_way(&run_dir, &self.ballast),
            Mode::Observe | Mode::Off => Alone::take(&run_dir),
        };
        let alone = match alone {
            Ok(alone) => alone,
            // Who collects writes the menu, too.
            Err(_) if begin.only_menu => return,
            Err(other) => {
                let refusal = other.refusal();
                // Begun or not, it is still to be done.
                if begin.alert.is_none() {
                    self.begun = Some(begin.unended.clone());
                }
                let incident = &begin.unended.incident;
                return self.tell_refusal(counters, begin.now_ms, incident, refusal);
            }
        };
        if self.settings.gc.mode == Mode::Act && !begin.only_menu {
            self.restraint.begun(begin.now_ms);
        }
        let stop = Stop::new();
        let host = collected_host(&self.layout, &self.settings, self.good(), stop.clone());
        let begun = (self.begun_kept.clone(), self.journal.clone());
        match Running::begin(begin, host, stop, alone, begun) {
            Ok(running) => self.running = Some(running),
            Err(error) => {
                warn!(%error, "a collection cannot be begun");
                self.restraint.called_off();
            }
        }
    }

    /// Takes note of what the collection that goes on has done. True if one goes on, or has ended
    /// only since this tick's look at the host.
    pub(super) fn attend(&mut self, now_ms: i64, counters: &mut Counters) -> bool {
        let Some(mut running) = self.running.take() else {
            return false;
        };
        running.hear(counters);
        if self.settings.gc.mode != Mode::Act || self.forbidden().is_some() {
            running.stop.ask();
        }
        if running.is_ended() {
            self.conclude(running.end(counters), now_ms, counters);
        } else {
            self.running = Some(running);
        }
        true
    }

    /// Ends the collection that goes on, if there is one, between two paths. It is gone on with
    /// later, as after a kill if it does not end soon.
    pub(super) fn interrupt(&mut self, now_ms: i64, counters: &mut Counters) {
        if let Some(mut running) = self.running.take() {
            let incident = running.incident().to_owned();
            info!(incident, "the collection is interrupted");
            running.stop.ask();
            if running.wait(TO_END, counters) {
                self.conclude(running.end(counters), now_ms, counters);
            } else {
                warn!(incident, "the collection does not stop and is left behind");
            }
        }
    }

    fn conclude(&mut self, ended: Ended, now_ms: i64, counters: &mut Counters) {
        let Ended {
            alert,
            unended,
            report,
        } = ended;
        if report.promised != Space::NONE {
            counters.promised = report.promised;
        }
        counters.freed = counters.freed.plus(report.freed);
        match &report.end {
            End::Short("stopped") => {
                self.begun = Some(unended);
                return self.restraint.called_off();
            }
            End::Short(_) => counters.run(Remedy::Gc, "failed"),
            End::Observed => counters.run(Remedy::Gc, "observed"),
            end if alert.is_none() && passes(end) => {
                self.begun = Some(unended.clone());
                self.resume_refused_ms = Some(now_ms);
            }
            // The journal's `done` is counted where it is recorded; a refusal by its reason.
            End::Reached | End::Refused(_) => {}
        }
        self.restraint.ended(&self.settings.gc, &report, now_ms);
        let refused = match &report.end {
            End::Refused(refusal) => Some(refusal.reason),
            End::Reached | End::Observed | End::Short(_) => None,
        };
        // What was gone on with is no reason to begin at once what it did not reach.
        let Some(alert) = alert.or(unended.alert) else {
            return;
        };
        let before = self.told.insert(unended.incident, refused).flatten();
        if rests(&report.end, before) {
            self.restraint.rest(&self.settings.gc, &alert, now_ms);
        }
    }

    fn forget_begun(&mut self) {
        if let Err(error) = self.begun_kept.clear() {
            warn!(%error, "the collection that a kill cut short would be gone on with once more");
        }
    }

    /// Why nothing is even planned for this alert.
    fn standing_refusal(&mut self, alert: &Alert, incident: &str, now_ms: i64) -> Option<Refusal> {
        (self.forbidden())
            .or_else(|| self.rests(alert, now_ms))
            .or_else(|| self.restrained(alert, incident, now_ms))
    }

    /// What the operator has said against any collection.
    pub(super) fn forbidden(&self) -> Option<Refusal> {
        if self.settings.gc.mode == Mode::Off {
            let detail = "the remedy is off; set `gc.mode` to observe or act".to_owned();
            return Some(Refusal {
                reason: Reason::Off,
                detail,
            });
        }
        hold::standing(&self.layout.inside(&self.settings.state_dir))
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
        let profiles = self.profiles.values().map(|instance| &instance.machine);
        let machines = std::iter::once(&self.machine).chain(profiles);
        let newest = machines.flat_map(|machine| machine.good().iter().rev().take(2));
        newest
            .map(|generation| PathBuf::from(&generation.store_path))
            .collect()
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

/// Whether the alert that asked for a collection that ended so is not looked at for a while;
/// `before` is why the one before it was refused.
fn rests(end: &End, before: Option<Reason>) -> bool {
    match end {
        // It has no reason to wait: the alert has its own.
        End::Reached => false,
        End::Observed | End::Short(_) => true,
        End::Refused(refusal) => match refusal.reason {
            // What cannot help now would not a moment later either, and a menu that could not be
            // written is not worth a try in each tick.
            Reason::CannotHelp | Reason::BootMenu => true,
            // A root that cannot be read twice (another's NFS, a FUSE mount) stays so, and to see
            // that takes a reading of the whole store.
            Reason::RootsUnreadable => before == Some(Reason::RootsUnreadable),
            // What passes by itself (another collection, a file that could not be read) is looked
            // at again in the next tick.
            _ => false,
        },
    }
}

fn incident_of(alert: &Alert) -> String {
    format!("gc-{}-{}", alert.rule.name, alert.active_at_ms)
}

pub(super) fn time(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(
        |_| at_ms.to_string(),
        |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_refused_is_not_looked_for_in_each_tick() {
        let refused = |reason| {
            End::Refused(Refusal {
                reason,
                detail: String::new(),
            })
        };
        let unreadable = Reason::RootsUnreadable;
        assert!(!rests(&refused(unreadable), None));
        assert!(!rests(&refused(unreadable), Some(Reason::Collecting)));
        assert!(rests(&refused(unreadable), Some(unreadable)));
        for reason in [Reason::CannotHelp, Reason::BootMenu] {
            assert!(rests(&refused(reason), None), "{reason:?}");
        }
        // The disk may fill up by the next tick.
        let not_needed = Some(Reason::NotNeeded);
        assert!(!rests(&refused(Reason::NotNeeded), not_needed));
        assert!(!rests(
            &refused(Reason::Collecting),
            Some(Reason::Collecting)
        ));
        assert!(!rests(&End::Reached, None));
    }
}
