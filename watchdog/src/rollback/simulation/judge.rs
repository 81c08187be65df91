//! Who judges a history from outside, with a memory of its own.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Happening,
    world::{Blindness, Call, Server, World},
};
use crate::{
    act::switch::SwitchEnd,
    rollback::{
        facts::{AlertSeen, GenerationId},
        soak,
        state::{State, Updater},
        turn::{SILENT_AFTER, WhenSilent},
    },
};

/// Judges from outside, with a memory of its own.
pub(super) struct Judge {
    pub(super) world: World,
    /// Generations that the journal called good or that a closure called good has by now.
    good: BTreeSet<String>,
    /// What was gone back to since somebody else activated something.
    pub(super) targets: BTreeSet<GenerationId>,
    /// An alert that may condemn was shown, with open eyes, since then.
    evidence: bool,
    /// Somebody activated what runs, which may be what a rollback was on its way to.
    by_hand: bool,
    latched: bool,
    /// The remedy rebooted the host for the deploy at hand.
    rebooted: bool,
    /// It was this host's turn for the deploy at hand.
    may_act: bool,
    /// What was gone back to was activated for the deploy at hand.
    activated: bool,
    /// What the probe said of what runs.
    watch: Watch,
}

/// What the probe said of one deploy, from outside.
#[derive(Debug, Default)]
struct Watch {
    closure: String,
    /// When its activation began, at the earliest.
    begun_ms: i64,
    /// How often it was seen to fail after the grace.
    failures: u32,
    /// Nobody can tell when it began: the clock jumped since, or a generation that is hardly older
    /// was activated once more.
    unclear: bool,
}

impl Watch {
    /// Of one that begins now: at the moment of the last look, which may as well have been after it.
    fn of(closure: &str, world: &World) -> Self {
        let mut watch = Self {
            closure: closure.to_owned(),
            begun_ms: world.now,
            ..Self::default()
        };
        watch.look(world);
        watch
    }

    fn look(&mut self, world: &World) {
        let after = u64::try_from(world.now - self.begun_ms).unwrap_or(0);
        let in_grace = Duration::from_millis(after) < world.grace();
        if !world.passed && !in_grace {
            self.failures += 1;
        }
    }
}

impl Judge {
    /// Of a world in which nothing has happened yet.
    pub(super) fn of(world: World) -> Self {
        Self {
            world,
            good: BTreeSet::new(),
            targets: BTreeSet::new(),
            evidence: false,
            by_hand: false,
            latched: false,
            rebooted: false,
            may_act: false,
            activated: false,
            watch: Watch::default(),
        }
    }

    /// The system that the watchdog takes for the one that others activated last.
    fn subject(&self) -> Option<&str> {
        let path = match self.world.machine.state() {
            State::Adopting { deploy, .. } | State::Settled { good: deploy } => &deploy.store_path,
            State::Trial(trial) => &trial.deploy.store_path,
            State::Condemned { bad, .. }
            | State::RollingBack { bad, .. }
            | State::Verifying { bad, .. }
            | State::Observed { bad, .. } => &bad.deploy.store_path,
            State::Unknown {} | State::Failed { .. } => return None,
        };
        Some(path)
    }

    /// Somebody else activated something since the watchdog last took note.
    fn others_acted(&mut self) {
        self.targets.clear();
        self.evidence = false;
        self.rebooted = false;
        self.may_act = false;
        self.activated = false;
    }

    pub(super) fn look(&mut self, blind: Blindness) {
        let running = self.world.host.borrow().running.clone();
        let records = self.world.records.len();
        let before = self.world.calls().len();
        let confirmed = self.world.confirmed.as_ref() == Some(&running);
        let other = self.subject() != Some(&running);
        // A profile that points to the target was set by the remedy, or as well by somebody else.
        let chosen = match self.world.machine.state() {
            State::RollingBack { target, .. } if self.world.policy.follows_profile => Some(target),
            _ => None,
        };
        let mut targets = self.targets.iter().chain(chosen);
        let is_target = targets.any(|target| target.store_path == running);
        let news = self.subject() != Some(&running) && !is_target;
        let activated = self.activated;
        if self.watch.closure != running {
            self.watch = Watch::of(&running, &self.world);
            let host = self.world.host.borrow();
            self.watch.unclear = host.current.as_ref().is_some_and(|current| {
                let age = self.world.now - current.linked_at_ms;
                current.store_path == running && age <= soak::millis(self.world.policy.activation)
            });
        }
        let lived = self.world.tick(blind);
        if !blind.probes {
            self.watch.look(&self.world);
        }
        let calls = self.world.calls();
        let calls = calls.get(before..).unwrap_or_default();
        if news && (!calls.is_empty() || self.subject() == Some(&running)) {
            self.others_acted();
        }
        if self.subject() == Some(&running) {
            if other && self.by_hand {
                self.others_acted();
            }
            self.by_hand = false;
        }
        // A deploy that must be confirmed and is not is as good as an alert.
        let asked = self.world.policy.require_confirmation.is_some();
        self.evidence |= self.world.shown || (asked && !confirmed && !blind.system);
        for call in calls {
            assert!(!blind.system, "acted from blindness");
            assert!(self.evidence, "acted without an alert of this deploy");
            assert!(!self.latched, "acted after a latch");
            {
                let host = self.world.host.borrow();
                let alone = match self.world.policy.fleet.map(|fleet| fleet.when_silent) {
                    None => true,
                    Some(WhenSilent::Wait) => false,
                    Some(WhenSilent::Proceed) => host.unanswered >= SILENT_AFTER,
                };
                assert!(
                    alone || host.holds_place || self.may_act,
                    "acted out of turn"
                );
            }
            self.may_act = true;
            let moves = matches!(call, Call::SetProfile(_));
            assert!(
                !moves || !self.world.host.borrow().stopped,
                "moved the profile under somebody's deploy"
            );
            let target = match call {
                Call::SetProfile(target) | Call::Switch(target) | Call::SetBootDefault(target) => {
                    target
                }
                Call::Reboot(to) => {
                    assert!(self.world.policy.allow_reboot, "rebooted without leave");
                    assert!(!self.rebooted, "rebooted twice for one deploy");
                    let path = self.targets.first().map(|target| &target.store_path);
                    assert_eq!(Some(to), path, "rebooted to something else");
                    self.rebooted = true;
                    continue;
                }
            };
            assert!(self.good.contains(&target.store_path), "went to {target:?}");
            self.activated |= matches!(call, Call::Switch(_));
            self.targets.insert(target.clone());
            assert_eq!(self.targets.len(), 1, "two rollbacks of one deploy");
        }
        let records = self.world.records.get(records..).unwrap_or_default();
        if records.iter().any(|record| record.reason == "rolled_back") {
            let host = self.world.host.borrow();
            if host.follows_profile {
                assert!(
                    self.activated || activated,
                    "pointed to and never activated"
                );
            } else {
                let boots = host.boot.as_ref();
                assert_eq!(boots, Some(&host.running), "a reboot undoes it");
            }
        }
        // For want of a confirmation it has another reason.
        if records.iter().any(|record| record.reason == "condemned") && !self.watch.unclear {
            assert!(
                self.watch.failures >= self.world.failures(),
                "condemned by {:?}",
                self.watch
            );
        }
        if records.iter().any(|record| record.reason == "settled") {
            self.good.insert(running);
        }
        // A kill can fall between the state on disk and the record.
        if let State::Settled { good } = self.world.machine.state() {
            self.good.insert(good.store_path.clone());
        }
        assert!(
            !self.latched || self.world.machine.latched(),
            "the latch opened"
        );
        self.latched = self.world.machine.latched();
        if lived {
            let held = match self.world.machine.updater() {
                Updater::Held { closure, .. } => Some(closure.clone()),
                Updater::Free {} | Updater::Lifting { .. } => None,
            };
            let full = self.world.host.borrow().disk_full;
            assert!(
                full || self.world.held() == held,
                "the updater is not held as it should be"
            );
        }
    }

    /// The updater brings what was deployed last, unless it is held.
    fn updater_brings(&mut self) {
        let host = self.world.host.borrow();
        let newest = host.generations.iter().max_by_key(|g| g.number).cloned();
        if host.held.is_some() {
            return;
        }
        drop(host);
        let newest = newest.filter(|g| Some(g.store_path.as_str()) != self.subject());
        if let Some(generation) = newest {
            self.world.activate(&generation);
            self.by_hand = true;
        }
    }

    pub(super) fn happens(&mut self, what: &Happening) {
        match *what {
            Happening::Ticks(count) => (0..count).for_each(|_| self.look(Blindness::default())),
            Happening::Blind { system, probes } => self.look(Blindness { system, probes }),
            Happening::Deploy { breaks, kernel } => {
                self.world.deploy(breaks);
                let deployed = self.world.host.borrow().running.clone();
                self.watch = Watch::of(&deployed, &self.world);
                let mut host = self.world.host.borrow_mut();
                let running = host.running.clone();
                if !host.follows_profile {
                    host.kernels.insert(running, kernel);
                }
            }
            Happening::SlowDeploy { breaks, .. } if self.world.policy.follows_profile => {
                self.world.deploy(breaks);
            }
            Happening::SlowDeploy { breaks, looks } => {
                let generation = self.world.link(breaks);
                let mut watch = Watch::of(&generation.store_path, &self.world);
                self.world.host.borrow_mut().stopped = true;
                for _ in 0..looks {
                    self.look(Blindness::default());
                    watch.look(&self.world);
                }
                self.world.host.borrow_mut().stopped = false;
                self.world.activate(&generation);
                self.watch = watch;
            }
            Happening::Flaps(looks) => self.world.host.borrow_mut().flaps = looks,
            Happening::LockServer(server) => self.world.host.borrow_mut().server = server,
            Happening::Reboot => {
                self.world.reboot();
                self.by_hand = true;
            }
            Happening::RebootStuck(is) => self.world.host.borrow_mut().reboot_stuck = is,
            // What a profile points to is what runs.
            Happening::TestDeploy { .. } | Happening::ElsewhereDeploy { .. }
                if self.world.policy.follows_profile => {}
            Happening::ElsewhereDeploy { breaks } => {
                self.world.deploy_elsewhere(breaks);
            }
            Happening::TestDeploy { breaks } => {
                let path = self.world.closure(breaks);
                self.world.host.borrow_mut().running = path;
            }
            Happening::Activate(which) => {
                let host = self.world.host.borrow();
                let index = which % host.generations.len().max(1);
                let chosen = host.generations.get(index).cloned();
                drop(host);
                // A system that went and came back between two looks was never away.
                let chosen = chosen.filter(|g| Some(g.store_path.as_str()) != self.subject());
                if let Some(generation) = chosen {
                    self.world.activate(&generation);
                    self.by_hand = true;
                }
            }
            Happening::Collect(which) => {
                let mut host = self.world.host.borrow_mut();
                let index = which % host.generations.len().max(1);
                let Some(gone) = host.generations.get(index).cloned() else {
                    return;
                };
                if host.current.as_ref() != Some(&gone) && host.running != gone.store_path {
                    host.generations.remove(index);
                    // A generation of the same closure keeps it, and so does our own root.
                    let others = host
                        .generations
                        .iter()
                        .any(|g| g.store_path == gone.store_path);
                    if !others && host.kept.as_ref() != Some(&gone.store_path) {
                        host.invalid.insert(gone.store_path);
                    }
                }
            }
            Happening::Kill { after } => {
                self.world.host.borrow_mut().fuse = Some(after);
                self.look(Blindness::default());
            }
            Happening::Restart => self.world.restart(),
            Happening::ClockJump(by) => {
                self.world.now += by;
                self.watch.unclear = true;
            }
            Happening::FaultInVar(is) => self.world.host.borrow_mut().fault_in_var = is,
            Happening::DiskFull(is) => self.world.host.borrow_mut().disk_full = is,
            Happening::ValidityUnreadable(is) => {
                self.world.host.borrow_mut().validity_unreadable = is;
            }
            Happening::OldAlert(fires) => {
                let old = AlertSeen {
                    name: "Old".to_owned(),
                    active_at_ms: 1,
                    probe: None,
                };
                self.world.other_alerts = fires.then_some(old).into_iter().collect();
            }
            Happening::UpdaterBrings => self.updater_brings(),
            Happening::Release => {
                if !self.world.machine.latched() {
                    self.world.machine = std::mem::take(&mut self.world.machine).release();
                }
            }
            Happening::LoaderForgets(is) => self.world.host.borrow_mut().loader_forgets = is,
            Happening::LoaderStuck(is) => self.world.host.borrow_mut().loader_stuck = is,
            Happening::Confirm => {
                let running = self.world.host.borrow().running.clone();
                self.world.confirmed = Some(running);
            }
            Happening::SwitchEnds(code) => {
                self.world.host.borrow_mut().switch_ends = SwitchEnd::from_code(code);
            }
        }
    }

    /// Nothing more happens and everything works: the story must come to an end.
    pub(super) fn calm(&mut self) {
        {
            let mut host = self.world.host.borrow_mut();
            host.disk_full = false;
            host.fault_in_var = false;
            host.flaps = 0;
            host.validity_unreadable = false;
            host.fuse = None;
            host.reboot_stuck = false;
            host.server = Server::Grants;
            host.switch_ends = SwitchEnd::Switched;
        }
        self.world.other_alerts.clear();
        // What happened last is news to it.
        self.look(Blindness::default());
        for _ in 0..80 {
            if matches!(self.world.state(), "settled" | "failed") {
                break;
            }
            self.look(Blindness::default());
        }
        // What could not be given back is tried again a minute later.
        (0..5).for_each(|_| self.look(Blindness::default()));
        let state = self.world.state();
        let host = self.world.host.borrow();
        let keeps = host.holds_place || self.world.machine.lease().is_out();
        assert!(!keeps, "a place in the lock is kept for ever");
        let first_is_broken = state == "adopting" && host.broken.contains(&host.running);
        assert!(
            matches!(state, "settled" | "failed") || first_is_broken,
            "no end: {:?}, alert since {:?}",
            self.world.machine.state(),
            self.world.alert
        );
    }
}
