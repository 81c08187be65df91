//! The rollback remedy of the system: what one look is made of, and whose hands it has.

use snowguard_rules::{Alert, Remedy as Asked};
use tracing::warn;

use super::{
    Looked, Remedies, probes_of, profiles,
    running::Running,
    undisturbed::{TO_STOP, Undisturbed},
};
use crate::{
    act::{set_profile::SetProfile, target_root::TargetRoot},
    config::Settings,
    record::Mode,
    rollback::{
        confirmation::Confirmation,
        facts::{AlertSeen, Facts},
        fleet_lock::{self, FleetLock},
        machine::Machine,
        policy::Policy,
        reboot::HostTargets,
        run::{Hands, HostVerbs, tick},
        state::Updater,
        turn,
    },
    watch::{
        counters::{Counters, Counting},
        means::{PROFILE_LOCK, hold_updater, reboot, switch},
        seen,
    },
};

impl Remedies {
    pub(super) fn rollback(&mut self, looked: Looked<'_>, now_ms: i64, counters: &mut Counters) {
        // What was done when it might act ends in any mode.
        let owing = !matches!(self.machine.updater(), Updater::Free {})
            || self.machine.lease().is_out()
            || TargetRoot::of(&self.layout).link.is_symlink();
        if self.settings.rollback.mode == Mode::Off && !owing {
            return;
        }
        let policy = &Policy {
            delay: turn::delay(self.settings.rollback_jitter, self.restraint.host()),
            ..self.settings.rollback.clone()
        };
        // Those of a profile are for its own machine, or for nobody.
        let of_system = |profile: &str| matches!(profile, "" | "system");
        let alerts = judging(looked.firing, of_system);
        let pending = judging(looked.pending, of_system);
        let probes = probes_of(None, looked.probes);
        let system = seen::system(&self.layout);
        if let Err(error) = &system {
            warn!(%error, "blind: the rollback remedy waits");
        }
        let confirmation = Confirmation::of(&self.layout.inside(&self.settings.state_dir));
        let confirmed = confirmation.read().unwrap_or_else(|error| {
            warn!(%error, "a confirmation cannot be taken");
            None
        });
        let valid = |path: &str| seen::is_whole(&self.layout, path);
        let targets = HostTargets::new(&self.layout, &valid);
        let facts = Facts {
            system: system.as_ref().ok(),
            probes: profiles::all_seen(&probes),
            confirmed: confirmed.as_deref(),
            alerts: &alerts,
            pending: &pending,
            unanswered: looked.unanswered,
            targets: &targets,
        };
        let fleet = fleet_lock(&self.settings, self.restraint.host());
        let mut verbs = Undisturbed {
            verbs: HostVerbs {
                profile: SetProfile {
                    profile: self.layout.profiles().join("system"),
                    lock_deadline: PROFILE_LOCK,
                },
                switch: switch(&self.layout, self.ending.clone()),
                root: TargetRoot::of(&self.layout),
                updater: hold_updater(&self.layout, &self.settings),
                reboot: reboot(&self.layout),
                place: self.incident.place(),
                fleet: fleet.clone(),
            },
            stop: self.running.as_ref().map(|running| &running.stop),
            stopped: &|| self.running.as_ref().is_none_or(Running::is_ended),
            patience: TO_STOP,
        };
        let (kept, incident, settings) =
            (&mut self.machine_kept, &mut self.incident, &self.settings);
        let mut persist = |machine: &Machine| {
            let before = incident.keep_before(machine, settings, fleet.as_ref());
            let outcome = before.and_then(|()| kept.save(machine));
            outcome.map_err(|error| error.to_string())
        };
        let mut journal = self.journal.clone();
        let mut recorder = Counting {
            counters,
            inner: &mut journal,
        };
        let mut hands = Hands {
            verbs: &mut verbs,
            persist: &mut persist,
            recorder: &mut recorder,
        };
        let machine = std::mem::take(&mut self.machine);
        self.machine = tick(machine, facts, policy, now_ms, &mut hands);
        // One that lay about would confirm another activation of the same system.
        let running = facts.system.and_then(|system| system.running.as_deref());
        if let (Some(confirmed), Some(running)) = (&confirmed, running)
            && (running != confirmed || self.machine.has_taken_confirmation(confirmed))
            && let Err(error) = confirmation.remove()
        {
            warn!(%error, "a confirmation cannot be taken away");
        }
    }
}

/// Those that judge the deploys of a profile, by the profile that they name.
pub(super) fn judging(alerts: &[Alert], is_of: impl Fn(&str) -> bool) -> Vec<AlertSeen> {
    (alerts.iter())
        .filter(|alert| alert.remedy == Some(Asked::Rollback))
        .filter(|alert| is_of(alert.labels.get("profile")))
        .map(alert_seen)
        .collect()
}

fn alert_seen(alert: &Alert) -> AlertSeen {
    AlertSeen {
        name: alert.rule.name.clone(),
        active_at_ms: alert.active_at_ms,
        probe: Some(alert.labels.get("probe").to_owned()).filter(|name| !name.is_empty()),
    }
}

/// The lock of the fleet, with an id for this host.
fn fleet_lock(settings: &Settings, machine_id: &str) -> Option<FleetLock> {
    let mut lock = settings.fleet_lock.clone()?;
    if lock.id.is_empty() {
        lock.id = fleet_lock::id_of(machine_id)?;
    }
    Some(lock)
}
