//! The state machine of the rollback remedy.
//!
//! ```text
//! Unknown → Adopting → Settled → Trial → Condemned → RollingBack → Verifying → Settled
//!                         ↑        │  ↘ Observed          ↘───────────↓
//!                         └────────┘ (soak)                         Failed (latched)
//! ```
//! From every state but `Failed` a system that nobody expected to run begins a new trial: whoever
//! deploys by hand in the middle of it all has the last word. The fields are private and every
//! way to change them is in this file, so that no other transition can be written.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    decision::{Decision, name, name_of},
    facts::{AlertSeen, Deploy, Facts, GenerationId, SystemSeen},
    policy::Policy,
    soak::{self, Elapsed},
    state::{Bad, Before, Denied, Failure, Phase, State, Trial},
    target::{self, Choice},
};
use crate::{
    act::switch::SwitchEnd,
    probe::ProbeResult,
    record::{Mode, Step},
};

/// How many known good generations are remembered; a profile seldom has more links.
const MAX_GOOD: usize = 64;
const MAX_DENIED: usize = 64;

/// The machine: its state, and what outlives every state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    version: u32,
    state: State,
    /// Known good generations, in the order in which they were found good.
    good: Vec<GenerationId>,
    denied: Vec<Denied>,
    /// Probes whose last run failed, and since when.
    failing: BTreeMap<String, i64>,
}

/// What happened.
#[derive(Clone, Copy)]
pub enum Event<'a> {
    /// The host was looked at.
    Seen(Facts<'a>),
    /// The profile was to be set; the error says why it was not.
    ProfileSet(Result<(), &'a str>),
    /// The switch was to be carried out; the error says why it could not even begin.
    Switched(Result<SwitchEnd, &'a str>),
}

/// An act that a rollback needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Point the profile at the target.
    SetProfile {
        /// The generation to point at.
        target: GenerationId,
        /// Number of the generation that the profile pointed to; anything else but the target
        /// means that somebody deploys at this moment.
        from: Option<u64>,
    },
    /// Switch to the target.
    Switch {
        /// The generation to switch to.
        target: GenerationId,
        /// The incident, which names the switch when it is looked for after a restart.
        incident: String,
    },
}

impl Act {
    /// The generation that the act is about.
    pub fn target(&self) -> &GenerationId {
        match self {
            Self::SetProfile { target, .. } | Self::Switch { target, .. } => target,
        }
    }

    /// The reason of the record that tells of it in observe mode.
    pub const fn would(&self) -> &'static str {
        match self {
            Self::SetProfile { .. } => "would_set_profile",
            Self::Switch { .. } => "would_switch",
        }
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            version: Self::VERSION,
            state: State::Unknown {},
            good: Vec::new(),
            denied: Vec::new(),
            failing: BTreeMap::new(),
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

    /// The closures that were rolled back from. Activating one again is a new deploy and gets a
    /// new trial: it is rolled back again only if its alert fires again.
    pub fn denied(&self) -> &[Denied] {
        &self.denied
    }

    /// True if a deploy is on trial, that is: if the remedy is armed.
    pub fn on_trial(&self) -> bool {
        matches!(self.state, State::Trial(_))
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
    /// anew; what was known good or condemned stays so. Any other machine stays as it is.
    #[must_use]
    pub fn release(self) -> Self {
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
        }
        (self, out)
    }

    /// The acts that observe mode keeps from being done, in their order.
    pub fn would_act(&self, system: Option<&SystemSeen>) -> Vec<Act> {
        let State::Observed {
            bad,
            target: Some(target),
        } = &self.state
        else {
            return Vec::new();
        };
        let current = system.and_then(|system| system.current.as_ref());
        vec![
            Act::SetProfile {
                target: target.clone(),
                from: current.map(|generation| generation.number),
            },
            Act::Switch {
                target: target.clone(),
                incident: bad.incident(),
            },
        ]
    }

    /// True if nothing that is kept on disk differs.
    pub fn is_kept_as(&self, other: &Self) -> bool {
        match (serde_json::to_value(self), serde_json::to_value(other)) {
            (Ok(here), Ok(there)) => here == there,
            _ => false,
        }
    }

    /// The next act of a rollback, with the attempt already counted: what is returned must be on
    /// disk before the act begins. No act in any mode but [`Mode::Act`].
    #[must_use]
    pub fn begin_act(mut self, policy: &Policy) -> (Self, Option<Act>, Vec<Decision>) {
        let State::RollingBack {
            bad,
            target,
            from,
            phase,
            attempts,
        } = &mut self.state
        else {
            return (self, None, Vec::new());
        };
        if policy.mode != Mode::Act {
            return (self, None, Vec::new());
        }
        if *attempts >= policy.max_attempts {
            let why = format!(
                "the rollback to {} was begun {attempts} times and never came to an end",
                name_of(target)
            );
            let mut out = Vec::new();
            self.fail("too_many_attempts", why, &mut out);
            return (self, None, out);
        }
        *attempts += 1;
        let act = match phase {
            Phase::Begun => Act::SetProfile {
                target: target.clone(),
                from: *from,
            },
            Phase::ProfileSet => Act::Switch {
                target: target.clone(),
                incident: bad.incident(),
            },
        };
        (self, Some(act), Vec::new())
    }

    fn seen(&mut self, facts: &Facts<'_>, policy: &Policy, now: i64, out: &mut Vec<Decision>) {
        let Some((system, deploy)) = facts.system.and_then(|s| Some((s, s.deploy()?))) else {
            return;
        };
        if let Some(probes) = facts.probes {
            self.note_probes(probes, now);
        }
        if self.is_unexpected(&deploy) {
            self.new_deploy(deploy.clone(), policy, now, out);
        }
        match &mut self.state {
            State::Unknown {} | State::Observed { .. } | State::Failed { .. } => {}
            State::Settled { good } => {
                // The link can be newer than the system: `test`, found good, then `switch`.
                *good = deploy;
                let generation = good.generation.clone();
                self.remember_good(generation, system);
            }
            State::Adopting { .. } | State::Trial(_) => {
                self.watch(facts, system, deploy, policy, now, out);
            }
            State::Condemned { .. } => self.plan(facts, system, policy, now, out),
            State::RollingBack { target, .. } => {
                if policy.mode != Mode::Act {
                    let why = format!(
                        "the mode was changed in the middle of the rollback to {}",
                        name_of(target)
                    );
                    self.fail("stopped", why, out);
                }
            }
            State::Verifying { .. } => self.verify(facts, system, &deploy, policy, now, out),
        }
    }

    /// Keeps since when each probe fails.
    fn note_probes(&mut self, probes: &[ProbeResult], now: i64) {
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
    fn is_unexpected(&self, deploy: &Deploy) -> bool {
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
            State::RollingBack { bad, target, .. } | State::Verifying { bad, target, .. } => {
                bad.deploy.store_path != path && target.store_path != path
            }
            State::Failed { .. } => false,
        }
    }

    fn new_deploy(&mut self, deploy: Deploy, policy: &Policy, now: i64, out: &mut Vec<Decision>) {
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

    fn failing_before(&self, since_ms: i64) -> BTreeSet<String> {
        let earlier = self.failing.iter().filter(|(_, at)| **at < since_ms);
        earlier.map(|(probe, _)| probe.clone()).collect()
    }

    /// A system in its soak: condemned by an alert, found good by time, or neither yet.
    fn watch(
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

    fn settle(&mut self, good: Deploy, system: &SystemSeen) {
        self.denied.retain(|d| d.store_path != good.store_path);
        self.good
            .retain(|known| Some(known) != good.generation.as_ref());
        self.remember_good(good.generation.clone(), system);
        self.state = State::Settled { good };
    }

    fn remember_good(&mut self, generation: Option<GenerationId>, system: &SystemSeen) {
        let Some(generation) = generation else { return };
        if self.good.contains(&generation) {
            return;
        }
        self.good.retain(|known| system.generations.contains(known));
        self.good.push(generation);
        let excess = self.good.len().saturating_sub(MAX_GOOD);
        self.good.drain(..excess);
    }

    fn condemn(
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

    /// Chooses the target of a condemned deploy, and begins the rollback if it may act.
    fn plan(
        &mut self,
        facts: &Facts<'_>,
        system: &SystemSeen,
        policy: &Policy,
        now: i64,
        out: &mut Vec<Decision>,
    ) {
        let State::Condemned { bad, waiting } = &mut self.state else {
            return;
        };
        if policy.mode == Mode::Off {
            return;
        }
        let bad_path = bad.deploy.store_path.clone();
        let choice = target::choose(&self.good, &self.denied, &bad_path, system, facts);
        let (target, reason, why) = match choice {
            Choice::Blind(why) => {
                if *waiting != why {
                    let message = format!("no target can be chosen yet: {why}");
                    out.push(Decision::about(bad, Step::Refused, "blind", message, None));
                    *waiting = why;
                }
                return;
            }
            Choice::Target(target) => {
                let would = if policy.mode == Mode::Act {
                    ""
                } else {
                    "would "
                };
                let message = format!(
                    "{would}roll back from {} to {}, the last known good",
                    name(&bad.deploy),
                    name_of(&target)
                );
                let plan = Decision::about(bad, Step::Plan, "rollback", message, Some(&target));
                out.push(plan);
                let bad = bad.clone();
                if policy.mode == Mode::Act {
                    self.roll_back(bad, target, system, now);
                } else {
                    let target = Some(target);
                    self.state = State::Observed { bad, target };
                }
                return;
            }
            Choice::NeedsReboot(target, what) => {
                let why = format!("{} cannot be switched to: {what}", name_of(&target));
                (Some(target), "needs_reboot", why)
            }
            Choice::None(why) if why.is_empty() => {
                (None, "no_target", "no generation is known good".to_owned())
            }
            Choice::None(why) => (None, "no_target", why.join("; ")),
        };
        let refused = Decision::about(bad, Step::Refused, reason, why.clone(), target.as_ref());
        out.push(refused);
        let bad = bad.clone();
        self.state = if policy.mode == Mode::Act {
            let reason = reason.to_owned();
            let failure = Failure { reason, why };
            State::Failed {
                bad,
                target,
                failure,
            }
        } else {
            let target = None;
            State::Observed { bad, target }
        };
    }

    fn roll_back(&mut self, bad: Bad, target: GenerationId, system: &SystemSeen, now: i64) {
        let bad_path = &bad.deploy.store_path;
        self.good.retain(|known| known.store_path != *bad_path);
        self.denied.retain(|known| known.store_path != *bad_path);
        self.denied.push(Denied {
            store_path: bad_path.clone(),
            at_ms: now,
            alert: bad.alert.clone(),
        });
        let excess = self.denied.len().saturating_sub(MAX_DENIED);
        self.denied.drain(..excess);
        self.state = State::RollingBack {
            bad,
            target,
            from: system.current.as_ref().map(|current| current.number),
            phase: Phase::Begun,
            attempts: 0,
        };
    }

    fn profile_set(&mut self, outcome: Result<(), &str>, out: &mut Vec<Decision>) {
        let State::RollingBack {
            bad,
            target,
            phase: phase @ Phase::Begun,
            ..
        } = &mut self.state
        else {
            return;
        };
        match outcome {
            Ok(()) => {
                *phase = Phase::ProfileSet;
                let message = format!("the profile points to {}", name_of(target));
                out.push(Decision::about(
                    bad,
                    Step::Act,
                    "profile_set",
                    message,
                    Some(target),
                ));
            }
            Err(why) => self.fail("profile_not_set", why.to_owned(), out),
        }
    }

    fn switched(&mut self, outcome: Result<SwitchEnd, &str>, out: &mut Vec<Decision>) {
        let State::RollingBack {
            bad,
            target,
            phase: Phase::ProfileSet,
            ..
        } = &mut self.state
        else {
            return;
        };
        let end = match outcome {
            Ok(end) => end,
            Err(why) => return self.fail("switch_not_begun", why.to_owned(), out),
        };
        let message = format!("the switch to {} {end}", name_of(target));
        if end.is_to_be_tried_again() {
            out.push(Decision::about(
                bad,
                Step::Act,
                end.reason(),
                message,
                Some(target),
            ));
        } else if end.has_switched() {
            out.push(Decision::about(
                bad,
                Step::Act,
                end.reason(),
                message,
                Some(target),
            ));
            self.state = State::Verifying {
                bad: bad.clone(),
                target: target.clone(),
                elapsed: Elapsed::default(),
                soak: None,
            };
        } else {
            self.fail(end.reason(), message, out);
        }
    }

    fn verify(
        &mut self,
        facts: &Facts<'_>,
        system: &SystemSeen,
        running: &Deploy,
        policy: &Policy,
        now: i64,
        out: &mut Vec<Decision>,
    ) {
        let State::Verifying {
            bad,
            target,
            elapsed,
            soak,
        } = &mut self.state
        else {
            return;
        };
        let Some(probes) = facts.probes else { return };
        let there =
            running.store_path == target.store_path && system.current.as_ref() == Some(target);
        let cured = healthy(probes, &bad.before.failing)
            && !facts.alerts.iter().any(|alert| alert.name == bad.alert);
        *elapsed = elapsed.look(now, policy.max_gap);
        *soak = soak::look(*soak, there && cured, now, policy.max_gap);
        if soak::lasted(*soak, policy.verify_soak) {
            let message = format!("{} runs and is healthy again", name_of(target));
            out.push(Decision::about(
                bad,
                Step::Done,
                "rolled_back",
                message,
                Some(target),
            ));
            let good = Deploy {
                store_path: target.store_path.clone(),
                generation: Some(target.clone()),
            };
            self.settle(good, system);
        } else if soak.is_none() && elapsed.is(policy.verify_window) {
            if there {
                let why = "the target runs, and what was wrong is wrong still".to_owned();
                self.fail("not_cured", why, out);
            } else {
                let why = format!(
                    "the switch came to its end, yet {:?} runs and the profile points to {}",
                    running.store_path,
                    system
                        .current
                        .as_ref()
                        .map_or("nothing".to_owned(), name_of)
                );
                self.fail("not_switched", why, out);
            }
        }
    }

    /// Latches.
    fn fail(&mut self, reason: &'static str, why: String, out: &mut Vec<Decision>) {
        let (State::RollingBack { bad, target, .. } | State::Verifying { bad, target, .. }) =
            &self.state
        else {
            return;
        };
        out.push(Decision::about(
            bad,
            Step::Failed,
            reason,
            why.clone(),
            Some(target),
        ));
        let reason = reason.to_owned();
        self.state = State::Failed {
            bad: bad.clone(),
            target: Some(target.clone()),
            failure: Failure { reason, why },
        };
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

/// True if every probe passed, apart from those that are excused.
fn healthy(probes: &[ProbeResult], excused: &BTreeSet<String>) -> bool {
    probes
        .iter()
        .all(|probe| probe.passed || excused.contains(&probe.name))
}
