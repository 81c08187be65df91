//! What is on trial, for the probes: known before they run, because the first run after an
//! activation counts as one of its trial.

use std::time::Duration;

use super::Remedies;
use crate::{
    act::target_root::TargetRoot,
    probe::{Ago, Trials},
    record::Mode,
    rollback::{facts::SystemSeen, machine::Machine, policy::Policy},
    watch::seen,
};

impl Remedies {
    /// How long ago everything began that is on trial or watched otherwise, as this look will find
    /// it.
    pub(in crate::watch) fn trials(&self, now_ms: i64) -> Trials {
        let system = |policy: &Policy| {
            let looks = policy.mode != Mode::Off;
            looks.then(|| seen::system(&self.layout).ok()).flatten()
        };
        let policy = &self.settings.rollback;
        let mut trials = Trials {
            system: ago(&self.machine, system(policy).as_ref(), policy, now_ms),
            ..Trials::default()
        };
        for (name, profile) in &self.settings.profiles {
            let Some(instance) = self.profiles.get(name) else {
                continue;
            };
            let policy = Policy {
                mode: profile.mode.unwrap_or(policy.mode),
                follows_profile: true,
                ..policy.clone()
            };
            let root = TargetRoot::of_profile(&self.layout, name);
            let looks = policy.mode != Mode::Off;
            let seen =
                looks.then(|| seen::profile(&self.layout, &profile.profile, &root.link).ok());
            let seen = seen.flatten();
            let ago = ago(&instance.machine, seen.as_ref(), &policy, now_ms);
            trials.profiles.insert(name.clone(), ago);
        }
        trials
    }
}

fn ago(machine: &Machine, system: Option<&SystemSeen>, policy: &Policy, now_ms: i64) -> Ago {
    let since = machine.watched_since(system, policy, now_ms);
    let ago = |since| {
        let ago = u64::try_from(now_ms.saturating_sub(since)).unwrap_or(0);
        Duration::from_millis(ago)
    };
    Ago {
        activated: since.activated_ms.map(ago),
        counted: since.counted_ms.map(ago),
        afresh: since.afresh,
    }
}
