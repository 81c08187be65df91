//! What is to be done next.

use super::{Act, Machine};
use crate::{
    record::Mode,
    rollback::{
        decision::{Decision, name_of},
        policy::Policy,
        state::{Phase, State},
        turn::Lease,
    },
};

impl Machine {
    /// The next act of a rollback, with the attempt already counted: what is returned must be on
    /// disk before the act begins. No act in any mode but [`Mode::Act`].
    #[must_use]
    pub fn begin_act(mut self, policy: &Policy) -> (Self, Option<Act>, Vec<Decision>) {
        if let State::Condemned { asks: true, .. } = &self.state
            && policy.mode == Mode::Act
        {
            self.lease = Lease::Asked;
            return (self, Some(Act::TakeTurn), Vec::new());
        }
        let State::RollingBack {
            bad,
            target,
            from,
            phase,
            attempts,
            reboot,
            blind,
            elapsed: _,
        } = &mut self.state
        else {
            return (self, None, Vec::new());
        };
        // Once: a second reboot would undo whatever somebody did meanwhile.
        let asked = *phase == Phase::Rebooting && *attempts > 0;
        if policy.mode != Mode::Act || *blind || asked || *phase == Phase::BootSet {
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
            Phase::ProfileSet if reboot.is_some() => Act::SetBootDefault {
                target: target.clone(),
                incident: format!("{} boot default", bad.incident()),
            },
            Phase::ProfileSet => Act::Switch {
                target: target.clone(),
                incident: bad.incident(),
            },
            Phase::BootDiffers => Act::SetBootDefault {
                target: target.clone(),
                incident: format!("{} boot default", bad.incident()),
            },
            Phase::BootSet | Phase::Rebooting => Act::Reboot {
                target: target.clone(),
            },
        };
        (self, Some(act), Vec::new())
    }
}
