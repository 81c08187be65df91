//! Promise 4: "At most one rollback per deploy; never from blindness; never to a generation that
//! was not good." And never after a latch. Held over random histories of deploys, failures,
//! blindness, kills, full disks and clocks that jump.

use std::collections::BTreeSet;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};

use super::{
    facts::{AlertSeen, GenerationId},
    state::State,
};
use crate::{act::switch::SwitchEnd, record::Mode};

pub(super) mod world;

use world::{Blindness, Call, World};

/// What can happen to a host.
#[derive(Debug, Clone)]
enum Happening {
    Ticks(u8),
    Blind { system: bool, probes: bool },
    Deploy { breaks: bool },
    TestDeploy { breaks: bool },
    Activate(usize),
    Collect(usize),
    Kill { after: u32 },
    Restart,
    ClockJump(i64),
    FaultInVar(bool),
    DiskFull(bool),
    ValidityUnreadable(bool),
    OldAlert(bool),
    SwitchEnds(i32),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening as H;
    prop_oneof![
        6 => (1..12_u8).prop_map(H::Ticks),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(system, probes)| H::Blind { system, probes }),
        4 => any::<bool>().prop_map(|breaks| H::Deploy { breaks }),
        1 => any::<bool>().prop_map(|breaks| H::TestDeploy { breaks }),
        1 => any::<usize>().prop_map(H::Activate),
        1 => any::<usize>().prop_map(H::Collect),
        3 => (0..12_u32).prop_map(|after| H::Kill { after }),
        1 => Just(H::Restart),
        1 => (-7_200_000..7_200_000_i64).prop_map(H::ClockJump),
        1 => any::<bool>().prop_map(H::FaultInVar),
        1 => any::<bool>().prop_map(H::DiskFull),
        1 => any::<bool>().prop_map(H::ValidityUnreadable),
        1 => any::<bool>().prop_map(H::OldAlert),
        1 => prop_oneof![Just(0), Just(4), Just(1), Just(2), Just(11)].prop_map(H::SwitchEnds),
    ]
}

/// Judges from outside, with a memory of its own.
struct Judge {
    world: World,
    /// Generations that the journal called good or that a closure called good has by now.
    good: BTreeSet<String>,
    /// What was gone back to since somebody else activated something.
    targets: BTreeSet<GenerationId>,
    /// An alert that may condemn was shown, with open eyes, since then.
    evidence: bool,
    latched: bool,
}

impl Judge {
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
    }

    fn look(&mut self, blind: Blindness) {
        let running = self.world.host.borrow().running.clone();
        let records = self.world.records.len();
        let before = self.world.calls().len();
        let is_target = self.targets.iter().any(|t| t.store_path == running);
        let news = self.subject() != Some(&running) && !is_target;
        self.world.tick(blind);
        let calls = self.world.calls();
        let calls = calls.get(before..).unwrap_or_default();
        if news && (!calls.is_empty() || self.subject() == Some(&running)) {
            self.others_acted();
        }
        self.evidence |= self.world.shown;
        for call in calls {
            let (Call::SetProfile(target) | Call::Switch(target)) = call;
            assert!(!blind.system, "acted from blindness");
            assert!(self.evidence, "acted without an alert of this deploy");
            assert!(!self.latched, "acted after a latch");
            assert!(self.good.contains(&target.store_path), "went to {target:?}");
            self.targets.insert(target.clone());
            assert_eq!(self.targets.len(), 1, "two rollbacks of one deploy");
        }
        let records = self.world.records.get(records..).unwrap_or_default();
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
    }

    fn happens(&mut self, what: &Happening) {
        match *what {
            Happening::Ticks(count) => (0..count).for_each(|_| self.look(Blindness::default())),
            Happening::Blind { system, probes } => self.look(Blindness { system, probes }),
            Happening::Deploy { breaks } => self.world.deploy(breaks),
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
                    host.invalid.insert(gone.store_path);
                }
            }
            Happening::Kill { after } => {
                self.world.host.borrow_mut().fuse = Some(after);
                self.look(Blindness::default());
            }
            Happening::Restart => self.world.restart(),
            Happening::ClockJump(by) => self.world.now += by,
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
            Happening::SwitchEnds(code) => {
                self.world.host.borrow_mut().switch_ends = SwitchEnd::from_code(code);
            }
        }
    }

    /// Nothing more happens and everything works: the story must come to an end.
    fn calm(&mut self) {
        {
            let mut host = self.world.host.borrow_mut();
            host.disk_full = false;
            host.fault_in_var = false;
            host.validity_unreadable = false;
            host.fuse = None;
            host.switch_ends = SwitchEnd::Switched;
        }
        self.world.other_alerts.clear();
        (0..80).for_each(|_| self.look(Blindness::default()));
        let state = self.world.state();
        let host = self.world.host.borrow();
        let first_is_broken = state == "adopting" && host.broken.contains(&host.running);
        assert!(
            matches!(state, "settled" | "failed") || first_is_broken,
            "no end: {:?}",
            self.world.machine.state()
        );
    }
}

fn history(happenings: &[Happening], mode: Mode) -> Judge {
    let mut judge = Judge {
        world: World::new(mode),
        good: BTreeSet::new(),
        targets: BTreeSet::new(),
        evidence: false,
        latched: false,
    };
    (0..10).for_each(|_| judge.look(Blindness::default()));
    happenings.iter().for_each(|what| judge.happens(what));
    judge
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_history_leads_to_a_second_rollback_or_to_one_from_blindness_or_to_a_bad_generation(
        happenings in proptest::collection::vec(happening(), 0..40),
    ) {
        history(&happenings, Mode::Act).calm();
    }

    #[test]
    fn no_history_makes_observe_mode_touch_the_host(
        happenings in proptest::collection::vec(happening(), 0..40),
    ) {
        let judge = history(&happenings, Mode::Observe);
        assert_eq!(judge.world.calls(), []);
    }
}

#[test]
fn the_simulation_does_see_rollbacks() {
    let bad = [Happening::Deploy { breaks: true }, Happening::Ticks(10)];
    let mut judge = history(&bad, Mode::Act);
    assert_eq!(judge.targets.len(), 1);
    judge.calm();
    assert_eq!(judge.world.state(), "settled");
}
