//! What condemns a deploy, and what then.

use super::Machine;
use crate::{
    record::{Mode, Step},
    rollback::{
        decision::{Decision, name},
        facts::{AlertSeen, Facts, GenerationId, SystemSeen},
        policy::Policy,
        soak::{self, Elapsed},
        state::{Bad, Failure, NOT_CONFIRMED, State, Trial},
    },
};

impl Machine {
    pub(super) fn condemn(
        &mut self,
        bad: Bad,
        facts: &Facts<'_>,
        system: &SystemSeen,
        policy: &Policy,
        now: i64,
        out: &mut Vec<Decision>,
    ) {
        let named = name(&bad.deploy);
        let (reason, message) = if bad.alert == NOT_CONFIRMED {
            let message = format!("{named} is condemned: nobody confirmed it in time");
            (NOT_CONFIRMED, message)
        } else {
            let message = format!("{named} is condemned by the alert {:?}", bad.alert);
            ("condemned", message)
        };
        out.push(Decision::about(&bad, Step::Trip, reason, message, None));
        self.state = State::Condemned {
            bad,
            waiting: String::new(),
            waited: Elapsed::default().look(now, policy.max_gap),
            asks: false,
            silent: 0,
            alone: false,
            well: None,
        };
        self.plan(facts, system, policy, now, out);
    }

    /// Somebody went from a deploy on trial back to a system that was known good, and what is wrong is
    /// wrong under that as well: it is no
    /// fault of a deploy, and to go back further would cure it as little.
    pub(super) fn go_no_further(&mut self, bad: Bad, policy: &Policy, out: &mut Vec<Decision>) {
        let why = format!(
            "{} was known good before somebody went back to it, and the alert {:?} fires under it as \
             well: it is nothing that going back cures",
            name(&bad.deploy),
            bad.alert
        );
        let step = if policy.mode == Mode::Act {
            Step::Failed
        } else {
            Step::Refused
        };
        let reason = "not_cured";
        out.push(Decision::about(&bad, step, reason, why.clone(), None));
        self.state = given_up(bad, None, (reason, why), policy);
    }
}

/// What becomes of a bad deploy that is not gone back from: the remedy is latched, if it acts.
pub(super) fn given_up(
    bad: Bad,
    target: Option<GenerationId>,
    (reason, why): (&str, String),
    policy: &Policy,
) -> State {
    if policy.mode == Mode::Act {
        let reason = reason.to_owned();
        State::Failed {
            bad,
            target,
            failure: Failure { reason, why },
        }
    } else {
        State::Observed {
            bad,
            target: None,
            reboot: false,
        }
    }
}

/// What condemns a deploy, if anything does: an alert, and whether it is one that it inherited, or
/// that nobody confirmed it in time.
pub(super) fn condemned_by<'a>(
    trial: &Trial,
    alerts: &'a [AlertSeen],
    policy: &Policy,
    now: i64,
) -> Option<(&'a str, bool)> {
    let alert = condemning(trial, alerts, policy, now);
    let in_time = trial.confirmed
        || (policy.require_confirmation).is_none_or(|within| !trial.waited.is(within));
    alert
        .map(|alert| (alert.name.as_str(), alert.active_at_ms < trial.since_ms))
        .or((!in_time).then_some((NOT_CONFIRMED, false)))
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
