//! A rollback that no switch can carry out, because another kernel or init runs than the target's:
//! profile and boot default are set, and then the host is rebooted, if that is allowed, or people
//! are called who do it.

use super::{Machine, boot};
use crate::{
    record::{Mode, Step},
    rollback::{
        decision::{Decision, name_of},
        facts::{Deploy, Facts, GenerationId, SystemSeen},
        policy::Policy,
        soak::{self, Elapsed},
        state::{Bad, Phase, Reboot, State},
    },
};

impl Machine {
    /// A look in the middle of a rollback: after a power cut another kernel may run than the one
    /// that the rollback was decided under.
    pub(super) fn look_while_rolling_back(
        &mut self,
        facts: &Facts<'_>,
        system: &SystemSeen,
        running: &Deploy,
        policy: &Policy,
        now: i64,
        out: &mut Vec<Decision>,
    ) {
        let State::RollingBack { phase, elapsed, .. } = &mut self.state else {
            return;
        };
        if matches!(phase, Phase::Begun | Phase::ProfileSet | Phase::BootDiffers) {
            *elapsed = elapsed.look(now, policy.max_gap);
            if elapsed.is(policy.act_window) && policy.mode == Mode::Act {
                return self.out_of_time(policy, out);
            }
        }
        let State::RollingBack {
            bad,
            target,
            phase,
            reboot,
            blind,
            from,
            ..
        } = &mut self.state
        else {
            return;
        };
        if policy.mode != Mode::Act {
            let why = format!(
                "the mode was changed in the middle of the rollback to {}",
                name_of(target)
            );
            return self.fail("stopped", why, out);
        }
        let deploys = somebody_deploys(system, bad, target, policy, now);
        match phase {
            Phase::Begun | Phase::ProfileSet => {
                let told = std::mem::take(blind);
                match facts.targets.needs_reboot(system, &target.store_path) {
                    Ok(what) => {
                        *reboot = what.map(|why| Reboot { why, boot: None });
                    }
                    // Nothing is switched to before it is known whether it can be.
                    Err(_) => *blind = true,
                }
                if *phase == Phase::Begun {
                    *from = system.current.as_ref().map(|current| current.number);
                    // Whoever deploys has the last word, and has set the profile already.
                    *blind |= deploys;
                    if deploys && !told {
                        let (reason, why) = WAITS_FOR_OTHERS;
                        let step = Step::Refused;
                        let why = why.to_owned();
                        out.push(Decision::about(bad, step, reason, why, Some(target)));
                    }
                }
            }
            Phase::BootDiffers => {}
            Phase::BootSet => self.ready_to_reboot(system, running, policy, out),
            Phase::Rebooting => self.look_for_reboot(system, running, policy, now, out),
        }
    }

    /// The boot default was set. Read back, it decides whether a reboot leads to the target.
    fn ready_to_reboot(
        &mut self,
        system: &SystemSeen,
        running: &Deploy,
        policy: &Policy,
        out: &mut Vec<Decision>,
    ) {
        let State::RollingBack {
            target,
            phase,
            reboot,
            attempts,
            elapsed,
            ..
        } = &mut self.state
        else {
            return;
        };
        if running.store_path == target.store_path {
            return self.verify_from_now(false);
        }
        if let Some((reason, why)) = boot::differs(system, target) {
            return self.fail(reason, why, out);
        }
        let name = name_of(target);
        let what = reboot.as_ref().map_or("", |reboot| reboot.why.as_str());
        match &system.boot_id {
            Some(id) if policy.allow_reboot => {
                *reboot = Some(Reboot {
                    why: what.to_owned(),
                    boot: Some(id.clone()),
                });
                *phase = Phase::Rebooting;
                *attempts = 0;
                *elapsed = Elapsed::default();
            }
            Some(_) => {
                let why = format!(
                    "{name} is what the next reboot starts, and only a reboot leads there ({what}), \
                     which `rollback.allow_reboot` does not allow: reboot the host"
                );
                self.fail("needs_reboot", why, out);
            }
            None => {
                let why = format!(
                    "{name} is what the next reboot starts, but it cannot be told one boot from \
                     another here, so the host is not rebooted: reboot it"
                );
                self.fail("needs_reboot", why, out);
            }
        }
    }

    /// A reboot was asked for.
    fn look_for_reboot(
        &mut self,
        system: &SystemSeen,
        running: &Deploy,
        policy: &Policy,
        now: i64,
        out: &mut Vec<Decision>,
    ) {
        let State::RollingBack {
            target,
            reboot,
            elapsed,
            ..
        } = &mut self.state
        else {
            return;
        };
        let asked_in = reboot.as_ref().and_then(|reboot| reboot.boot.as_deref());
        if system
            .boot_id
            .as_deref()
            .is_some_and(|id| Some(id) != asked_in)
        {
            if running.store_path == target.store_path {
                return self.verify_from_now(false);
            }
            let why = format!(
                "the host was rebooted to {}, and {:?} was started all the same",
                name_of(target),
                running.store_path
            );
            return self.fail("booted_otherwise", why, out);
        }
        *elapsed = elapsed.look(now, policy.max_gap);
        if elapsed.is(policy.reboot_window) {
            let why = format!(
                "a reboot to {} was asked for and did not come",
                name_of(target)
            );
            self.fail("reboot_did_not_come", why, out);
        }
    }

    /// The target was switched to or booted, as far as the acts can tell.
    pub(super) fn verify_from_now(&mut self, boot_set: bool) {
        if let State::RollingBack { bad, target, .. } = &self.state {
            self.state = State::Verifying {
                bad: bad.clone(),
                target: target.clone(),
                boot_set,
                since_ms: None,
                elapsed: Elapsed::default(),
                soak: None,
            };
        }
    }

    /// The host was asked to reboot.
    pub(super) fn rebooting(&mut self, outcome: Result<(), &str>, out: &mut Vec<Decision>) {
        let State::RollingBack {
            bad,
            target,
            phase: Phase::Rebooting,
            ..
        } = &self.state
        else {
            return;
        };
        match outcome {
            Ok(()) => {
                let message = format!("the host reboots to {}", name_of(target));
                let target = Some(target);
                out.push(Decision::about(bad, Step::Act, "reboot", message, target));
            }
            Err(why) => self.fail("reboot_failed", why.to_owned(), out),
        }
    }
}

/// True while the profile has been set to neither what runs nor the target, a moment ago, or some
/// switch goes on: then what runs is about to be another, and nobody needs to go back from it.
pub(super) fn somebody_deploys(
    system: &SystemSeen,
    bad: &Bad,
    target: &GenerationId,
    policy: &Policy,
    now: i64,
) -> bool {
    if policy.follows_profile {
        return false;
    }
    // What a wrapper in the profile leads to runs already.
    let running = &bad.deploy.store_path;
    let other = |path: &String| path != running && *path != target.store_path && !system.wraps;
    let is_new = |current: &GenerationId| {
        let age = now.saturating_sub(current.linked_at_ms);
        // What another profile leads to is no older for a generation of before.
        let led = system.led_since_ms;
        let is_newer = led.is_none_or(|led| current.linked_at_ms > led);
        is_newer && other(&current.store_path) && (0..soak::millis(policy.stopping)).contains(&age)
    };
    system.switching || system.current.as_ref().is_some_and(is_new)
}

/// What is said of it: a stable word and a sentence.
pub(super) const WAITS_FOR_OTHERS: (&str, &str) = (
    "somebody_deploys",
    "somebody deploys at this moment, who has the last word",
);
