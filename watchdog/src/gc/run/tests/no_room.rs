//! A disk that is hard full, without a ballast: Nix cannot even open its database.
//!
//! Promise 3: "It works on a disk with 0 bytes and 0 inodes free, without Prometheus, without
//! network, and after being killed at any point."

use std::time::Duration;

use snowguard_host::{LeftOverKind, store::FileSystem};

use super::{Amount, BLOCK, ByteSize, End, FakeHost, Mode, Policy, Report};
use crate::{
    gc::{
        model::{World, arbitrary::empty},
        policy::Space,
    },
    record::Record,
};

/// What the database needs to be opened.
const SHM: Space = Space {
    bytes: 8 * BLOCK,
    files: 0,
};

fn collect(world: World, reserve: u64) -> (FakeHost, Report) {
    let policy = Policy {
        mode: Mode::Act,
        trigger: Amount::Bytes(ByteSize(u64::MAX)),
        target: Amount::Bytes(ByteSize(100 * BLOCK)),
        build_dirs_older_than: Some(Duration::from_secs(60)),
        logs_older_than: Some(Duration::from_secs(60)),
        ..Policy::default()
    };
    let mut host = FakeHost::new(world, policy.clone());
    (host.slices, host.reserve, host.needs) = (0, reserve, SHM);
    let mut records: Vec<Record> = Vec::new();
    let report = super::collect(&mut host, &policy, "test", &mut records);
    (host, report)
}

fn full() -> World {
    let mut world = empty();
    world.disk.avail_bytes = 0;
    world.disk.files = 0;
    world.add("dead", 200);
    world
}

#[test]
fn without_a_ballast_the_reserve_of_nix_makes_room_for_it() {
    let (host, report) = collect(full(), 8 << 20);
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert_eq!(host.acts, ["delete", "drop_reserve", "delete"]);
}

#[test]
fn without_either_what_needs_no_nix_makes_room_for_it() {
    let mut world = full();
    world.leave("log", LeftOverKind::Log, 10);
    let (host, report) = collect(world, 0);
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert_eq!(host.acts.last(), Some(&"delete"));
    assert!(host.acts.contains(&"remove_build_log"), "{:?}", host.acts);
}

#[test]
fn with_nothing_to_make_room_it_says_what_to_do_by_hand() {
    let (_, report) = collect(full(), 0);
    assert_eq!(report.end, End::Short("nix_refused"));
    assert!(report.detail.contains("by hand"), "{}", report.detail);
}

#[test]
fn the_ballast_stays_where_the_disk_that_it_lies_on_has_room() {
    let world = full();
    let policy = Policy {
        mode: Mode::Act,
        trigger: Amount::Bytes(ByteSize(u64::MAX)),
        target: Amount::Bytes(ByteSize(100 * BLOCK)),
        ..Policy::default()
    };
    let mut host = FakeHost::new(world, policy.clone());
    host.state_disk = Some(FileSystem {
        avail_bytes: 1 << 30,
        ..host.world.disk
    });
    let mut records: Vec<Record> = Vec::new();
    let report = super::collect(&mut host, &policy, "test", &mut records);
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert_eq!(host.acts, ["delete"]);
}
