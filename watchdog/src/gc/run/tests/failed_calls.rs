//! A call of Nix that fails, which tells of the call and not of what it was to delete.

use super::{Amount, BLOCK, ByteSize, End, FakeHost, Mode, Policy, Report};
use crate::{
    gc::model::{
        World,
        arbitrary::{empty, named},
    },
    record::Record,
};

fn policy(blocks: u64) -> Policy {
    Policy {
        mode: Mode::Act,
        // Nothing is a crumb.
        trigger: Amount::Bytes(ByteSize(u64::MAX)),
        target: Amount::Bytes(ByteSize(blocks * BLOCK)),
        keep_generations: 1,
        ..Policy::default()
    }
}

/// A library that ten programs refer to, all dead, and generations that could go.
fn world() -> World {
    let mut world = empty();
    world.disk.avail_bytes = 4 << 20;
    world.disk.files = 0;
    world.add("library", 30);
    for number in 0..10 {
        let word = format!("program{number}");
        world.add(&word, 1);
        let program = world.entries.get_mut(&named(&word)).unwrap();
        program.references.insert(named("library"));
    }
    world.add_generation("system", 1, 50);
    world.add_generation("system", 2, 1);
    world
}

/// Runs a collection after this has happened to the host.
fn collect(world: World, blocks: u64, happens: impl FnOnce(&mut FakeHost)) -> (FakeHost, Report) {
    let policy = super::aimed(policy(blocks), &world);
    let mut host = FakeHost::new(world, policy.clone());
    happens(&mut host);
    let mut records: Vec<Record> = Vec::new();
    let report = super::collect(&mut host, &policy, "test", &mut records);
    (host, report)
}

#[test]
fn a_call_that_fails_once_strikes_nothing_off_and_costs_no_generation() {
    let (host, report) = collect(world(), 40, |host| host.failing = 1);
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert!(!host.acts.contains(&"remove_generation"), "{:?}", host.acts);
    assert!(!host.world.entries.contains_key(&named("library")));
}

#[test]
fn a_nix_that_does_nothing_any_more_costs_no_generation_either() {
    let (host, report) = collect(world(), 40, |host| host.failing = usize::MAX);
    assert_eq!(report.end, End::Short("nix_refused"), "{report:?}");
    assert!(!host.acts.contains(&"remove_generation"), "{:?}", host.acts);
}

#[test]
fn what_nix_fails_at_again_and_again_does_not_keep_the_next_rung_from_being_tried() {
    let mut world = world();
    world.add("immutable", 40);
    let (host, report) = collect(world, 90, |host| {
        host.fails_at.insert(named("immutable"));
    });
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert!(host.acts.contains(&"remove_generation"), "{:?}", host.acts);
    assert!(host.world.entries.contains_key(&named("immutable")));
}

#[test]
fn several_paths_that_nobody_can_delete_do_not_keep_the_others_from_going() {
    for count in [2, 8, 12] {
        let mut world = empty();
        world.disk.avail_bytes = 4 << 20;
        world.disk.files = 0;
        for number in 0..count {
            world.add(&format!("immutable{number}"), 10);
        }
        for number in 0..20 {
            world.add(&format!("removable{number}"), 10);
        }
        let (host, report) = collect(world, 190, |host| {
            let names = (0..count).map(|number| named(&format!("immutable{number}")));
            host.fails_at.extend(names);
        });
        assert_eq!(report.end, End::Reached, "{count}: {report:?}");
        assert_eq!(host.world.entries.len() - count, 1, "{count}");
    }
}

#[test]
fn a_way_back_is_not_given_up_where_nix_has_failed_at_all_that_it_was_given() {
    let mut world = empty();
    world.disk.avail_bytes = 4 << 20;
    world.disk.files = 0;
    world.add("dead", 1);
    world.add_generation("system", 1, 50);
    world.add_generation("system", 2, 1);
    let (host, report) = collect(world, 30, |host| {
        host.fails_at.insert(named("dead"));
    });
    assert_eq!(report.end, End::Short("nix_refused"), "{report:?}");
    assert!(!host.acts.contains(&"remove_generation"), "{:?}", host.acts);
}

#[test]
fn what_was_not_tried_is_not_told_as_deleted() {
    let mut world = empty();
    world.disk.avail_bytes = 4 << 20;
    world.disk.files = 0;
    for number in 0..9 {
        world.add(&format!("dead{number}"), 10);
    }
    world.hidden.insert(named("dead0"));
    let (host, report) = collect(world, 80, |host| host.refusals = 0);
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert_eq!(host.progress.deleted_paths, 8);
}
