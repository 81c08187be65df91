//! From a deploy to its trial, and from there to known good or condemned.

use std::collections::BTreeSet;

use super::{Kept, Machine, condemn::condemned_by, healthy};
use crate::{
    record::Mode,
    rollback::{
        decision::{Decision, name, name_of},
        facts::{Deploy, Facts, GenerationId, SystemSeen},
        policy::Policy,
        soak::{self, Elapsed, Soak},
        state::{Bad, Before, Phase, State, Trial, Tried},
    },
};

/// Since when what runs is watched, milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchedSince {
    /// When the activation began of what is on trial, or of what was gone back to and is verified.
    pub activated_ms: Option<i64>,
    /// From when on restarts of units are added up.
    pub counted_ms: Option<i64>,
    /// What restarted before that counts for nothing: a switch that goes back touches no unit that
    /// is the same in both systems, and it may have restarted for what was undone.
    pub afresh: bool,
}

/// How many known good generations are remembered; a profile seldom has more links.
const MAX_GOOD: usize = 64;

impl Machine {
    /// True if this running system is news to the state.
    pub(super) fn is_unexpected(&self, deploy: &Deploy, policy: &Policy) -> bool {
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
            } if !policy.follows_profile => bad.deploy.store_path != path,
            State::RollingBack { bad, target, .. } | State::Verifying { bad, target, .. } => {
                bad.deploy.store_path != path && target.store_path != path
            }
            State::Failed { .. } => false,
        }
    }

    pub(super) fn new_deploy(
        &mut self,
        deploy: Deploy,
        began: Option<i64>,
        policy: &Policy,
        now: i64,
        out: &mut Vec<Decision>,
    ) {
        match &self.state {
            State::Failed { .. } => return,
            // What runs is not known good, others are: the next deploy can be gone back from.
            State::Adopting { .. } if !self.good.is_empty() => {}
            State::Unknown {} | State::Adopting { .. } => {
                let message = format!("{} runs; taken as good after its soak", name(&deploy));
                out.push(Decision::of_deploy(&deploy, now, "adopting", message));
                let soak = None;
                self.state = State::Adopting { deploy, soak };
                return;
            }
            State::Settled { .. }
            | State::Trial(_)
            | State::Condemned { .. }
            | State::RollingBack { .. }
            | State::Verifying { .. }
            | State::Observed { .. } => {}
        }
        let since_ms = began.unwrap_or(now);
        // A deploy on top of one that never was found good answers for what that one broke.
        // What was only observed may have been well for days since; what began then is no fault of
        // this deploy.
        let is_past = matches!(&self.state, State::Observed { bad, .. }
            if since_ms.saturating_sub(bad.since_ms) > soak::millis(policy.soak));
        let before = self.state.before_mut().filter(|_| !is_past).cloned();
        let before = before.unwrap_or_else(|| Before {
            armed_since_ms: since_ms,
            failing: self.failing_before(began, policy, now),
            known: self.known.clone(),
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
        let named = name(&deploy);
        let path = &deploy.store_path;
        let mut failing = self.failing.keys();
        let fled = before.armed_since_ms < since_ms
            && failing.any(|probe| !before.failing.contains(probe));
        let known_good = !again && self.good.iter().any(|good| good.store_path == *path);
        self.state = State::Trial(Trial {
            deploy: deploy.clone(),
            since_ms,
            before,
            known_good,
            fled,
            boot_id: None,
            started_ms: Some(now),
            recovered: false,
            // Whoever goes back to what was good has said so by that.
            confirmed: known_good && fled,
            soak: None,
            waited: Elapsed::default(),
        });
        let back = match self.kept(None) {
            Kept::Target(target) if policy.mode == Mode::Act => {
                format!("; {} is kept to go back to", name_of(target))
            }
            _ => String::new(),
        };
        let message = format!("{named} was activated and is on trial{more}{back}");
        out.push(Decision::of_deploy(&deploy, since_ms, reason, message));
    }

    /// What the probes are to know of what runs, once this system was looked at.
    pub fn watched_since(
        &self,
        system: Option<&SystemSeen>,
        policy: &Policy,
        now: i64,
    ) -> WatchedSince {
        let mut then = self.clone().not_after(now);
        if let Some(deploy) = system.and_then(SystemSeen::deploy)
            && then.is_unexpected(&deploy, policy)
        {
            let began = system.and_then(|system| then.began(&deploy, system, policy, now));
            then.new_deploy(deploy, began, policy, now, &mut Vec::new());
        }
        if let Some(system) = system {
            then.note_boot(system, now);
        }
        let both = |since, afresh| WatchedSince {
            activated_ms: since,
            counted_ms: since,
            afresh,
        };
        match &then.state {
            State::Trial(trial) => WatchedSince {
                activated_ms: Some(trial.started_ms.unwrap_or(trial.since_ms)),
                counted_ms: Some(trial.since_ms),
                afresh: false,
            },
            // It may be on trial again.
            State::Condemned { bad, .. } => WatchedSince {
                activated_ms: None,
                counted_ms: Some(bad.since_ms),
                afresh: false,
            },
            State::Verifying { since_ms, .. } => both(*since_ms, true),
            // A unit that restarted too often begins anew: what calmed down may be adopted.
            State::Adopting { soak, .. } => WatchedSince {
                activated_ms: None,
                counted_ms: soak.map(Soak::began_ms),
                afresh: false,
            },
            _ => both(None, false),
        }
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
        let (deploy, soak, excused, since, confirmed) = match &mut self.state {
            State::Adopting { deploy, soak } => (deploy, soak, &BTreeSet::new(), now, true),
            State::Trial(trial) => {
                trial.waited = trial.waited.look(now, policy.max_gap);
                if facts.confirmed == Some(running.store_path.as_str()) && !trial.confirmed {
                    trial.confirmed = true;
                    let message = format!("{} was confirmed", name(&running));
                    let since = trial.since_ms;
                    out.push(Decision::of_deploy(&running, since, "confirmed", message));
                }
                if policy.mode != Mode::Off
                    && let Some((alert, inherited)) = condemned_by(trial, facts.alerts, policy, now)
                {
                    let bad = Bad {
                        deploy: running,
                        since_ms: trial.since_ms,
                        before: trial.before.clone(),
                        alert: alert.to_owned(),
                        trial: Tried {
                            known_good: trial.known_good,
                            fled: trial.fled,
                            recovered: trial.recovered,
                            confirmed: trial.confirmed,
                        },
                    };
                    if trial.known_good && (inherited || trial.fled) {
                        self.go_no_further(bad, policy, out);
                    } else {
                        self.condemn(bad, facts, system, policy, now, out);
                    }
                    return;
                }
                let Trial {
                    deploy,
                    soak,
                    before,
                    since_ms,
                    confirmed,
                    ..
                } = trial;
                let confirmed = *confirmed || policy.require_confirmation.is_none();
                (deploy, soak, &before.failing, *since_ms, confirmed)
            }
            _ => return,
        };
        *deploy = running;
        // An alert that nobody could ask about might fire.
        let well = facts.unanswered.is_empty() && healthy(probes, excused);
        *soak = soak::look(*soak, well, now, policy.max_gap);
        // An alert that began under this deploy and still waits for its `for` may yet condemn it.
        let undecided = facts.pending.iter().any(|alert| {
            let excused = (alert.probe.as_ref()).is_some_and(|probe| excused.contains(probe));
            alert.active_at_ms >= since && !excused
        });
        if soak::lasted(*soak, policy.soak) && confirmed && !undecided {
            let good = deploy.clone();
            if !healthy(probes, &BTreeSet::new()) {
                let message = format!(
                    "{} broke nothing in its soak; what failed before it fails still, and it is not \
                     known good before that is well",
                    name(&good)
                );
                out.push(Decision::of_deploy(&good, since, "not_known_good", message));
                self.state = State::Adopting {
                    deploy: good,
                    soak: None,
                };
                return;
            }
            let message = format!("{} was healthy for its soak and is known good", name(&good));
            out.push(Decision::of_deploy(&good, since, "settled", message));
            self.let_updater_go(&good.store_path);
            self.settle(good, system);
        }
    }

    pub(super) fn settle(&mut self, good: Deploy, system: &SystemSeen) {
        self.denied.retain(|d| d.store_path != good.store_path);
        if let Some(id) = id_of(&good, system) {
            self.good.retain(|known| *known != id);
        }
        self.remember_good(&good, system);
        self.state = State::Settled { good };
    }

    pub(super) fn remember_good(&mut self, good: &Deploy, system: &SystemSeen) {
        let Some(id) = id_of(good, system) else {
            return;
        };
        if self.good.contains(&id) {
            return;
        }
        // Of what has no link, the last one before is enough: nothing keeps the others.
        let unlinked = self.good.iter().rev().filter(|known| !known.has_link());
        let last = unlinked.map(|known| known.store_path.clone()).next();
        self.good.retain(|known| {
            let is_same = known.store_path == id.store_path;
            if known.has_link() {
                system.generations.contains(known)
            } else {
                !is_same && last.as_ref() == Some(&known.store_path)
            }
        });
        self.good.push(id);
        let excess = self.good.len().saturating_sub(MAX_GOOD);
        self.good.drain(..excess);
    }
}

/// The name by which a good system is remembered; `None` for one that is not there to stay.
fn id_of(good: &Deploy, system: &SystemSeen) -> Option<GenerationId> {
    let unlinked = || GenerationId::without_link(&good.store_path);
    good.generation
        .clone()
        .or_else(|| system.lasts.then(unlinked))
}
