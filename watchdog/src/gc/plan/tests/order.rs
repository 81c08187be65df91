//! Which dead paths go first, and how much more than is needed.

use proptest::{
    collection::vec,
    prelude::{ProptestConfig, prop_assert, proptest},
};
use snowguard_host::provenance::Regret;

use super::{Policy, Space, World, arbitrary::named, plan_for};
use crate::gc::model::{BLOCK, arbitrary::empty, files::Files};

const LONG: Regret = Regret::Build {
    seconds: Some(7200),
};
const SHORT: Regret = Regret::Build { seconds: Some(5) };

/// The words of the paths that go for so many blocks.
fn go(world: &World, blocks: u64) -> Vec<String> {
    let files = Files::of(world);
    let need = Space {
        bytes: blocks * BLOCK,
        files: 0,
    };
    let policy = Policy::default();
    let plan = plan_for(&files.facts(), &policy, need, files.scales()).unwrap();
    let names = plan.dead.groups.iter().flatten();
    let word = |name: &str| name.trim_start_matches('0').replace("-path", "");
    names.map(|name| word(name.to_str().unwrap())).collect()
}

fn world(paths: &[(&str, u64, Regret)]) -> World {
    let mut world = empty();
    for (word, blocks, regret) in paths {
        world.add(word, *blocks);
        world.regrets.insert(named(word), *regret);
    }
    world
}

#[test]
fn what_a_substituter_has_goes_before_what_was_built_here_and_a_long_build_goes_last() {
    let world = world(&[
        ("long", 50, LONG),
        ("short", 30, SHORT),
        ("fetched", 20, Regret::Fetch),
        ("cached", 10, Regret::Download),
    ]);
    assert_eq!(go(&world, 10), ["cached"]);
    assert_eq!(go(&world, 30), ["cached", "fetched"]);
    assert_eq!(go(&world, 60), ["cached", "fetched", "short"]);
    assert_eq!(go(&world, 110), ["cached", "fetched", "short", "long"]);
}

#[test]
fn a_path_is_missed_as_much_as_what_goes_with_it() {
    let mut world = world(&[("library", 50, Regret::Download), ("short", 30, SHORT)]);
    world.add("program", 1);
    let program = world.entries.get_mut(&named("program")).unwrap();
    program.references.insert(named("library"));
    world.regrets.insert(named("program"), LONG);
    assert_eq!(go(&world, 30), ["short"]);
}

#[test]
fn of_two_long_builds_the_one_that_frees_more_for_each_minute_goes_first() {
    let hours = |hours: u64| Regret::Build {
        seconds: Some(hours * 3600),
    };
    let world = world(&[("slow", 60, hours(4)), ("fast", 40, hours(1))]);
    assert_eq!(go(&world, 40), ["fast"]);
}

#[test]
fn what_would_free_far_too_much_waits_for_smaller_ones() {
    let world = world(&[
        ("huge", 900, SHORT),
        ("a", 6, SHORT),
        ("b", 5, SHORT),
        ("c", 4, SHORT),
    ]);
    assert_eq!(go(&world, 15), ["a", "b", "c"]);
    assert_eq!(go(&world, 16), ["huge"]);
}

#[test]
fn what_turns_out_not_to_be_needed_stays() {
    let world = world(&[("large", 12, SHORT), ("small", 8, SHORT)]);
    assert_eq!(go(&world, 12), ["large"]);
    assert_eq!(go(&world, 10), ["large"]);
    assert_eq!(go(&world, 8), ["small"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn at_most_a_tenth_more_than_is_needed_goes_where_there_are_small_paths_enough(
        small in vec(1..10_u64, 60..80), large in vec(10..1000_u64, 0..20), share in 40..100_u64,
    ) {
        let mut world = empty();
        for (at, blocks) in small.iter().chain(&large).enumerate() {
            world.add(&format!("p{at}"), *blocks);
        }
        let need = (small.iter().sum::<u64>() * share / 100).max(100);
        let files = Files::of(&world);
        let space = Space { bytes: need * BLOCK, files: 0 };
        let plan = plan_for(&files.facts(), &Policy::default(), space, files.scales());
        let Ok(plan) = plan else {
            prop_assert!(small.iter().chain(&large).sum::<u64>() < need);
            return Ok(());
        };
        let promised = plan.promised.bytes / BLOCK;
        if plan.reaches_target() {
            prop_assert!(promised <= need + need / 10, "{} for {}", promised, need);
        }
    }
}
