//! Single choices between generations.

use std::time::Duration;

use super::{Policy, ProfileRule, Space, World, arbitrary::named, plan_for};
use crate::gc::model::{BLOCK, NOW, arbitrary::empty, files::Files};

/// Six generations of 10 blocks each; the last one is current.
fn six() -> World {
    let mut world = empty();
    for number in 1..=6 {
        world.add_generation("system", number, 10);
    }
    world
}

/// The generations given up for so many blocks when the newest two stay, and blocks promised.
fn given_up(world: &World, blocks: u64) -> (Vec<u64>, u64) {
    given_up_by(world, blocks, &two())
}

fn two() -> Policy {
    Policy {
        keep_generations: 2,
        ..Policy::default()
    }
}

fn given_up_by(world: &World, blocks: u64, policy: &Policy) -> (Vec<u64>, u64) {
    let files = Files::of(world);
    let need = Space {
        bytes: blocks * BLOCK,
        files: 0,
    };
    let plan = plan_for(&files.facts(), policy, need, files.scales()).unwrap();
    let numbers = plan.victims.iter().map(|victim| victim.id.number);
    (numbers.collect(), plan.promised.bytes / BLOCK)
}

#[test]
fn the_oldest_go_and_no_more_than_it_takes() {
    assert_eq!(given_up(&six(), 11), (vec![1, 2], 20));
    assert_eq!(given_up(&six(), 100), (vec![1, 2, 3, 4], 40));
}

#[test]
fn each_system_that_is_in_use_or_known_good_stays() {
    type Mark = fn(&mut World, String);
    let marks: [(&str, Mark); 5] = [
        ("booted", |world, name| world.booted = Some(name)),
        ("running", |world, name| world.running = Some(name)),
        ("boot default", |world, name| {
            world.boot_default = Some(name)
        }),
        ("known good", |world, name| world.good.extend([name])),
        ("current", |world, _| world.profiles[0].current = Some(1)),
    ];
    for (what, mark) in marks {
        let mut world = six();
        mark(&mut world, named("system1"));
        assert_eq!(given_up(&world, 100), (vec![2, 3, 4], 30), "{what}");
    }
}

#[test]
fn a_generation_whose_system_another_root_keeps_is_not_given_up_in_vain() {
    let mut world = six();
    world.roots.insert(named("system1"));
    assert_eq!(given_up(&world, 15), (vec![2, 3], 20));
}

#[test]
fn what_a_path_keeps_that_cannot_be_measured_is_not_promised() {
    let mut world = six();
    let mut reader = world.entries[&named("system1")].clone();
    reader.references.insert(named("system1"));
    reader.readable = false;
    world.entries.insert(named("reader"), reader);
    assert_eq!(given_up(&world, 15), (vec![2, 3], 20));
}

#[test]
fn a_generation_that_came_only_now_is_not_given_up_in_vain() {
    let mut world = six();
    world.recent.insert(named("system1"));
    assert_eq!(given_up(&world, 15), (vec![2, 3], 20));
}

#[test]
fn a_generation_younger_than_policy_has_it_stays_however_many_are_newer() {
    let mut world = six();
    world.profiles[0].generations[1].created = NOW - 99;
    let policy = Policy {
        keep_younger_than: Duration::from_secs(100),
        ..two()
    };
    assert_eq!(given_up_by(&world, 100, &policy), (vec![1, 3, 4], 30));
    world.profiles[0].generations[1].created = NOW - 100;
    assert_eq!(given_up_by(&world, 100, &policy).0.len(), 4);
}

#[test]
fn a_link_from_the_future_is_a_young_one() {
    let mut world = six();
    world.profiles[0].generations[0].created = NOW + 1_000_000;
    let policy = Policy {
        keep_younger_than: Duration::from_secs(1),
        ..two()
    };
    assert_eq!(given_up_by(&world, 100, &policy), (vec![2, 3, 4], 30));
}

#[test]
fn a_profile_with_a_rule_of_its_own_is_judged_by_that() {
    let rule = |pattern: &str, keep_generations| ProfileRule {
        pattern: pattern.to_owned(),
        keep_generations: Some(keep_generations),
        keep_younger_than: None,
    };
    let policy = Policy {
        profiles: vec![rule("s*m", 5), rule("*", 1), rule("sys*", 4)],
        ..two()
    };
    assert_eq!(given_up_by(&six(), 100, &policy), (vec![1, 2], 20));
}

/// Six generations, of which one is the target of an automatic root, and a root beside.
fn with_roots() -> (World, Policy) {
    let mut world = six();
    world.add_auto("result", 10);
    let policy = Policy {
        stale_roots_older_than: Some(Duration::from_secs(3600)),
        ..two()
    };
    (world, policy)
}

/// The names of the roots given up when everything is asked for.
fn roots_given_up(world: &World, policy: &Policy) -> Vec<String> {
    let files = Files::of(world);
    let need = Space {
        bytes: 1000 * BLOCK,
        files: 0,
    };
    let policy = Policy {
        minimum_gain_percent: 1,
        ..policy.clone()
    };
    let plan = plan_for(&files.facts(), &policy, need, files.scales());
    super::roots(&plan.unwrap())
}

#[test]
fn a_root_goes_only_if_it_is_asked_for_old_and_of_no_system_that_stays() {
    let (world, policy) = with_roots();
    assert_eq!(roots_given_up(&world, &policy), ["result"]);
    assert_eq!(roots_given_up(&world, &two()), Vec::<String>::new());

    let mut world = with_roots().0;
    world.autos.get_mut("result").unwrap().made.1 = NOW - 3599;
    assert_eq!(roots_given_up(&world, &policy), Vec::<String>::new());

    // A generation of somebody's own profile has that profile's rules.
    let mut world = with_roots().0;
    world.autos.get_mut("result").unwrap().is_generation = true;
    assert_eq!(roots_given_up(&world, &policy), Vec::<String>::new());

    type Mark = fn(&mut World, String);
    let marks: [Mark; 4] = [
        |world, name| world.booted = Some(name),
        |world, name| world.running = Some(name),
        |world, name| world.boot_default = Some(name),
        |world, name| world.good.extend([name]),
    ];
    for mark in marks {
        let mut world = with_roots().0;
        mark(&mut world, named("result"));
        assert_eq!(roots_given_up(&world, &policy), Vec::<String>::new());
    }
}

#[test]
fn what_a_generation_and_a_root_keep_together_goes_with_both() {
    let (mut world, policy) = with_roots();
    world.autos.get_mut("result").unwrap().target = named("system1");
    let (victims, promised) = given_up_by(&world, 1000, &policy);
    assert_eq!((victims, promised), (vec![1, 2, 3, 4], 50));
    assert_eq!(roots_given_up(&world, &policy), ["result"]);
}

#[test]
fn whatever_is_asked_for_a_plan_is_made_for_it() {
    let mut world = empty();
    for (word, blocks) in [("a", 10), ("b", 20)] {
        world.add(word, blocks);
    }
    let policy = Policy {
        minimum_gain_percent: 0,
        ..two()
    };
    let files = Files::of(&world);
    for bytes in [u64::MAX, u64::MAX - BLOCK] {
        let need = Space { bytes, files: 0 };
        let plan = plan_for(&files.facts(), &policy, need, files.scales()).unwrap();
        assert_eq!(plan.promised.bytes, 30 * BLOCK);
        assert!(!plan.reaches_target());
    }
}
