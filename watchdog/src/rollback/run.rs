//! Carries a rollback out: state on disk first, then the act, then the state again. Killed
//! between any two of these, it goes on where it was.

use super::{
    decision::Decision,
    facts::{Facts, GenerationId, SystemSeen},
    fleet_lock::FleetLock,
    machine::{Act, Event, Kept, Machine},
    policy::Policy,
    state::{Bad, State, Updater},
    turn::Answer,
};
use crate::{
    act::{
        hold_updater::HoldUpdater,
        reboot::Reboot,
        set_profile::{NotSet, SetProfile},
        switch::{Switch, SwitchEnd},
        target_root::TargetRoot,
    },
    record::{Mode, Record, Recorder, Remedy, Step},
};

/// The effects of a rollback. The host is one; tests have others.
pub trait Verbs {
    /// Points the profile at the target.
    ///
    /// # Errors
    /// Why it does not point there now.
    fn set_profile(&mut self, target: &GenerationId, from: Option<u64>) -> Result<(), NotSet>;

    /// Switches to the target.
    ///
    /// # Errors
    /// Why the switch could not even begin.
    fn switch(&mut self, target: &GenerationId, incident: &str) -> Result<SwitchEnd, String>;

    /// Makes the target what the boot loader starts by default.
    ///
    /// # Errors
    /// Why that could not even begin.
    fn set_boot_default(
        &mut self,
        target: &GenerationId,
        incident: &str,
    ) -> Result<SwitchEnd, String>;

    /// Reboots the host.
    ///
    /// # Errors
    /// Why it does not reboot.
    fn reboot(&mut self) -> Result<(), String>;

    /// Keeps this store path from the garbage collector in place of any before, or nothing.
    ///
    /// # Errors
    /// Why it is not kept.
    fn keep_target(&mut self, target: Option<&str>) -> Result<(), String>;

    /// Asks the lock server of the fleet for a place.
    fn take_turn(&mut self) -> Answer;

    /// Gives the place back.
    ///
    /// # Errors
    /// Why the server may count this host still.
    fn end_turn(&mut self) -> Result<(), String>;

    /// Keeps the updater from deploying this closure again. Done again, it finds what is already
    /// so; what it changed is said in one sentence.
    ///
    /// # Errors
    /// Why the updater is not held, or not all of it.
    fn hold_updater(&mut self, closure: &str) -> Result<Option<String>, String>;

    /// Lets the updater go, and says what was done.
    ///
    /// # Errors
    /// Why it is held still, or some of it.
    fn release_updater(&mut self) -> Result<String, String>;

    /// What an act would do, one sentence that begins with "would".
    fn describe(&self, act: &Act) -> String;
}

/// The verbs of [`crate::act`] on one host.
#[derive(Debug, Clone)]
pub struct HostVerbs {
    /// Sets the profile.
    pub profile: SetProfile,
    /// Switches.
    pub switch: Switch,
    /// Keeps the target from the garbage collector.
    pub root: TargetRoot,
    /// Holds the updater.
    pub updater: HoldUpdater,
    /// Reboots.
    pub reboot: Reboot,
    /// The lock of the fleet; without one it is always this host's turn.
    pub fleet: Option<FleetLock>,
    /// The one in which this host has a place already.
    pub place: Option<FleetLock>,
}

impl Verbs for HostVerbs {
    fn set_profile(&mut self, target: &GenerationId, from: Option<u64>) -> Result<(), NotSet> {
        self.profile.run(target, from)
    }

    fn switch(&mut self, target: &GenerationId, incident: &str) -> Result<SwitchEnd, String> {
        let end = self.switch.run(&target.store_path, incident);
        end.map_err(|e| e.to_string())
    }

    fn set_boot_default(
        &mut self,
        target: &GenerationId,
        incident: &str,
    ) -> Result<SwitchEnd, String> {
        let end = self.switch.boot(&target.store_path, incident);
        end.map_err(|e| e.to_string())
    }

    fn reboot(&mut self) -> Result<(), String> {
        self.reboot.run().map_err(|e| e.to_string())
    }

    fn keep_target(&mut self, target: Option<&str>) -> Result<(), String> {
        self.root.run(target).map(|_| ()).map_err(|e| e.to_string())
    }

    fn take_turn(&mut self) -> Answer {
        match &self.fleet {
            None => Answer::Granted,
            Some(fleet) => fleet.take(),
        }
    }

    fn end_turn(&mut self) -> Result<(), String> {
        match self.place.as_ref().or(self.fleet.as_ref()) {
            Some(lock) => lock.give_back(),
            None => Err("no lock server is known that could be told".to_owned()),
        }
    }

    fn hold_updater(&mut self, closure: &str) -> Result<Option<String>, String> {
        self.updater.hold(closure).map_err(|e| e.to_string())
    }

    fn release_updater(&mut self) -> Result<String, String> {
        self.updater.release().map_err(|e| e.to_string())
    }

    fn describe(&self, act: &Act) -> String {
        match act {
            Act::SetProfile { target, .. } => self.profile.describe(target),
            Act::Switch { target, .. } => self.switch.describe(&target.store_path),
            Act::SetBootDefault { target, .. } => {
                format!("would make {:?} the boot default", target.store_path)
            }
            Act::TakeTurn => "would ask the lock server".to_owned(),
            Act::Reboot { target } => format!("would reboot the host to {:?}", target.store_path),
        }
    }
}

/// What a tick needs beside the machine and the facts.
pub struct Hands<'a> {
    /// The effects.
    pub verbs: &'a mut dyn Verbs,
    /// Keeps the machine on disk, atomically. The error says why it could not.
    pub persist: &'a mut dyn FnMut(&Machine) -> Result<(), String>,
    /// Keeps the records.
    pub recorder: &'a mut dyn Recorder,
}

/// One tick of the remedy: looks, decides, and acts as far as it can without waiting for the
/// next tick. Returns the machine that is on disk.
///
/// What cannot be kept on disk is not done: the machine returned is then the one before.
pub fn tick(
    machine: Machine,
    facts: Facts<'_>,
    policy: &Policy,
    now_ms: i64,
    hands: &mut Hands<'_>,
) -> Machine {
    let log = Log {
        mode: policy.mode,
        now_ms,
    };
    let machine = machine.not_after(now_ms);
    let begun_as = machine.state().name();
    let (seen, mut decisions) = machine.clone().step(Event::Seen(facts), policy, now_ms);
    if let Some(bad) = would_begin(&machine, &seen) {
        let would = seen.would_act(facts.system, policy);
        decisions.extend(would.iter().map(|act| {
            let message = hands.verbs.describe(act);
            Decision::about(bad, Step::Act, act.would(), message, act.target())
        }));
    }
    let Some(mut machine) = log.keep(&machine, seen, decisions, hands) else {
        return machine;
    };
    if let Some(system) = facts.system {
        log.keep_target(begun_as, &machine, system, hands);
    }
    // First: between two acts the updater must not bring again what is being undone.
    machine = log.hold_updater(machine, policy, hands);
    machine = log.end_turn(machine, policy, hands);
    // Blind means that nobody can say who else deploys right now.
    while facts.system.is_some() {
        let (begun, act, decisions) = machine.clone().begin_act(policy);
        match log.keep(&machine, begun, decisions, hands) {
            Some(begun) => machine = begun,
            None => break,
        }
        let Some(act) = act else { break };
        let mut again = false;
        let (next, decisions) = match &act {
            Act::SetProfile { target, from } => {
                let outcome = hands.verbs.set_profile(target, *from);
                let event = Event::ProfileSet(outcome.as_ref().copied());
                machine.clone().step(event, policy, now_ms)
            }
            Act::Switch { target, incident } => {
                let outcome = hands.verbs.switch(target, incident);
                again = outcome.as_ref().is_ok_and(|end| end.is_to_be_tried_again());
                let event = Event::Switched(outcome.as_ref().copied().map_err(String::as_str));
                machine.clone().step(event, policy, now_ms)
            }
            Act::SetBootDefault { target, incident } => {
                let outcome = hands.verbs.set_boot_default(target, incident);
                again = outcome.as_ref().is_ok_and(|end| end.is_to_be_tried_again());
                let event = Event::BootSet(outcome.as_ref().copied().map_err(String::as_str));
                machine.clone().step(event, policy, now_ms)
            }
            Act::TakeTurn => {
                let answer = hands.verbs.take_turn();
                machine
                    .clone()
                    .step(Event::Answered(&answer, facts), policy, now_ms)
            }
            Act::Reboot { .. } => {
                let outcome = hands.verbs.reboot();
                let event = Event::Rebooting(outcome.as_ref().copied().map_err(String::as_str));
                machine.clone().step(event, policy, now_ms)
            }
        };
        let goes_on = !again && next != machine;
        let updater = machine.updater().clone();
        match log.keep(&machine, next, decisions, hands) {
            Some(next) => machine = next,
            None => break,
        }
        if updater != *machine.updater() {
            machine = log.hold_updater(machine, policy, hands);
        }
        if !goes_on {
            break;
        }
    }
    machine
}

/// Lets the updater go of a machine that nobody tends any more.
pub fn let_go(machine: Machine, policy: &Policy, now_ms: i64, hands: &mut Hands<'_>) -> Machine {
    let log = Log {
        mode: policy.mode,
        now_ms,
    };
    let released = machine.clone().let_go();
    match log.keep(&machine, released, Vec::new(), hands) {
        Some(machine) => log.hold_updater(machine, policy, hands),
        None => machine,
    }
}

/// The condemned deploy, if observe mode has just decided about it.
fn would_begin<'a>(before: &Machine, after: &'a Machine) -> Option<&'a Bad> {
    match (before.state(), after.state()) {
        (State::Observed { .. }, _) => None,
        (_, State::Observed { bad, .. }) => Some(bad),
        _ => None,
    }
}

struct Log {
    mode: Mode,
    now_ms: i64,
}

impl Log {
    /// Keeps what may be gone back to from the garbage collector. Where that fails the remedy goes
    /// on, since the generation's own link keeps it as well; it is said once for each state. A root
    /// that was made when it might act is no use when it may not, and is taken away.
    fn keep_target(
        &self,
        begun_as: &str,
        machine: &Machine,
        system: &SystemSeen,
        hands: &mut Hands<'_>,
    ) {
        let outcome = match machine.kept(Some(system)) {
            Kept::AsBefore => return,
            Kept::Target(target) if self.mode == Mode::Act => {
                hands.verbs.keep_target(Some(&target.store_path))
            }
            Kept::Nothing | Kept::Target(_) if system.kept.is_none() => return,
            Kept::Nothing | Kept::Target(_) => hands.verbs.keep_target(None),
        };
        if let Err(why) = outcome
            && machine.state().name() != begun_as
        {
            self.say(hands, "target_not_kept", why);
        }
    }

    /// Applies the hold of the updater, at each look: a reboot or somebody else may have undone it.
    /// To lift one that is over is no act of the remedy, and not left undone in any mode.
    fn hold_updater(&self, machine: Machine, policy: &Policy, hands: &mut Hands<'_>) -> Machine {
        let (next, decisions) = match machine.updater() {
            Updater::Held { closure, .. } if policy.mode == Mode::Act => {
                let outcome = hands.verbs.hold_updater(closure);
                let event = Event::UpdaterHeld(match &outcome {
                    Ok(done) => Ok(done.as_deref()),
                    Err(why) => Err(why),
                });
                machine.clone().step(event, policy, self.now_ms)
            }
            Updater::Lifting { .. } => {
                let outcome = hands.verbs.release_updater();
                let event = Event::UpdaterReleased(match &outcome {
                    Ok(done) => Ok(done),
                    Err(why) => Err(why),
                });
                machine.clone().step(event, policy, self.now_ms)
            }
            Updater::Held { .. } | Updater::Free {} => return machine,
        };
        self.keep(&machine, next, decisions, hands)
            .unwrap_or(machine)
    }

    /// Gives the place in the fleet's lock back, if it is needed no more.
    fn end_turn(&self, machine: Machine, policy: &Policy, hands: &mut Hands<'_>) -> Machine {
        if !machine.returns_lease(self.now_ms) {
            return machine;
        }
        let outcome = hands.verbs.end_turn();
        let event = Event::LeaseReturned(outcome.as_ref().copied().map_err(String::as_str));
        let (next, decisions) = machine.clone().step(event, policy, self.now_ms);
        self.keep(&machine, next, decisions, hands)
            .unwrap_or(machine)
    }

    fn say(&self, hands: &mut Hands<'_>, reason: &str, message: String) {
        hands.recorder.record(Record {
            at_ms: self.now_ms,
            incident: format!("rollback-state-{}", self.now_ms),
            remedy: Remedy::Rollback,
            mode: self.mode,
            step: Step::Refused,
            reason: reason.to_owned(),
            message,
            facts: serde_json::Value::Null,
        });
    }

    /// Keeps the new machine on disk if it differs there from the old one (a soak that goes on
    /// does not), then records what was decided. `None` if it could not be kept.
    fn keep(
        &self,
        old: &Machine,
        new: Machine,
        decisions: Vec<Decision>,
        hands: &mut Hands<'_>,
    ) -> Option<Machine> {
        if !new.is_kept_as(old)
            && let Err(why) = (hands.persist)(&new)
        {
            let message = format!("nothing is decided or done: {why}");
            self.say(hands, "state_not_kept", message);
            return None;
        }
        for decision in decisions {
            let record = decision.into_record(self.mode, self.now_ms);
            hands.recorder.record(record);
        }
        Some(new)
    }
}

#[cfg(test)]
mod tests;
