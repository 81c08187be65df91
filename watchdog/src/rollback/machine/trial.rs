//! From a deploy to its trial, and from there to known good or condemned.

use std::collections::BTreeSet;

use super::{Machine, healthy};
use crate::{
    probe::ProbeResult,
    record::{Mode, Step},
    rollback::{
        decision::{Decision, name},
        facts::{AlertSeen, Deploy, Facts, GenerationId, SystemSeen},
        policy::Policy,
        soak,
        state::{Bad, Before, Phase, State, Trial},
    },
};

/// How many known good generations are remembered; a profile seldom has more links.
const MAX_GOOD: usize = 64;

impl Machine {
    /// Keeps since when each probe fails.
    pub(super) fn note_probes(&mut self, probes: &[ProbeResult], now: i64) {
        let before = std::mem::take(&mut self.failing);
        self.failing = probes
            .iter()
            .filter(|probe| !probe.passed)
            .map(|probe| {
                let since = before.get(&probe.name).copied().unwrap_or(now);
                (probe.name.clone(), since)
            })
            .collect();
        // What failed before and passes now is from now on the deploy's to keep.
        let still = &self.failing;
        if let State::Trial(Trial { before, .. })
        | State::Condemned {
            bad: Bad { before, .. },
            ..
        }
        | State::RollingBack {
            bad: Bad { before, .. },
            ..
        }
        | State::Verifying {
            bad: Bad { before, .. },
            ..
        }
        | State::Observed {
            bad: Bad { before, .. },
            ..
        } = &mut self.state
        {
            before.failing.retain(|probe| still.contains_key(probe));
        }
    }

    /// True if this running system is news to the state.
    pub(super) fn is_unexpected(&self, deploy: &Deploy) -> bool {
        let path = deploy.store_path.as_str();
        match &self.state {
            State::Unknown {} => true,
            State::Adopting { deploy, .. } | State::Trial(Trial { deploy, .. }) => {
                deploy.store_path != path
            }
            State::Settled { good } => good.store_path != path,
            State::Condemned { bad, .. } | State::Observed { bad, .. } => {
                bad.deploy.store_path != path
            }
            // Before the switch was begun only others can have left the bad system.
            State::RollingBack {
                bad,
                phase: Phase::Begun,
                ..
            } => bad.deploy.store_path != path,
            State::RollingBack { bad, target, .. } | State::Verifying { bad, target, .. } => {
                bad.deploy.store_path != path && target.store_path != path
            }
            State::Failed { .. } => false,
        }
    }

    pub(super) fn new_deploy(
        &mut self,
        deploy: Deploy,
        policy: &Policy,
        now: i64,
        out: &mut Vec<Decision>,
    ) {
        let before = match &self.state {
            State::Failed { .. } => return,
            State::Unknown {} | State::Adopting { .. } => {
                let message = format!("{} runs; taken as good after its soak", name(&deploy));
                out.push(Decision::of_deploy(&deploy, now, "adopting", message));
                let soak = None;
                self.state = State::Adopting { deploy, soak };
                return;
            }
            State::Settled { .. } => None,
            State::Trial(Trial { before, .. })
            | State::Condemned {
                bad: Bad { before, .. },
                ..
            }
            | State::RollingBack {
                bad: Bad { before, .. },
                ..
            }
            | State::Verifying {
                bad: Bad { before, .. },
                ..
            }
            | State::Observed {
                bad: Bad { before, .. },
                ..
            } => Some(before.clone()),
        };
        let since_ms = activation_began(&deploy, policy, now);
        // A deploy on top of one that never was found good answers for what that one broke.
        let before = before.unwrap_or_else(|| Before {
            armed_since_ms: since_ms,
            failing: self.failing_before(since_ms),
        });
        let again = self
            .denied
            .iter()
            .any(|d| d.store_path == deploy.store_path);
        let (reason, more) = if again {
            ("trial_of_denied", "; it was rolled back from before")
        } else {
            ("trial", "")
        };
        let message = format!("{} was activated and is on trial{more}", name(&deploy));
        out.push(Decision::of_deploy(&deploy, since_ms, reason, message));
        self.state = State::Trial(Trial {
            deploy,
            since_ms,
            before,
            soak: None,
        });
    }

    pub(super) fn failing_before(&self, since_ms: i64) -> BTreeSet<String> {
        let earlier = self.failing.iter().filter(|(_, at)| **at < since_ms);
        earlier.map(|(probe, _)| probe.clone()).collect()
    }

    /// A system in its soak: condemned by an alert, found good by time, or neither yet.
    pub(super) fn watch(
        &mut self,
        facts: &Facts<'_>,
        system: &SystemSeen,
        running: Deploy,
        policy: &Policy,
        now: i64,
        out: &mut Vec<Decision>,
    ) {
        let Some(probes) = facts.probes else { return };
        let (deploy, soak, excused, since) = match &mut self.state {
            State::Adopting { deploy, soak } => (deploy, soak, &BTreeSet::new(), now),
            State::Trial(trial) => {
                if policy.mode != Mode::Off
                    && let Some(alert) = condemning(trial, facts.alerts, policy, now)
                {
                    let bad = Bad {
                        deploy: running,
                        since_ms: trial.since_ms,
                        before: trial.before.clone(),
                        alert: alert.name.clone(),
                    };
                    self.condemn(bad, facts, system, policy, now, out);
                    return;
                }
                let Trial {
                    deploy,
                    soak,
                    before,
                    since_ms,
                } = trial;
                (deploy, soak, &before.failing, *since_ms)
            }
            _ => return,
        };
        *deploy = running;
        *soak = soak::look(*soak, healthy(probes, excused), now, policy.max_gap);
        if soak::lasted(*soak, policy.soak) {
            let good = deploy.clone();
            let message = format!("{} was healthy for its soak and is known good", name(&good));
            out.push(Decision::of_deploy(&good, since, "settled", message));
            self.settle(good, system);
        }
    }

    pub(super) fn settle(&mut self, good: Deploy, system: &SystemSeen) {
        self.denied.retain(|d| d.store_path != good.store_path);
        self.good
            .retain(|known| Some(known) != good.generation.as_ref());
        self.remember_good(good.generation.clone(), system);
        self.state = State::Settled { good };
    }

    pub(super) fn remember_good(&mut self, generation: Option<GenerationId>, system: &SystemSeen) {
        let Some(generation) = generation else { return };
        if self.good.contains(&generation) {
            return;
        }
        self.good.retain(|known| system.generations.contains(known));
        self.good.push(generation);
        let excess = self.good.len().saturating_sub(MAX_GOOD);
        self.good.drain(..excess);
    }

    pub(super) fn condemn(
        &mut self,
        bad: Bad,
        facts: &Facts<'_>,
        system: &SystemSeen,
        policy: &Policy,
        now: i64,
        out: &mut Vec<Decision>,
    ) {
        let message = format!(
            "{} is condemned by the alert {:?}",
            name(&bad.deploy),
            bad.alert
        );
        out.push(Decision::about(
            &bad,
            Step::Trip,
            "condemned",
            message,
            None,
        ));
        let waiting = String::new();
        self.state = State::Condemned { bad, waiting };
        self.plan(facts, system, policy, now, out);
    }
}

/// When the activation of a deploy that was first seen now began: the profile is set right
/// before the switch, so a fresh link tells it better than our last look.
fn activation_began(deploy: &Deploy, policy: &Policy, now: i64) -> i64 {
    let linked = deploy.generation.as_ref().map(|g| g.linked_at_ms);
    linked
        .filter(|at| (0..=soak::millis(policy.activation)).contains(&now.saturating_sub(*at)))
        .unwrap_or(now)
}

/// The alert that condemns a deploy, if one does.
fn condemning<'a>(
    trial: &Trial,
    alerts: &'a [AlertSeen],
    policy: &Policy,
    now: i64,
) -> Option<&'a AlertSeen> {
    let cure_over = now.saturating_sub(trial.since_ms) >= soak::millis(policy.cure);
    alerts.iter().find(|alert| {
        let excused = alert
            .probe
            .as_ref()
            .is_some_and(|p| trial.before.failing.contains(p));
        let own = alert.active_at_ms >= trial.since_ms;
        // From a deploy before this one that was never found good: this one may be its cure.
        let inherited = alert.active_at_ms >= trial.before.armed_since_ms && cure_over;
        !excused && (own || inherited)
    })
}
