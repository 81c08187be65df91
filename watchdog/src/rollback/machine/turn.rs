//! Waiting for this host's turn, between the decision and the first act.

use std::time::Duration;

use super::{Machine, healthy};
use crate::{
    record::{Mode, Step},
    rollback::{
        decision::{Decision, name},
        facts::Facts,
        policy::Policy,
        soak::{self, Elapsed},
        state::{Bad, Failure, NOT_CONFIRMED, State, Trial},
        turn::{Answer, Lease, SILENT_AFTER, WhenSilent},
    },
};

/// A lock that cannot be given back is tried again after this, as a server that is silent takes as
/// long as its timeout.
const RETRY_MS: i64 = 60_000;

impl Machine {
    /// The place of this host in the fleet's lock.
    pub fn lease(&self) -> Lease {
        self.lease
    }

    /// True if it is this host's turn. If it is not, the state says why it waits.
    pub(super) fn is_our_turn(&mut self, policy: &Policy, out: &mut Vec<Decision>) -> bool {
        let State::Condemned {
            bad,
            waiting,
            waited,
            asks,
            alone,
            ..
        } = &mut self.state
        else {
            return false;
        };
        *asks = false;
        if !waited.is(policy.delay) {
            let message = format!(
                "it waits {}s before it acts, so that not all hosts of a fleet do at once",
                policy.delay.as_secs()
            );
            wait(bad, waiting, "jitter", message, out);
            return false;
        }
        if policy.fleet.is_none() || self.lease == Lease::Held || *alone {
            return true;
        }
        *asks = true;
        false
    }

    /// The lock server was asked.
    pub(super) fn answered(
        &mut self,
        answer: &Answer,
        facts: &Facts<'_>,
        policy: &Policy,
        now: i64,
        out: &mut Vec<Decision>,
    ) {
        let State::Condemned {
            bad,
            waiting,
            waited,
            asks,
            silent,
            alone,
            ..
        } = &mut self.state
        else {
            return;
        };
        *asks = false;
        let Some(fleet) = &policy.fleet else { return };
        let (reason, why) = match answer {
            Answer::Granted => {
                self.lease = Lease::Held;
                let message = "the lock server lets this host act".to_owned();
                let step = Step::State;
                out.push(Decision::about(bad, step, "fleet_lock", message, None));
                if let Some(system) = facts.system {
                    self.plan(facts, system, policy, now, out);
                }
                return;
            }
            Answer::Refused(why) => {
                *silent = 0;
                ("fleet_lock_refused", why)
            }
            Answer::Silent(why) => {
                *silent = silent.saturating_add(1);
                ("fleet_lock_silent", why)
            }
        };
        if *silent >= SILENT_AFTER && fleet.when_silent == WhenSilent::Proceed {
            *alone = true;
            let message = format!("it acts without the lock server, which is silent: {why}");
            let step = Step::State;
            let reason = "fleet_lock_passed_over";
            out.push(Decision::about(bad, step, reason, message, None));
            if let Some(system) = facts.system {
                self.plan(facts, system, policy, now, out);
            }
            return;
        }
        if waited.is(policy.delay.saturating_add(fleet.deadline)) {
            let why = format!("this host's turn to act did not come in time: {why}");
            let failed = Decision::about(bad, Step::Failed, reason, why.clone(), None);
            out.push(failed);
            let reason = reason.to_owned();
            self.state = State::Failed {
                bad: bad.clone(),
                target: None,
                failure: Failure { reason, why },
            };
            return;
        }
        let message = format!("it waits for its turn to act: {why}");
        wait(bad, waiting, reason, message, out);
    }

    /// The system could not be read. Others are not to wait for ever for a host that cannot act.
    pub(super) fn wait_unseen(&mut self, policy: &Policy, now: i64, out: &mut Vec<Decision>) {
        if policy.mode != Mode::Act || !self.lease.is_asked() {
            return;
        }
        match &mut self.state {
            State::RollingBack { elapsed, .. } => {
                *elapsed = elapsed.look(now, policy.max_gap);
                if elapsed.is(policy.act_window) {
                    self.out_of_time(policy, out);
                }
            }
            State::Verifying { elapsed, .. } => {
                *elapsed = elapsed.look(now, policy.max_gap);
                if elapsed.is(policy.verify_window) {
                    let why = "the target was switched to, and what runs cannot be read".to_owned();
                    self.fail("not_verified", why, out);
                }
            }
            State::Condemned { .. } => {
                self.wait_on(policy, now);
                self.blind_too_long("the system cannot be read", policy, out);
            }
            _ => {}
        }
    }

    /// Latches a condemned deploy of which it cannot be told in time what to go back to.
    pub(super) fn blind_too_long(&mut self, why: &str, policy: &Policy, out: &mut Vec<Decision>) {
        let State::Condemned { bad, waited, .. } = &self.state else {
            return;
        };
        let Some(fleet) = &policy.fleet else { return };
        if !self.lease.is_asked() || !waited.is(policy.delay.saturating_add(fleet.deadline)) {
            return;
        }
        let why = format!("this host has its turn to act, and is blind: {why}");
        let failed = Decision::about(bad, Step::Failed, "blind", why.clone(), None);
        out.push(failed);
        let reason = "blind".to_owned();
        self.state = State::Failed {
            bad: bad.clone(),
            target: None,
            failure: Failure { reason, why },
        };
    }

    pub(super) fn out_of_time(&mut self, policy: &Policy, out: &mut Vec<Decision>) {
        let why = format!(
            "for {}s the switch could not begin: another one holds the lock, or what runs or what \
             to go back to cannot be read",
            policy.act_window.as_secs()
        );
        self.fail("out_of_time", why, out);
    }

    /// A place that is needed no more goes back, whatever the end was.
    pub(super) fn end_turn(&mut self, policy: &Policy) {
        let acts = matches!(
            self.state,
            State::Condemned { .. } | State::RollingBack { .. } | State::Verifying { .. }
        );
        if matches!(self.lease, Lease::Asked | Lease::Held) && !(acts && policy.mode == Mode::Act) {
            self.lease = Lease::Returning;
            self.returned = None;
        }
    }

    /// True if the place should be given back now.
    pub fn returns_lease(&self, now: i64) -> bool {
        let ago = |(at, _): &(i64, String)| now.saturating_sub(*at);
        self.lease == Lease::Returning
            && !(self.returned.as_ref()).is_some_and(|last| (0..RETRY_MS).contains(&ago(last)))
    }

    /// The place was to be given back.
    pub(super) fn lease_returned(
        &mut self,
        outcome: Result<(), &str>,
        now: i64,
        out: &mut Vec<Decision>,
    ) {
        if self.lease != Lease::Returning {
            return;
        }
        match outcome {
            Ok(()) => {
                self.lease = Lease::Free;
                self.returned = None;
                let message = "the lock server knows that this host acts no more".to_owned();
                out.push(Decision::of_fleet(
                    now,
                    Step::State,
                    "fleet_lock_returned",
                    message,
                ));
            }
            Err(why) => {
                let told = self.returned.replace((now, why.to_owned()));
                if told.is_none_or(|(_, told)| told != why) {
                    let message = format!("the fleet's lock is not given back yet: {why}");
                    let reason = "fleet_lock_not_returned";
                    out.push(Decision::of_fleet(now, Step::Refused, reason, message));
                }
            }
        }
    }

    /// A deploy that is well again before anything was done about it is on trial again: what was wrong
    /// for a moment on all hosts of a fleet is not undone on one after the other for an hour.
    pub(super) fn recover(
        &mut self,
        facts: &Facts<'_>,
        policy: &Policy,
        now: i64,
        out: &mut Vec<Decision>,
    ) {
        let State::Condemned { bad, well, .. } = &mut self.state else {
            return;
        };
        let Some(probes) = facts.probes else { return };
        let fires = facts.alerts.iter().any(|alert| alert.name == bad.alert);
        let unanswered = facts.unanswered.contains(&bad.alert);
        // Once: what is well now and then is not well.
        let is_well = bad.alert != NOT_CONFIRMED
            && !bad.trial.recovered
            && !fires
            && !unanswered
            && healthy(probes, &bad.before.failing);
        *well = soak::look(*well, is_well, now, policy.max_gap);
        if !soak::lasted(*well, policy.verify_soak) {
            return;
        }
        let message = format!(
            "{} is well again, before anything was done about it, and is on trial again",
            name(&bad.deploy)
        );
        let step = Step::State;
        out.push(Decision::about(bad, step, "recovered", message, None));
        let bad = bad.clone();
        self.state = State::Trial(Trial {
            deploy: bad.deploy,
            since_ms: bad.since_ms,
            before: bad.before,
            known_good: bad.trial.known_good,
            fled: bad.trial.fled,
            boot_id: None,
            started_ms: None,
            recovered: true,
            confirmed: bad.trial.confirmed,
            soak: None,
            waited: Elapsed::default(),
        });
    }

    /// One more look at a deploy that waits for its turn.
    pub(super) fn wait_on(&mut self, policy: &Policy, now: i64) {
        if let State::Condemned { waited, .. } = &mut self.state {
            *waited = waited.look(now, policy.max_gap);
        }
    }
}

/// How long a condemned deploy is left standing while others deploy, once its turn would have come.
pub(super) fn longest_wait(policy: &Policy) -> Duration {
    let fleet = policy.fleet.map_or(Duration::ZERO, |fleet| fleet.deadline);
    (policy.delay.saturating_add(fleet)).saturating_add(policy.act_window)
}

pub(super) fn wait(
    bad: &Bad,
    waiting: &mut String,
    reason: &'static str,
    message: String,
    out: &mut Vec<Decision>,
) {
    if *waiting != message {
        out.push(Decision::about(
            bad,
            Step::Refused,
            reason,
            message.clone(),
            None,
        ));
        *waiting = message;
    }
}
