//! Promise 4: "At most one rollback per deploy; never from blindness; never to a generation that
//! was not good." And never after a latch. Held over random histories of deploys, failures,
//! blindness, kills, full disks and clocks that jump.

use std::{
    collections::BTreeSet,
    env, thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use proptest::{
    prelude::{Just, ProptestConfig, Strategy, any, prop_oneof},
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};

use super::{
    facts::{AlertSeen, GenerationId},
    state::{State, Updater},
};
use crate::{act::switch::SwitchEnd, record::Mode};

mod graph;
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
    Confirm,
    LoaderForgets(bool),
    LoaderStuck(bool),
    UpdaterBrings,
    Release,
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
        2 => Just(H::Confirm),
        2 => Just(H::UpdaterBrings),
        1 => Just(H::Release),
        1 => any::<bool>().prop_map(H::LoaderForgets),
        1 => any::<bool>().prop_map(H::LoaderStuck),
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
    /// Somebody activated what runs, which may be what a rollback was on its way to.
    by_hand: bool,
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
        let confirmed = self.world.confirmed.as_ref() == Some(&running);
        let other = self.subject() != Some(&running);
        let is_target = self.targets.iter().any(|t| t.store_path == running);
        let news = self.subject() != Some(&running) && !is_target;
        let lived = self.world.tick(blind);
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
            let (Call::SetProfile(target) | Call::Switch(target) | Call::SetBootDefault(target)) =
                call;
            assert!(!blind.system, "acted from blindness");
            assert!(self.evidence, "acted without an alert of this deploy");
            assert!(!self.latched, "acted after a latch");
            assert!(self.good.contains(&target.store_path), "went to {target:?}");
            self.targets.insert(target.clone());
            assert_eq!(self.targets.len(), 1, "two rollbacks of one deploy");
        }
        let records = self.world.records.get(records..).unwrap_or_default();
        if records.iter().any(|record| record.reason == "rolled_back") {
            let host = self.world.host.borrow();
            assert_eq!(
                host.boot.as_ref(),
                Some(&host.running),
                "a reboot undoes it"
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
        for _ in 0..80 {
            if matches!(self.world.state(), "settled" | "failed") {
                break;
            }
            self.look(Blindness::default());
        }
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

fn history(happenings: &[Happening], mode: Mode, confirm: bool) -> Judge {
    let mut world = World::new(mode);
    world.policy.require_confirmation = confirm.then_some(Duration::from_secs(300));
    let mut judge = Judge {
        world,
        good: BTreeSet::new(),
        targets: BTreeSet::new(),
        evidence: false,
        by_hand: false,
        latched: false,
    };
    // A soak of three looks tells the same stories as one of forty.
    judge.world.policy.soak = Duration::from_secs(45);
    (0..5).for_each(|_| judge.look(Blindness::default()));
    happenings.iter().for_each(|what| judge.happens(what));
    judge
}

/// How many histories each run of the suite tells; `SNOWGUARD_CASES` asks for another number.
const HISTORIES: u32 = 20_000;

/// Tells as many histories, on all processors. Each failure is told with the shortest history that
/// leads to it and with the seed (`SNOWGUARD_SEED` gives one).
fn each_history(share: u32, check: impl Fn(&[Happening], bool) + Sync) {
    let number = |name: &str| {
        let given = env::var(name).ok();
        given.map(|text| text.parse::<u64>().expect("a number"))
    };
    let seed = number("SNOWGUARD_SEED").unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.expect("after 1970").as_secs()
    });
    println!("SNOWGUARD_SEED={seed}");
    let all = number("SNOWGUARD_CASES").map_or(HISTORIES, |n| u32::try_from(n).expect("few"));
    let threads =
        thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
    thread::scope(|scope| {
        for number in 0..threads {
            let check = &check;
            scope.spawn(move || {
                let mut key = [0; 32];
                key[..8].copy_from_slice(&seed.to_le_bytes());
                key[8..12].copy_from_slice(&number.to_le_bytes());
                let config = ProptestConfig {
                    cases: (all / 100 * share).div_ceil(threads),
                    failure_persistence: None,
                    ..ProptestConfig::default()
                };
                let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &key);
                let histories = (proptest::collection::vec(happening(), 0..24), any::<bool>());
                let told =
                    TestRunner::new_with_rng(config, rng).run(&histories, |(what, confirm)| {
                        check(&what, confirm);
                        Ok(())
                    });
                told.unwrap_or_else(|why| panic!("SNOWGUARD_SEED={seed}: {why}"));
            });
        }
    });
}

#[test]
fn no_history_leads_to_a_second_rollback_or_to_one_from_blindness_or_to_a_bad_generation() {
    each_history(80, |happenings, confirm| {
        history(happenings, Mode::Act, confirm).calm();
    });
}

#[test]
fn no_history_makes_observe_mode_touch_the_host() {
    each_history(20, |happenings, confirm| {
        let judge = history(happenings, Mode::Observe, confirm);
        assert_eq!(judge.world.calls(), []);
        assert_eq!(judge.world.host.borrow().kept, None);
    });
}

#[test]
fn the_simulation_does_see_rollbacks() {
    let bad = [Happening::Deploy { breaks: true }, Happening::Ticks(10)];
    let mut judge = history(&bad, Mode::Act, false);
    assert_eq!(judge.targets.len(), 1);
    judge.calm();
    assert_eq!(judge.world.state(), "settled");
}
