//! Promise 4: "At most one rollback per deploy; never from blindness; never to a generation that
//! was not good." And never after a latch. Held over random histories of deploys, failures,
//! blindness, kills, full disks and clocks that jump.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::policy::Fleet;
use crate::record::Mode;

mod graph;
mod host;
mod judge;
mod story;
pub(super) mod world;

use judge::Judge;
use story::{Leave, Story};
use world::{Blindness, Server, World};

/// What can happen to a host.
#[derive(Debug, Clone)]
enum Happening {
    Ticks(u8),
    Blind {
        system: bool,
        probes: bool,
    },
    Deploy {
        breaks: bool,
        kernel: u8,
    },
    /// One that stops units for so many looks, after the profile was set and before it runs.
    SlowDeploy {
        breaks: bool,
        looks: u8,
    },
    TestDeploy {
        breaks: bool,
    },
    /// One that sets another profile of systems.
    ElsewhereDeploy {
        breaks: bool,
    },
    Activate(usize),
    Collect(usize),
    Kill {
        after: u32,
    },
    Restart,
    ClockJump(i64),
    FaultInVar(bool),
    Flaps(u8),
    DiskFull(bool),
    ValidityUnreadable(bool),
    OldAlert(bool),
    SwitchEnds(i32),
    Confirm,
    LoaderForgets(bool),
    LoaderStuck(bool),
    UpdaterBrings,
    Release,
    Reboot,
    RebootStuck(bool),
    LockServer(Server),
}

fn history(story: &Story, mode: Mode) -> Judge {
    let Story { happenings, leave } = story;
    let mut world = World::new(mode);
    world.policy.require_confirmation = leave.confirm.then_some(Duration::from_secs(300));
    world.policy.allow_reboot = leave.reboot;
    world.policy.follows_profile = leave.profile;
    world.host.borrow_mut().follows_profile = leave.profile;
    world.policy.delay = Duration::from_secs(if leave.confirm { 0 } else { 20 });
    world.policy.fleet = leave.fleet.map(|when_silent| Fleet {
        when_silent,
        deadline: Duration::from_secs(600),
    });
    let grace = Duration::from_secs(15 * u64::from(leave.grace));
    world.judge_by(leave.failures, leave.of, grace);
    let mut judge = Judge::of(world);
    // A soak of three looks tells the same stories as one of forty.
    judge.world.policy.soak = Duration::from_secs(45);
    (0..5).for_each(|_| judge.look(Blindness::default()));
    happenings.iter().for_each(|what| judge.happens(what));
    judge
}

/// How many histories each run of the suite tells; `SNOWGUARD_CASES` asks for another number.
const HISTORIES: u64 = 100_000;

/// Tells its share, in per cent, of that many histories, on all processors. One that fails is told
/// with its seed, which `SNOWGUARD_SEED` replays alone, and as short as it can be.
fn each_history(share: u64, check: impl Fn(&Story) + Sync) {
    let number = |name: &str| {
        let given = env::var(name).ok();
        given.map(|text| text.parse::<u64>().expect("a number"))
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let first = number("SNOWGUARD_SEED");
    let count = first.map_or_else(
        || number("SNOWGUARD_CASES").unwrap_or(HISTORIES) * share / 100,
        |_| 1,
    );
    // Each second has its own.
    let first = first.unwrap_or_else(|| now.expect("after 1970").as_secs() << 20);
    let next = AtomicU64::new(first);
    let fails = |story: &Story| catch_unwind(AssertUnwindSafe(|| check(story))).is_err();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        break;
                    }
                    let story = Story::of(seed, 24);
                    if fails(&story) {
                        // Nobody needs to begin another one.
                        next.store(first + count, Ordering::Relaxed);
                        let story = story.shortest(fails);
                        panic!("SNOWGUARD_SEED={seed} replays a longer form of {story:?}");
                    }
                }
            });
        }
    });
}

#[test]
fn no_history_leads_to_a_second_rollback_or_to_one_from_blindness_or_to_a_bad_generation() {
    each_history(80, |story| {
        history(story, Mode::Act).calm();
    });
}

#[test]
fn no_history_makes_observe_mode_touch_the_host() {
    each_history(20, |story| {
        let judge = history(story, Mode::Observe);
        assert_eq!(judge.world.calls(), []);
        assert_eq!(judge.world.host.borrow().kept, None);
    });
}

#[test]
fn the_simulation_does_see_rollbacks() {
    let story = Story {
        happenings: vec![
            Happening::Deploy {
                breaks: true,
                kernel: 0,
            },
            Happening::Ticks(10),
        ],
        leave: Leave::NONE,
    };
    let mut judge = history(&story, Mode::Act);
    assert_eq!(judge.targets.len(), 1);
    judge.calm();
    assert_eq!(judge.world.state(), "settled");
}
