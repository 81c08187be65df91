//! What would run after a reboot: a rollback is done only when that is the target as well.
//!
//! A boot loader that lists the newest generations alone (`configurationLimit` of NixOS) leaves
//! its default as it was when an older one is switched to, and says nothing.

use super::Machine;
use crate::{
    act::switch::SwitchEnd,
    record::Step,
    rollback::{
        decision::{Decision, name_of},
        facts::{BootSeen, GenerationId, SystemSeen},
        soak::Elapsed,
        state::{Phase, State},
    },
};

/// Why the boot default is not known to be the target: a stable word and a sentence. `None` if it
/// is, or if there is no boot loader that could be asked.
pub(super) fn differs(
    system: &SystemSeen,
    target: &GenerationId,
) -> Option<(&'static str, String)> {
    match &system.boot {
        BootSeen::System(path) if *path == target.store_path => None,
        BootSeen::Unknown => None,
        BootSeen::System(path) => Some((
            "boot_default_differs",
            format!(
                "{} runs, and a reboot would start {path:?}",
                name_of(target)
            ),
        )),
        BootSeen::Unreadable(why) => Some((
            "boot_default_unreadable",
            format!(
                "{} runs, and what a reboot would start: {why}",
                name_of(target)
            ),
        )),
    }
}

impl Machine {
    /// From the verification back to one more act, which is done once.
    pub(super) fn set_boot_default(
        &mut self,
        (reason, why): (&'static str, String),
        out: &mut Vec<Decision>,
    ) {
        let State::Verifying { bad, target, .. } = &self.state else {
            return;
        };
        out.push(Decision::about(
            bad,
            Step::Verify,
            reason,
            why,
            Some(target),
        ));
        self.state = State::RollingBack {
            bad: bad.clone(),
            target: target.clone(),
            from: None,
            phase: Phase::BootDiffers,
            attempts: 0,
            reboot: None,
            blind: false,
            elapsed: Elapsed::default(),
        };
    }

    pub(super) fn boot_set(&mut self, outcome: Result<SwitchEnd, &str>, out: &mut Vec<Decision>) {
        let State::RollingBack {
            bad,
            target,
            phase: phase @ (Phase::BootDiffers | Phase::ProfileSet),
            attempts,
            ..
        } = &mut self.state
        else {
            return;
        };
        let end = match outcome {
            Ok(end) => end,
            Err(why) => return self.fail("boot_default_not_set", why.to_owned(), out),
        };
        let message = format!("making {} the boot default {end}", name_of(target));
        let act = |reason| Decision::about(bad, Step::Act, reason, message.clone(), Some(target));
        if end.is_to_be_tried_again() {
            *attempts = attempts.saturating_sub(1);
            out.push(act(end.reason()));
        } else if end == SwitchEnd::Switched {
            out.push(act("boot_default_set"));
            if *phase == Phase::ProfileSet {
                *phase = Phase::BootSet;
            } else {
                self.verify_from_now(true);
            }
        } else {
            self.fail("boot_default_not_set", message, out);
        }
    }
}
