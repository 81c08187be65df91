//! What the rollback remedy and the probes show as samples.

use std::time::Duration;

use snowguard_exporter::sample::{Family, Kind};

use super::{
    machine::Machine,
    policy::Policy,
    state::{State, Updater},
};
use crate::{
    probe::{ProbeResult, Severity},
    record::Remedy,
};

/// All families of the remedy and of its probes in the last tick.
pub fn families(
    machine: &Machine,
    probes: &[ProbeResult],
    policy: &Policy,
    now_ms: i64,
) -> Vec<Family> {
    let confirm_within = machine.confirm_within(policy);
    let mut confirm_by = Family::of(
        Kind::Gauge,
        "snowguard_trial_confirm_by_timestamp_seconds",
        "Until when the system on trial must be confirmed, as seconds since 1970; none if it need not be",
    );
    if let Some(left) = confirm_within {
        let now = Duration::from_millis(u64::try_from(now_ms).unwrap_or(0));
        confirm_by = confirm_by.with(Vec::new(), (now + left).as_secs_f64());
    }
    let state = Family::of(
        Kind::Gauge,
        "snowguard_rollback_state",
        "1 for the state that the rollback remedy is in, 0 for all others",
    );
    let state = State::NAMES.iter().fold(state, |family, name| {
        let here = machine.state().name() == *name;
        family.with(vec![("state", (*name).to_owned())], truth(here))
    });
    let probe = |family: Family, value: &dyn Fn(&ProbeResult) -> f64| {
        probes.iter().fold(family, |family, result| {
            family.with(vec![("probe", result.name.clone())], value(result))
        })
    };
    vec![
        probe(
            Family::of(
                Kind::Gauge,
                "snowguard_probe_success",
                "0 if so many of the last runs of the probe failed that it counts as failed, else 1",
            ),
            &|result| truth(result.ok),
        ),
        probe(
            Family::of(
                Kind::Gauge,
                "snowguard_probe_duration_seconds",
                "How long the last run of the probe took",
            ),
            &|result| result.duration.as_secs_f64(),
        ),
        probe(
            Family::of(
                Kind::Gauge,
                "snowguard_probe_required",
                "1 if a deploy under which the probe fails is condemned, 0 if it is only published \
                 or failed before the deploy on trial",
            ),
            &|result| {
                truth(result.severity == Severity::Required && !machine.excuses(&result.name))
            },
        ),
        Family::gauge(
            "snowguard_trial_active",
            "1 while a newly activated system is on trial, which is when the rollback remedy is armed, or is condemned and nothing was done yet",
            truth(machine.is_judged()),
        ),
        Family::gauge(
            "snowguard_trial_unconfirmed",
            "1 while the system on trial must be confirmed and is not",
            truth(confirm_within.is_some()),
        ),
        confirm_by,
        state,
        Family::of(
            Kind::Gauge,
            "snowguard_remedy_latched",
            "1 if the remedy failed and does nothing more until it is released",
        )
        .with(
            vec![("remedy", Remedy::Rollback.name().to_owned())],
            truth(machine.latched()),
        ),
        failed(machine),
        Family::gauge(
            "snowguard_rollback_good_generations",
            "System generations that were healthy for their soak and are known good",
            count(machine.good().len()),
        ),
        Family::gauge(
            "snowguard_rollback_denied_closures",
            "System closures that were rolled back from",
            count(machine.denied().len()),
        ),
        Family::gauge(
            "snowguard_updater_held",
            "1 while the updater is kept from deploying a condemned closure again; 0 also while that fails",
            truth(match machine.updater() {
                Updater::Free {} => false,
                Updater::Held { failing, .. } => failing.is_none(),
                Updater::Lifting { .. } => true,
            }),
        ),
        held(machine),
        Family::gauge(
            "snowguard_fleet_lock_held",
            "1 while this host holds, or may hold, a place in the fleet's lock",
            truth(machine.lease().is_out()),
        ),
    ]
}

fn held(machine: &Machine) -> Family {
    let family = Family::of(
        Kind::Info,
        "snowguard_updater_held_closure_info",
        "1 for the closure that the updater is kept from deploying again; none while it is not held",
    );
    match machine.updater() {
        Updater::Free {} => family,
        Updater::Held { closure, .. } | Updater::Lifting { closure, .. } => {
            family.with(vec![("store_path", closure.clone())], 1.0)
        }
    }
}

fn failed(machine: &Machine) -> Family {
    let family = Family::of(
        Kind::Gauge,
        "snowguard_rollback_failed",
        "1 for the reason for which the rollback remedy is latched; none while it is not",
    );
    match machine.state() {
        State::Failed { failure, .. } => family.with(vec![("reason", failure.reason.clone())], 1.0),
        _ => family,
    }
}

fn truth(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn count(value: usize) -> f64 {
    f64::from(u32::try_from(value).unwrap_or(u32::MAX))
}

/// What the remedy of a profile that is no system shows: samples with its name.
pub fn of_profile(name: &str, machine: &Machine, probes: &[ProbeResult]) -> Vec<Family> {
    let mut all = families(machine, probes, &Policy::default(), 0);
    all.retain(|family| !OF_THE_SYSTEM.contains(&&*family.name));
    for sample in all.iter_mut().flat_map(|family| &mut family.samples) {
        let label = ("profile".into(), name.to_owned());
        sample.labels.push(label);
    }
    all
}

/// Puts samples of the same families together.
pub fn join(all: &mut Vec<Family>, more: Vec<Family>) {
    for family in more {
        match all.iter_mut().find(|known| known.name == family.name) {
            Some(known) => known.samples.extend(family.samples),
            None => all.push(family),
        }
    }
}

/// Nobody confirms a profile, and only the system's remedy asks the lock of the fleet.
const OF_THE_SYSTEM: [&str; 3] = [
    "snowguard_trial_unconfirmed",
    "snowguard_trial_confirm_by_timestamp_seconds",
    "snowguard_fleet_lock_held",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{record::Mode, rollback::simulation::world::World};

    #[test]
    fn a_probe_that_failed_before_the_deploy_is_required_again_once_it_has_passed() {
        let mut world = World::settled(Mode::Act);
        world.host.borrow_mut().fault_in_var = true;
        world.ticks(2);
        world.deploy(false);
        world.ticks(1);
        assert!(world.machine.excuses("web"));
        world.host.borrow_mut().fault_in_var = false;
        world.ticks(1);
        assert!(!world.machine.excuses("web"));
    }

    #[test]
    fn a_probe_that_failed_once_of_two_times_still_counts_as_well() {
        let result = |name: &str, ok, passed| ProbeResult {
            name: name.to_owned(),
            ok,
            passed,
            blind: false,
            severity: if name == "twice" {
                Severity::Wanted
            } else {
                Severity::Required
            },
            profile: None,
            detail: String::new(),
            duration: Duration::from_millis(250),
        };
        let probes = [result("once", true, false), result("twice", false, false)];
        let families = families(&Machine::default(), &probes, &Policy::default(), 0);
        let values = |name: &str| -> Vec<f64> {
            let family = families.iter().find(|family| family.name == name);
            let samples = &family.expect("family").samples;
            samples.iter().map(|sample| sample.value).collect()
        };
        assert_eq!(values("snowguard_probe_success"), [1.0, 0.0]);
        assert_eq!(values("snowguard_probe_duration_seconds"), [0.25, 0.25]);
        assert_eq!(values("snowguard_probe_required"), [1.0, 0.0]);
        assert_eq!(values("snowguard_trial_active"), [0.0]);
        let states = values("snowguard_rollback_state");
        assert_eq!((states.len(), states.iter().sum::<f64>()), (9, 1.0));
    }
}
