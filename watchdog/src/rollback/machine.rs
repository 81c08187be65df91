//! The state machine of the rollback remedy.
//!
//! ```text
//! Unknown → Adopting → Settled → Trial → Condemned → RollingBack → Verifying → Settled
//!                         ↑        │  ↘ Observed          ↘───────────↓
//!                         └────────┘ (soak)                         Failed (latched)
//! ```
//! From every state but `Failed` a system that nobody expected to run begins a new trial: whoever
//! deploys by hand in the middle of it all has the last word. The fields are private and every
//! way to change them is in this module, so that no other transition can be written.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    decision::Decision,
    facts::{Facts, GenerationId, SystemSeen},
    policy::Policy,
    soak::Elapsed,
    state::{Bad, Denied, NOT_CONFIRMED, State, Trial, Updater},
    turn::Lease,
};
use crate::{
    probe::{ProbeResult, Severity},
    record::Mode,
};

mod act;
mod activation;
mod baseline;
mod boot;
mod clock;
mod condemn;
mod event;
mod reboot;
mod trial;
mod turn;
mod undo;
mod updater;

use activation::Before;
use clock::Looked;
pub use event::{Act, Event};
pub use trial::WatchedSince;

/// The machine: its state, and what outlives every state.
///
/// A program that goes back to an older system may be followed by an older one of its own: what it
/// does not know it leaves out, and what it may not leave out changes the version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    version: u32,
    state: State,
    /// Known good generations, in the order in which they were found good.
    good: Vec<GenerationId>,
    denied: Vec<Denied>,
    /// Probes that count as failed and have not passed since, and since when.
    failing: BTreeMap<String, i64>,
    /// Those of them that have failed for longer than an activation stops units. On disk, because
    /// a reboot stops them as well. `None` was written by a version that did not tell them apart.
    #[serde(default)]
    failing_long: Option<BTreeSet<String>>,
    /// The probes of the last look at a system that was not judged.
    #[serde(default)]
    known: Option<BTreeSet<String>>,
    #[serde(default)]
    seen: Option<Before>,
    #[serde(default)]
    updater: Updater,
    /// The place of this host in the fleet's lock.
    #[serde(default)]
    lease: Lease,
    /// When it was last tried to give it back, and why that failed.
    #[serde(skip)]
    returned: Option<(i64, String)>,
    #[serde(skip)]
    looked: Looked,
    /// When it last saw the system.
    #[serde(skip)]
    saw: Looked,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            version: Self::VERSION,
            state: State::Unknown {},
            good: Vec::new(),
            denied: Vec::new(),
            failing: BTreeMap::new(),
            failing_long: None,
            known: None,
            seen: None,
            updater: Updater::Free {},
            lease: Lease::Free,
            returned: None,
            looked: Looked::default(),
            saw: Looked::default(),
        }
    }
}

impl Machine {
    const VERSION: u32 = 1;

    /// Where the remedy stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The known good generations, in the order in which they were found good. What a garbage
    /// collection must never give up is the last of them.
    pub fn good(&self) -> &[GenerationId] {
        &self.good
    }

    /// The closures that were rolled back from. The updater is held, so that it does not bring one
    /// again. Whoever activates one all the same makes a new deploy, which gets a new trial: it is
    /// rolled back again only if an alert fires again, and so many times only; then the remedy
    /// latches, because somebody brings it again and again who is not held.
    pub fn denied(&self) -> &[Denied] {
        &self.denied
    }

    /// True if a deploy is on trial, that is: if the remedy is armed.
    pub fn on_trial(&self) -> bool {
        matches!(self.state, State::Trial(_))
    }

    /// True if a deploy is on trial, or condemned and may be on trial again.
    pub fn is_judged(&self) -> bool {
        self.on_trial() || matches!(self.state, State::Condemned { .. })
    }

    /// True if this probe failed before the deploy that is judged and has failed ever since: the
    /// deploy is not condemned for it, and is well again without it. A rule that asks whether any
    /// probe fails cannot know that.
    pub fn excuses(&self, probe: &str) -> bool {
        match &self.state {
            State::Trial(Trial { before, .. })
            | State::Condemned {
                bad: Bad { before, .. },
                ..
            } => before.failing.contains(probe),
            _ => false,
        }
    }

    /// What our own GC root is to keep: all the time, for between a deploy and the first look after
    /// it whoever deploys may take all generations but the new one.
    pub fn kept(&self, system: Option<&SystemSeen>) -> Kept<'_> {
        let bad = match &self.state {
            State::Trial(trial) => trial.deploy.store_path.as_str(),
            State::Condemned { bad, .. } | State::Observed { bad, .. } => &bad.deploy.store_path,
            State::RollingBack { target, .. } | State::Verifying { target, .. } => {
                return Kept::Target(target);
            }
            State::Unknown {} | State::Adopting { .. } | State::Settled { .. } => "",
            State::Failed { .. } => return Kept::AsBefore,
        };
        let may_be = |good: &&GenerationId| {
            let path = &good.store_path;
            let denied = self.denied.iter().any(|denied| denied.store_path == *path);
            // What nothing keeps any more may be gone: the choice would pass it over as well.
            let is_there = system.is_none_or(|system| {
                !good.has_link()
                    || system.generations.contains(good)
                    || system.kept.as_ref() == Some(path)
            });
            path != bad && !denied && is_there
        };
        let last = self.good.iter().rev().find(may_be);
        last.map_or(Kept::Nothing, Kept::Target)
    }

    /// How long the deploy on trial may still go unconfirmed; `None` if nothing has to be
    /// confirmed.
    pub fn confirm_within(&self, policy: &Policy) -> Option<Duration> {
        match &self.state {
            State::Trial(trial) if !trial.confirmed && policy.mode != Mode::Off => policy
                .require_confirmation
                .map(|whole| trial.waited.left_of(whole)),
            _ => None,
        }
    }

    /// True if a confirmation of this store path, which runs, is of no more use: it was taken, or
    /// the state knows the system and does not wait for one.
    pub fn has_taken_confirmation(&self, store_path: &str) -> bool {
        match &self.state {
            State::Trial(trial) if trial.deploy.store_path == store_path => trial.confirmed,
            // Not seen yet: the next look begins its trial.
            State::Trial(_) | State::Unknown {} => false,
            State::Settled { good: deploy } | State::Adopting { deploy, .. } => {
                deploy.store_path == store_path
            }
            State::Condemned { .. }
            | State::RollingBack { .. }
            | State::Verifying { .. }
            | State::Observed { .. }
            | State::Failed { .. } => true,
        }
    }

    /// True from the condemnation of a deploy until it was undone and verified, or given up. What
    /// it began with is then in force until its end, whatever the configuration says meanwhile.
    pub fn is_in_incident(&self) -> bool {
        matches!(
            self.state,
            State::Condemned { .. } | State::RollingBack { .. } | State::Verifying { .. }
        )
    }

    /// The alert that condemned the deploy of the incident that goes on; `None` without one, or if
    /// it was no alert.
    pub fn condemned_by(&self) -> Option<&str> {
        match &self.state {
            State::Condemned { bad, .. }
            | State::RollingBack { bad, .. }
            | State::Verifying { bad, .. } => {
                Some(bad.alert.as_str()).filter(|alert| *alert != NOT_CONFIRMED)
            }
            _ => None,
        }
    }

    /// True if the remedy failed and touches nothing more.
    pub fn latched(&self) -> bool {
        matches!(self.state, State::Failed { .. })
    }

    /// The machine as it is kept on disk.
    ///
    /// # Errors
    /// None that is known of; what the serialiser reports is passed on.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// The machine as it was kept on disk.
    ///
    /// # Errors
    /// The text is none that this version wrote. Then nothing may be assumed: a machine begun
    /// anew would have forgotten its latch.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let machine: Self = serde_json::from_str(text).map_err(|cause| cause.to_string())?;
        if machine.version == Self::VERSION {
            Ok(machine)
        } else {
            Err(format!(
                "it has version {}, this program knows version {}",
                machine.version,
                Self::VERSION
            ))
        }
    }

    /// The machine after somebody has looked at a latched failure. What runs then is adopted
    /// anew; what was known good or condemned stays so. A hold of the updater ends. Any other
    /// machine stays as it is.
    #[must_use]
    pub fn release(mut self) -> Self {
        self.release_updater();
        match self.state {
            State::Failed { .. } => Self {
                state: State::Unknown {},
                ..self
            },
            _ => self,
        }
    }

    /// The machine after an event, and what was decided. Total: an event that means nothing in a
    /// state changes nothing.
    #[must_use]
    pub fn step(mut self, event: Event<'_>, policy: &Policy, now_ms: i64) -> (Self, Vec<Decision>) {
        let mut out = Vec::new();
        match event {
            Event::Seen(facts) => self.seen(&facts, policy, now_ms, &mut out),
            Event::ProfileSet(outcome) => self.profile_set(outcome, &mut out),
            Event::Switched(outcome) => self.switched(outcome, &mut out),
            Event::BootSet(outcome) => self.boot_set(outcome, &mut out),
            Event::Rebooting(outcome) => self.rebooting(outcome, &mut out),
            Event::Answered(answer, facts) => {
                self.answered(answer, &facts, policy, now_ms, &mut out);
            }
            Event::LeaseReturned(outcome) => self.lease_returned(outcome, now_ms, &mut out),
            Event::UpdaterHeld(outcome) => self.updater_held(outcome, &mut out),
            Event::UpdaterReleased(outcome) => self.updater_released(outcome, &mut out),
        }
        self.end_turn(policy);
        (self, out)
    }

    /// The acts that observe mode keeps from being done, in their order.
    pub fn would_act(&self, system: Option<&SystemSeen>, policy: &Policy) -> Vec<Act> {
        let State::Observed {
            bad,
            target: Some(target),
            reboot,
        } = &self.state
        else {
            return Vec::new();
        };
        let current = system.and_then(|system| system.current.as_ref());
        let target = target.clone();
        let set_profile = Act::SetProfile {
            target: target.clone(),
            from: current.map(|generation| generation.number),
        };
        let incident = bad.incident();
        if !reboot {
            return vec![set_profile, Act::Switch { target, incident }];
        }
        let set_boot_default = Act::SetBootDefault {
            target: target.clone(),
            incident,
        };
        let mut acts = vec![set_profile, set_boot_default];
        acts.extend(policy.allow_reboot.then_some(Act::Reboot { target }));
        acts
    }

    /// True if nothing that is kept on disk differs.
    pub fn is_kept_as(&self, other: &Self) -> bool {
        self == other || self.clone().into_kept() == other.clone().into_kept()
    }

    /// The machine as a restart has it again: without what is not kept.
    #[must_use]
    pub(super) fn into_kept(mut self) -> Self {
        match &mut self.state {
            State::Unknown {} | State::Settled { .. } => {}
            State::Observed { .. } | State::Failed { .. } => {}
            State::Condemned {
                waited,
                asks,
                silent,
                alone,
                well,
                ..
            } => {
                *waited = Elapsed::default();
                *silent = 0;
                *well = None;
                (*asks, *alone) = (false, false);
            }
            State::Adopting { soak, .. } => *soak = None,
            State::Trial(trial) => {
                trial.soak = None;
                trial.waited = Elapsed::default();
            }
            State::RollingBack { blind, elapsed, .. } => {
                *blind = false;
                *elapsed = Elapsed::default();
            }
            State::Verifying {
                elapsed,
                soak,
                since_ms,
                ..
            } => {
                *since_ms = None;
                *elapsed = Elapsed::default();
                *soak = None;
            }
        }
        if let Updater::Held { failing, .. } | Updater::Lifting { failing, .. } = &mut self.updater
        {
            *failing = None;
        }
        self.returned = None;
        self
    }

    fn seen(&mut self, facts: &Facts<'_>, policy: &Policy, now: i64, out: &mut Vec<Decision>) {
        let Some((system, deploy)) = facts.system.and_then(|s| Some((s, s.deploy()?))) else {
            return self.wait_unseen(policy, now, out);
        };
        if self.is_unexpected(&deploy, policy) {
            let began = self.began(&deploy, system, policy, now);
            self.new_deploy(deploy.clone(), began, policy, now, out);
        }
        self.note_boot(system, now);
        self.note_seen(system, now);
        // After that: what is seen now is no more of before the deploy.
        if let Some(probes) = facts.probes {
            self.note_probes(probes, policy, now);
        }
        match &mut self.state {
            State::Unknown {} | State::Observed { .. } | State::Failed { .. } => {}
            State::Settled { good } => {
                // The link can be newer than the system: `test`, found good, then `switch`.
                *good = deploy;
                let good = good.clone();
                self.remember_good(&good, system);
            }
            State::Adopting { .. } | State::Trial(_) => {
                self.watch(facts, system, deploy, policy, now, out);
            }
            State::Condemned { .. } => {
                self.wait_on(policy, now);
                self.recover(facts, policy, now, out);
                self.plan(facts, system, policy, now, out);
            }
            State::RollingBack { .. } => {
                self.look_while_rolling_back(facts, system, &deploy, policy, now, out);
            }
            State::Verifying { .. } => self.verify(facts, system, &deploy, policy, now, out),
        }
        if let Some(probes) = facts.probes
            && !self.is_judged()
            && !self.is_in_incident()
        {
            let names = probes.iter().map(|probe| probe.name.clone());
            self.known = Some(names.collect());
        }
    }
}

/// What is to be kept from the garbage collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept<'a> {
    /// What the rollback would go back to, or does.
    Target(&'a GenerationId),
    /// Nothing could be gone back to.
    Nothing,
    /// What was kept, if anything was: somebody has to look at the host first.
    AsBefore,
}

/// True if every probe that is required passed, apart from those that are excused.
fn healthy(probes: &[ProbeResult], excused: &BTreeSet<String>) -> bool {
    probes.iter().all(|probe| {
        probe.passed || probe.severity == Severity::Wanted || excused.contains(&probe.name)
    })
}

#[cfg(test)]
mod tests;
