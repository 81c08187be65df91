//! The rollback remedy of profiles that are no system: a machine for each.

use std::collections::BTreeMap;

use snowguard_exporter::sample::Family;
use snowguard_host::Layout;
use tracing::warn;

use super::{
    Counters, Counting, Looked, Remedies, Running, TO_STOP, Undisturbed, load_machine,
    rollback::judging,
};
use crate::{
    act::{activate::Activate, set_profile::SetProfile, target_root::TargetRoot},
    config::Settings,
    keep::{Keep, KeepError},
    probe::{ProbeResult, Severity},
    record::Mode,
    rollback::{
        facts::Facts,
        families,
        machine::Machine,
        policy::Policy,
        profile::{Named, Profile, ProfileVerbs},
        reboot::HostTargets,
        run::{Hands, tick},
        state::Updater,
        turn,
    },
    watch::{
        means::{PROFILE_LOCK, hold_updater, switch},
        seen,
    },
};

/// What the name of a machine's document begins with.
pub(super) const FILE: &str = "rollback-profile-";

/// The machine of one profile.
pub(super) struct Instance {
    pub(super) machine: Machine,
    pub(super) kept: Keep,
}

/// The machines of all profiles of the configuration. One that is in it no more is forgotten here;
/// what it was is on disk still, and what is owed of it is for `departed`.
pub(super) fn load(
    layout: &Layout,
    settings: &Settings,
    mut before: BTreeMap<String, Instance>,
) -> Result<BTreeMap<String, Instance>, KeepError> {
    let mut all = BTreeMap::new();
    for name in settings.profiles.keys() {
        let instance = match before.remove(name) {
            Some(instance) => instance,
            None => {
                let file = format!("{FILE}{name}");
                let (machine, kept) = load_machine(layout, settings, &file)?;
                Instance { machine, kept }
            }
        };
        all.insert(name.clone(), instance);
    }
    Ok(all)
}

/// The probes that are about this profile, or about the system.
pub(in crate::watch) fn of(profile: Option<&str>, probes: &[ProbeResult]) -> Vec<ProbeResult> {
    let all = probes.iter();
    all.filter(|probe| probe.profile.as_deref() == profile)
        .cloned()
        .collect()
}

/// The probes as the machine is to be told of them: not at all, if one that decides could not be run.
pub(super) fn all_seen(probes: &[ProbeResult]) -> Option<&[ProbeResult]> {
    let unseen = |probe: &&ProbeResult| probe.blind && probe.severity == Severity::Required;
    if let Some(probe) = probes.iter().find(unseen) {
        let (name, why) = (probe.name.as_str(), probe.detail.as_str());
        warn!(probe = name, why, "blind: the rollback remedy waits");
        return None;
    }
    Some(probes)
}

impl Remedies {
    pub(in crate::watch) fn profiles(&self) -> impl Iterator<Item = (&str, &Machine)> {
        let all = self.profiles.iter();
        all.map(|(name, instance)| (name.as_str(), &instance.machine))
    }

    pub(in crate::watch) fn profile_families(&self, probes: &[ProbeResult]) -> Vec<Family> {
        let all = self.profiles();
        all.flat_map(|(name, machine)| {
            let probes = of(Some(name), probes);
            families::of_profile(name, machine, &probes)
        })
        .collect()
    }

    pub(super) fn roll_back_profiles(
        &mut self,
        looked: Looked<'_>,
        now_ms: i64,
        counters: &mut Counters,
    ) {
        for (name, profile) in self.settings.profiles.clone() {
            if let Some(mut instance) = self.profiles.remove(&name) {
                self.roll_back(&name, &profile, &mut instance, looked, now_ms, counters);
                self.profiles.insert(name, instance);
            }
        }
    }

    pub(super) fn profile_verbs(&self, name: &str, profile: &Profile) -> ProfileVerbs {
        let mut updater = hold_updater(&self.layout, &self.settings);
        updater.updaters = profile.updaters.clone();
        updater.profile = Some(name.to_owned());
        ProfileVerbs {
            profile: SetProfile {
                profile: self.layout.inside(&profile.profile),
                lock_deadline: PROFILE_LOCK,
            },
            activate: Activate {
                switch: switch(&self.layout, self.ending.clone()),
                name: name.to_owned(),
                profile: profile.profile.clone(),
                command: profile.activate.clone(),
            },
            root: TargetRoot::of_profile(&self.layout, name),
            updater,
        }
    }

    fn roll_back(
        &mut self,
        name: &str,
        profile: &Profile,
        instance: &mut Instance,
        looked: Looked<'_>,
        now_ms: i64,
        counters: &mut Counters,
    ) {
        let system = &self.settings.rollback;
        let policy = Policy {
            mode: profile.mode.unwrap_or(system.mode),
            delay: turn::delay(self.settings.rollback_jitter, self.restraint.host()),
            require_confirmation: None,
            fleet: None,
            follows_profile: true,
            ..system.clone()
        };
        let root = TargetRoot::of_profile(&self.layout, name);
        let owing =
            !matches!(instance.machine.updater(), Updater::Free {}) || root.link.is_symlink();
        if policy.mode == Mode::Off && !owing {
            return;
        }
        let alerts = judging(looked.firing, |profile| profile == name);
        let pending = judging(looked.pending, |profile| profile == name);
        let probes = of(Some(name), looked.probes);
        let seen = seen::profile(&self.layout, &profile.profile, &root.link);
        if let Err(error) = &seen {
            warn!(profile = name, %error, "blind: the rollback remedy waits");
        }
        let valid = |path: &str| seen::is_whole(&self.layout, path);
        let targets = HostTargets::new(&self.layout, &valid);
        let facts = Facts {
            system: seen.as_ref().ok(),
            probes: all_seen(&probes),
            confirmed: None,
            alerts: &alerts,
            pending: &pending,
            unanswered: looked.unanswered,
            targets: &targets,
        };
        let mut verbs = Undisturbed {
            verbs: self.profile_verbs(name, profile),
            stop: self.running.as_ref().map(|running| &running.stop),
            stopped: &|| self.running.as_ref().is_none_or(Running::is_ended),
            patience: TO_STOP,
        };
        let (kept, incident, settings) = (&mut instance.kept, &mut self.incident, &self.settings);
        let mut persist = |machine: &Machine| {
            let before = incident.keep_before(machine, settings, None);
            let outcome = before.and_then(|()| kept.save(machine));
            outcome.map_err(|error| error.to_string())
        };
        let mut journal = self.journal.clone();
        let mut counting = Counting {
            counters,
            inner: &mut journal,
        };
        let mut hands = Hands {
            verbs: &mut verbs,
            persist: &mut persist,
            recorder: &mut Named {
                profile: name,
                inner: &mut counting,
            },
        };
        let machine = std::mem::take(&mut instance.machine);
        instance.machine = tick(machine, facts, &policy, now_ms, &mut hands);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_probe_that_decides_and_could_not_be_run_blinds_the_machine() {
        let probe = |blind, severity| ProbeResult {
            name: "web".to_owned(),
            ok: true,
            passed: false,
            blind,
            severity,
            profile: None,
            detail: String::new(),
            duration: Duration::ZERO,
        };
        assert_eq!(all_seen(&[probe(true, Severity::Required)]), None);
        assert!(all_seen(&[probe(true, Severity::Wanted)]).is_some());
        assert!(all_seen(&[probe(false, Severity::Required)]).is_some());
    }
}
