//! A library that all that is dead refers to: it goes with all of that, but not in one call.

use super::{Amount, BLOCK, ByteSize, End, FakeHost, Mode, Policy};
use crate::{
    gc::model::{
        World,
        arbitrary::{empty, named},
    },
    record::Record,
};

const PROGRAMS: usize = 1000;

fn world() -> World {
    let mut world = empty();
    world.disk.avail_bytes = 4 << 20;
    world.disk.files = 0;
    world.disk.size_bytes = 64 << 20;
    world.add("library", PROGRAMS as u64);
    for number in 0..PROGRAMS {
        let word = format!("program{number}");
        world.add(&word, 1);
        let program = world.entries.get_mut(&named(&word)).unwrap();
        program.references.insert(named("library"));
    }
    world
}

fn delete_all(room_for_names: usize) -> FakeHost {
    let world = world();
    let policy = Policy {
        mode: Mode::Act,
        trigger: Amount::Bytes(ByteSize(u64::MAX)),
        target: Amount::Bytes(ByteSize((4 << 20) + 2 * PROGRAMS as u64 * BLOCK)),
        ..Policy::default()
    };
    let mut host = FakeHost::new(world, policy.clone());
    host.room_for_names = room_for_names;
    let mut records: Vec<Record> = Vec::new();
    let report = super::collect(&mut host, &policy, "test", &mut records);
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert!(!host.world.entries.contains_key(&named("library")));
    host
}

#[test]
fn what_goes_together_goes_in_many_calls_with_a_look_after_each() {
    let host = delete_all(1 << 20);
    assert_eq!(host.batches[0], 256, "{:?}", host.batches);
    assert!(host.batches.len() > 1, "{:?}", host.batches);
    assert_eq!(host.batches.iter().sum::<usize>(), PROGRAMS + 1);
}

#[test]
fn no_call_has_more_names_than_a_command_line_takes() {
    // The model asserts it of each call.
    let host = delete_all(8 << 10);
    assert!(host.batches.iter().all(|entries| *entries < 200));
}
