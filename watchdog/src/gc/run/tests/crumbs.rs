//! What is missing by a crumb, and what somebody has agreed to.

use std::collections::BTreeMap;

use super::{
    Agreed, BLOCK, End, FakeHost, Fault, Host, Policy, Record, Report, Space, aimed_at,
    collect_agreed, plan, run,
};
use crate::{
    gc::model::{World, arbitrary::empty},
    record::Step,
};

/// Four dead paths of 25 blocks and a generation of 50 that policy lets go.
fn four() -> World {
    let mut world = empty();
    world.disk.avail_bytes = 4 << 20;
    world.disk.files = 0;
    for word in ["a", "b", "c", "d"] {
        world.add(word, 25);
    }
    world.add_generation("system", 1, 50);
    world.add_generation("system", 2, 1);
    world
}

/// So many blocks are taken by somebody while the first paths are deleted.
fn taken(blocks: u64) -> BTreeMap<usize, Fault> {
    let bytes = blocks * BLOCK;
    BTreeMap::from([(3, Fault::Fills(Space { bytes, files: 0 }))])
}

#[test]
fn what_a_record_took_meanwhile_costs_no_generation() {
    let world = four();
    let faults = taken(1);
    let (host, report, records) = run(world, aimed_at(100), faults);
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert_eq!(host.acts, ["delete"]);
    let done = records.iter().find(|record| record.step == Step::Done);
    let message = &done.unwrap().message;
    assert!(message.contains("but for 4.0 KiB"), "{message}");
}

#[test]
fn a_crumb_is_made_up_for_by_dead_paths_only_where_little_goes() {
    for (blocks, acts) in [(2, 2), (20, 1)] {
        let mut world = four();
        world.add("e", blocks);
        let faults = taken(1);
        let (host, report, _) = run(world, aimed_at(100), faults);
        assert_eq!(report.end, End::Reached, "{report:?}");
        assert_eq!(host.acts, vec!["delete"; acts]);
    }
}

#[test]
fn a_disk_that_somebody_fills_meanwhile_still_reaches_its_target() {
    let world = four();
    let faults = taken(30);
    let (host, report, _) = run(world, aimed_at(100), faults);
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert!(host.acts.contains(&"remove_generation"), "{:?}", host.acts);
}

#[test]
fn one_generation_more_is_not_given_up_for_a_crumb() {
    let mut world = four();
    world.add_generation("system", 3, 1);
    let (host, report, _) = run(world, aimed_at(153), BTreeMap::new());
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert_eq!(host.given_up.len(), 1, "{:?}", host.given_up);
}

/// What becomes of a plan that somebody agreed to, while somebody else takes 30 blocks.
fn agreed_and_taken(world: World, policy: &Policy) -> (FakeHost, Report) {
    let mut host = FakeHost::new(world, policy.clone());
    let facts = host.facts().unwrap();
    let shown = plan(&facts, policy, host.scales()).unwrap();
    assert!(shown.victims.is_empty());
    let space = Space {
        bytes: 30 * BLOCK,
        files: 0,
    };
    host.faults = BTreeMap::from([(4, Fault::Fills(space))]);
    let mut records: Vec<Record> = Vec::new();
    let agreed = Agreed::to(&shown);
    let report = collect_agreed(&mut host, policy, "test", &mut records, &agreed);
    (host, report)
}

#[test]
fn what_was_not_shown_is_not_given_up_whatever_is_missing() {
    let world = four();
    let policy = super::aimed(aimed_at(100), &world);
    let (host, report) = agreed_and_taken(world, &policy);
    assert_eq!(report.end, End::Short("not_shown"), "{report:?}");
    assert!(report.detail.contains("run it again"), "{}", report.detail);
    assert_eq!(host.acts, ["delete"]);
}

#[test]
fn where_nothing_more_could_be_given_up_it_is_not_said_that_it_was_not_shown() {
    let mut world = empty();
    world.disk.avail_bytes = 4 << 20;
    world.disk.files = 0;
    for word in ["a", "b", "c", "d"] {
        world.add(word, 25);
    }
    let policy = super::aimed(aimed_at(100), &world);
    let (_, report) = agreed_and_taken(world, &policy);
    assert_eq!(report.end, End::Short("cannot_help"), "{report:?}");
}
