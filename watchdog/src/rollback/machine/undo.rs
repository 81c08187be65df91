//! From a condemned deploy to the last known good one, or to a latch.

use super::{
    Machine, boot,
    condemn::given_up,
    healthy,
    reboot::{WAITS_FOR_OTHERS, somebody_deploys},
    turn::{longest_wait, wait},
};
use crate::{
    act::{set_profile::NotSet, switch::SwitchEnd},
    record::{Mode, Step},
    rollback::{
        decision::{Decision, name, name_of},
        facts::{Deploy, Facts, GenerationId, SystemSeen},
        policy::Policy,
        soak::{self, Elapsed},
        state::{Bad, Denied, Failure, Phase, Reboot, State},
        target::{self, Choice},
    },
};

const MAX_DENIED: usize = 64;
/// How many times one closure is rolled back from. Once more would be a loop with whoever brings it.
const MAX_TIMES: u32 = 2;

impl Machine {
    /// Chooses the target of a condemned deploy, and begins the rollback if it may act.
    pub(super) fn plan(
        &mut self,
        facts: &Facts<'_>,
        system: &SystemSeen,
        policy: &Policy,
        now: i64,
        out: &mut Vec<Decision>,
    ) {
        if policy.mode == Mode::Off || !matches!(self.state, State::Condemned { .. }) {
            return;
        }
        let turn = policy.mode != Mode::Act || self.is_our_turn(policy, out);
        let State::Condemned {
            bad,
            waiting,
            waited,
            asks,
            ..
        } = &mut self.state
        else {
            return;
        };
        let bad_path = bad.deploy.store_path.clone();
        let times = times(&self.denied, &bad_path);
        let choice = target::choose(&self.good, &self.denied, &bad_path, system, facts);
        let deploys = match &choice {
            Choice::Target(target) | Choice::NeedsReboot(target, _) => {
                policy.mode == Mode::Act && somebody_deploys(system, bad, target, policy, now)
            }
            Choice::None(_) | Choice::Blind(_) => false,
        };
        let (target, reason, why) = match choice {
            Choice::Target(target) | Choice::NeedsReboot(target, _) if times >= MAX_TIMES => {
                let why = format!(
                    "{} was rolled back from {times} times, and somebody brings it again and again",
                    name(&bad.deploy)
                );
                (Some(target), "deployed_again", why)
            }
            Choice::Blind(why) => {
                if *waiting != why {
                    let message = format!("no target can be chosen yet: {why}");
                    out.push(Decision::about(bad, Step::Refused, "blind", message, None));
                    waiting.clone_from(&why);
                }
                // Nobody else is to wait for one that cannot act.
                *asks = false;
                return self.blind_too_long(&why, policy, out);
            }
            Choice::Target(target) | Choice::NeedsReboot(target, _) if deploys => {
                // Nobody else is to wait for one that waits, and it is looked at whether it is well
                // again meanwhile.
                *asks = false;
                let (reason, why) = WAITS_FOR_OTHERS;
                if !waited.is(longest_wait(policy)) {
                    wait(bad, waiting, reason, why.to_owned(), out);
                    return;
                }
                (Some(target), "out_of_time", why.to_owned())
            }
            Choice::Target(_) | Choice::NeedsReboot(..) if !turn => return,
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
                self.begin(bad, (target, None), system, policy, now);
                return;
            }
            Choice::NeedsReboot(target, why) => {
                let would = if policy.mode == Mode::Act {
                    ""
                } else {
                    "would "
                };
                let then = if policy.allow_reboot {
                    "and reboot"
                } else {
                    "for a reboot by hand"
                };
                let message = format!(
                    "{would}make {}, the last known good, the boot default {then}: {why}",
                    name_of(&target)
                );
                let reason = "rollback_by_reboot";
                out.push(Decision::about(
                    bad,
                    Step::Plan,
                    reason,
                    message,
                    Some(&target),
                ));
                let bad = bad.clone();
                let reboot = Some(Reboot { why, boot: None });
                self.begin(bad, (target, reboot), system, policy, now);
                return;
            }
            Choice::None(why) if why.is_empty() => {
                (None, "no_target", "no generation is known good".to_owned())
            }
            Choice::None(why) => (None, "no_target", why.join("; ")),
        };
        let refused = Decision::about(bad, Step::Refused, reason, why.clone(), target.as_ref());
        out.push(refused);
        let bad = bad.clone();
        self.state = given_up(bad, target, (reason, why), policy);
    }

    /// Begins the rollback, or, if it may not act, keeps what it would have been.
    fn begin(
        &mut self,
        bad: Bad,
        (target, reboot): (GenerationId, Option<Reboot>),
        system: &SystemSeen,
        policy: &Policy,
        now: i64,
    ) {
        if policy.mode == Mode::Act {
            self.roll_back(bad, (target, reboot), system, now);
        } else {
            self.state = State::Observed {
                bad,
                target: Some(target),
                reboot: reboot.is_some(),
            };
        }
    }

    pub(super) fn roll_back(
        &mut self,
        bad: Bad,
        (target, reboot): (GenerationId, Option<Reboot>),
        system: &SystemSeen,
        now: i64,
    ) {
        let bad_path = &bad.deploy.store_path;
        let times = times(&self.denied, bad_path) + 1;
        self.good.retain(|known| known.store_path != *bad_path);
        self.denied.retain(|known| known.store_path != *bad_path);
        self.denied.push(Denied {
            store_path: bad_path.clone(),
            at_ms: now,
            alert: bad.alert.clone(),
            times,
        });
        let excess = self.denied.len().saturating_sub(MAX_DENIED);
        self.denied.drain(..excess);
        self.hold_updater(&bad, &target, now);
        self.state = State::RollingBack {
            bad,
            target,
            from: system.current.as_ref().map(|current| current.number),
            phase: Phase::Begun,
            attempts: 0,
            reboot,
            blind: false,
            elapsed: Elapsed::default(),
        };
    }

    pub(super) fn profile_set(&mut self, outcome: Result<(), &NotSet>, out: &mut Vec<Decision>) {
        let State::RollingBack {
            bad,
            target,
            phase: phase @ Phase::Begun,
            attempts,
            blind,
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
            Err(NotSet::Busy(why)) => {
                // Whoever deploys has the last word; the next look tells what they did. Bounded by
                // time, as a switch that waits for another one.
                *blind = true;
                *attempts = attempts.saturating_sub(1);
                let (reason, _) = WAITS_FOR_OTHERS;
                let (step, why) = (Step::Refused, why.clone());
                out.push(Decision::about(bad, step, reason, why, Some(target)));
            }
            Err(NotSet::Failed(why)) => self.fail("profile_not_set", why.clone(), out),
        }
    }

    pub(super) fn switched(&mut self, outcome: Result<SwitchEnd, &str>, out: &mut Vec<Decision>) {
        let State::RollingBack {
            bad,
            target,
            phase: phase @ Phase::ProfileSet,
            reboot,
            attempts,
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
            // Bounded by time, and not by how often it is looked.
            *attempts = attempts.saturating_sub(1);
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
            self.verify_from_now(false);
        } else if end == SwitchEnd::InitInterface {
            // It wrote the boot loader's menu before it looked, and activated nothing.
            out.push(Decision::about(
                bad,
                Step::Act,
                end.reason(),
                message.clone(),
                Some(target),
            ));
            *reboot = Some(Reboot {
                why: "its init interface is another than the running one".to_owned(),
                boot: None,
            });
            *phase = Phase::BootSet;
        } else {
            self.fail(end.reason(), message, out);
        }
    }

    pub(super) fn verify(
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
            boot_set,
            since_ms,
            elapsed,
            soak,
        } = &mut self.state
        else {
            return;
        };
        since_ms.get_or_insert(now);
        *elapsed = elapsed.look(now, policy.max_gap);
        let Some(probes) = facts.probes else {
            *soak = None;
            if elapsed.is(policy.verify_window) {
                let why = "the target was switched to, and no probe can tell how it is".to_owned();
                self.fail("not_verified", why, out);
            }
            return;
        };
        let there =
            // Its generation may be a new one, if the link of the old one was gone.
            running.store_path == target.store_path
                && (system.current.as_ref())
                    .is_some_and(|current| current.store_path == target.store_path);
        let unanswered = facts.unanswered.contains(&bad.alert);
        let mut excused = bad.before.failing.clone();
        // Of a service that the target does not have: it can never pass there.
        if let Some(known) = &bad.before.known {
            let names = probes.iter().map(|probe| &probe.name);
            excused.extend(names.filter(|name| !known.contains(*name)).cloned());
        }
        let cured = !unanswered
            && healthy(probes, &excused)
            && !facts.alerts.iter().any(|alert| alert.name == bad.alert);
        let boot = boot::differs(system, target);
        if there
            && !*boot_set
            && policy.mode == Mode::Act
            && let Some(why) = boot
        {
            self.set_boot_default(why, out);
            return;
        }
        let well = there && cured && boot.is_none();
        *soak = soak::look(*soak, well, now, policy.max_gap);
        if soak::lasted(*soak, policy.verify_soak) {
            let message = format!("{} runs and is healthy again", name_of(target));
            out.push(Decision::about(
                bad,
                Step::Done,
                "rolled_back",
                message,
                Some(target),
            ));
            let good = running.clone();
            self.settle(good, system);
        } else if soak.is_none() && elapsed.is(policy.verify_window) {
            if there
                && cured
                && let Some((reason, why)) = boot
            {
                self.fail(reason, why, out);
            } else if there && unanswered {
                let why = format!(
                    "the target runs, and whether what was wrong is wrong still cannot be told: \
                     the rule of the alert {:?} has no answer",
                    bad.alert
                );
                self.fail("not_verified", why, out);
            } else if there {
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

    /// Latches. An updater that is held stays so.
    pub(super) fn fail(&mut self, reason: &'static str, why: String, out: &mut Vec<Decision>) {
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

/// How many times this closure was rolled back from.
fn times(denied: &[Denied], closure: &str) -> u32 {
    let known = denied.iter().find(|denied| denied.store_path == closure);
    known.map_or(0, |denied| denied.times)
}
