//! Single stories of a collection that goes wrong.

use std::{collections::BTreeMap, time::Duration};

use snowguard_host::LeftOverKind;

use super::{Amount, BLOCK, ByteSize, End, Fault, Mode, Policy, Space, run};
use crate::{
    gc::model::arbitrary::{empty, named},
    record::Step,
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

#[test]
fn a_path_that_nix_does_not_give_up_does_not_keep_the_others_from_going() {
    let mut world = empty();
    world.add("a", 100);
    world.add("b", 20);
    world.add("c", 20);
    world.add_generation("system", 1, 50);
    world.add_generation("system", 2, 1);
    world.hidden.insert(named("a"));
    let (host, report, _) = run(world, policy(30), BTreeMap::new());
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert!(host.world.entries.contains_key(&named("a")));
    assert!(!host.acts.contains(&"remove_generation"), "{:?}", host.acts);
}

#[test]
fn which_path_of_a_batch_nix_does_not_give_up_is_found_out() {
    let mut world = empty();
    for (word, blocks) in [("a", 10), ("b", 20), ("c", 20), ("d", 9)] {
        world.add(word, blocks);
    }
    world.hidden.insert(named("a"));
    let (host, report, _) = run(world, policy(45), BTreeMap::new());
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert!(host.world.entries.contains_key(&named("a")));
}

#[test]
fn dead_paths_that_weigh_nothing_do_not_keep_the_next_rung_from_being_tried() {
    let mut world = empty();
    world.disk.files = 0;
    world.disk.avail_bytes = 4 << 20;
    world.add("a", 0);
    world.add_generation("system", 1, 50);
    world.add_generation("system", 2, 1);
    let (_, report, _) = run(world, policy(30), BTreeMap::new());
    assert_eq!(report.end, End::Reached, "{report:?}");
}

#[test]
fn a_generation_that_cannot_be_given_up_is_tried_once_and_named() {
    let mut world = empty();
    world.add_generation("system", 1, 50);
    world.add_generation("system", 2, 1);
    let denied = (1..100).map(|call| (call, Fault::Unremovable)).collect();
    let (host, report, _) = run(world, policy(30), denied);
    assert_eq!(report.end, End::Short("nothing_left"));
    assert!(report.detail.contains("give up"), "{}", report.detail);
    assert_eq!(
        host.acts,
        ["drop_ballast"; 4]
            .into_iter()
            .chain(["remove_generation"])
            .collect::<Vec<_>>()
    );
}

#[test]
fn no_generation_is_given_up_where_deleting_frees_nothing() {
    let mut world = empty();
    world.add("a", 10);
    world.add_generation("system", 1, 50);
    world.add_generation("system", 2, 1);
    let snapshots = (1..100).map(|call| (call, Fault::FreesNothing)).collect();
    let (host, report, _) = run(world, policy(30), snapshots);
    assert_eq!(report.end, End::Short("no_progress"));
    assert!(!host.acts.contains(&"remove_generation"), "{:?}", host.acts);
    assert_eq!(report.freed, Space::NONE);
}

#[test]
fn what_a_generation_kept_is_deleted_even_if_giving_it_up_frees_no_inode() {
    let mut world = empty();
    world.disk.files = 0;
    world.disk.avail_bytes = 4 << 20;
    world.add_generation("system", 1, 50);
    world.add_generation("system", 2, 1);
    let (host, report, _) = run(world, policy(30), BTreeMap::new());
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert_eq!(
        host.acts,
        ["remove_generation", "rewrite_boot_menu", "delete"]
    );
}

#[test]
fn the_ballast_stays_while_there_is_room_for_the_database() {
    let mut world = empty();
    world.disk.files = 0;
    world.disk.files_free = 0;
    world.disk.avail_bytes = 4 << 20;
    world.add("a", 50);
    let (host, report, _) = run(world, policy(30), BTreeMap::new());
    assert_eq!((report.end, host.acts), (End::Reached, vec!["delete"]));
}

#[test]
fn no_generation_is_given_up_when_there_is_no_time_left_to_delete_what_it_kept() {
    let mut world = empty();
    world.add_generation("system", 1, 50);
    world.add_generation("system", 2, 1);
    let late = BTreeMap::from([(1, Fault::Late)]);
    let (host, report, _) = run(world, policy(30), late);
    assert_eq!(report.end, End::Short("deadline"));
    assert!(!host.acts.contains(&"remove_generation"), "{:?}", host.acts);
}

#[test]
fn the_ballast_goes_slice_by_slice_and_no_further_than_it_takes() {
    let mut world = empty();
    world.disk.files = 0;
    world.disk.avail_bytes = 0;
    world.add("a", 40);
    let mut host = super::FakeHost::new(world, policy(30));
    // Two slices of four are as much as the database needs.
    host.ballast.bytes = 8 << 20;
    let mut records: Vec<crate::record::Record> = Vec::new();
    let target = Policy {
        target: Amount::Bytes(ByteSize((4 << 20) + 30 * BLOCK)),
        minimum_gain_percent: 0,
        ..policy(30)
    };
    host.policy = target.clone();
    let report = super::collect(&mut host, &target, "test", &mut records);
    assert_eq!(report.end, End::Reached, "{records:?}");
    assert_eq!(host.acts, ["drop_ballast", "drop_ballast", "delete"]);
    assert_eq!(report.freed.bytes, 40 * BLOCK, "the ballast is not counted");
}

#[test]
fn a_collector_that_ends_in_time_is_waited_for_and_one_that_does_not_is_named() {
    for (looks, reached) in [(30, true), (700, false)] {
        let mut world = empty();
        world.disk.avail_bytes = 4 << 20;
        world.disk.files = 0;
        world.add("a", 40);
        let faults = BTreeMap::from([(1, Fault::Others(looks))]);
        let (host, report, records) = run(world, policy(30), faults);
        let waited = records.iter().filter(|record| record.reason == "waiting");
        assert_eq!(waited.count(), 1, "told once");
        if reached {
            assert_eq!(report.end, End::Reached);
        } else {
            let End::Refused(refusal) = report.end else {
                panic!("{report:?}")
            };
            assert_eq!(refusal.reason.name(), "collecting");
            assert!(refusal.detail.contains("somebody"), "{}", refusal.detail);
            assert!(host.acts.is_empty(), "{:?}", host.acts);
        }
    }
}

#[test]
fn one_that_is_stopped_while_it_waits_in_a_later_round_is_stopped_and_no_failure() {
    let mut stopped = 0;
    for call in 1..16 {
        let mut world = empty();
        world.disk.avail_bytes = 4 << 20;
        world.disk.files = 0;
        world.add_generation("user", 1, 50);
        world.add_generation("user", 2, 1);
        let faults = [(call, Fault::Others(99)), (call + 3, Fault::Stop)];
        let (host, report, _) = run(world, policy(30), BTreeMap::from(faults));
        if !host.acts.is_empty() && report.end != End::Reached {
            assert_eq!(report.end, End::Short("stopped"), "{call}");
            stopped += 1;
        }
    }
    assert!(stopped > 0, "none was waiting after an act");
}

#[test]
fn a_writer_is_waited_for_and_named_only_if_it_does_not_let_go() {
    for (looks, told, reached) in [(1, 0, true), (30, 1, true), (700, 1, false)] {
        let mut world = empty();
        world.disk.avail_bytes = 4 << 20;
        world.disk.files = 0;
        world.add("a", 40);
        let faults = BTreeMap::from([(1, Fault::Locked(looks))]);
        let (host, report, records) = run(world, policy(30), faults);
        let waited = records.iter().filter(|record| record.reason == "waiting");
        assert_eq!(waited.count(), told, "{looks} looks");
        if reached {
            assert_eq!(report.end, End::Reached);
        } else {
            let End::Refused(refusal) = report.end else {
                panic!("{report:?}")
            };
            assert_eq!(refusal.reason.name(), "database_busy");
            assert!(refusal.detail.contains("a writer"), "{}", refusal.detail);
            assert!(host.acts.is_empty(), "{:?}", host.acts);
        }
    }
}

#[test]
fn the_boot_menu_is_written_once_before_what_it_named_is_deleted() {
    let mut world = empty();
    world.disk.avail_bytes = 4 << 20;
    world.disk.files = 0;
    world.add_generation("system", 1, 50);
    world.add_generation("system", 2, 50);
    world.add_generation("system", 3, 1);
    let (host, report, _) = run(world, policy(80), BTreeMap::new());
    assert_eq!(report.end, End::Reached, "{report:?}");
    let menu = host.acts.iter().filter(|act| **act == "rewrite_boot_menu");
    assert_eq!(menu.count(), 1);
    assert_eq!(host.acts.last(), Some(&"delete"));
}

#[test]
fn what_builds_left_goes_before_a_way_back_and_a_root_goes_last() {
    let mut world = empty();
    world.disk.avail_bytes = 4 << 20;
    world.disk.files = 0;
    world.add("a", 10);
    world.leave("small", LeftOverKind::BuildDirectory, 5);
    world.leave("large", LeftOverKind::BuildDirectory, 20);
    world.leave("log", LeftOverKind::Log, 5);
    world.add_generation("system", 1, 50);
    world.add_generation("system", 2, 1);
    world.add_auto("result", 50);
    let rules = |blocks| Policy {
        build_dirs_older_than: Some(Duration::from_secs(3600)),
        logs_older_than: Some(Duration::from_secs(3600)),
        stale_roots_older_than: Some(Duration::from_secs(3600)),
        ..policy(blocks)
    };
    let acts = |blocks| {
        let (host, report, _) = run(world.clone(), rules(blocks), BTreeMap::new());
        assert_eq!(report.end, End::Reached, "{report:?}");
        host.acts
    };
    let directory = "remove_build_directory";
    assert_eq!(acts(10), ["delete"]);
    assert_eq!(acts(30), ["delete", directory]);
    assert_eq!(acts(35), ["delete", directory, directory]);
    let left = ["delete", directory, directory, "remove_build_log"];
    assert_eq!(acts(40), left);
    let generation = ["remove_generation", "rewrite_boot_menu", "delete"];
    assert_eq!(acts(41), [&left[..], &generation].concat());
    let root = ["remove_root", "delete"];
    assert_eq!(acts(140), [&left[..], &generation, &root].concat());

    // Off, as they are where nothing is said of them.
    let off = Policy {
        stale_roots_older_than: None,
        ..rules(140)
    };
    let (host, report, _) = run(world.clone(), off, BTreeMap::new());
    assert_eq!(report.end, End::Short("cannot_help"), "{report:?}");
    assert!(!host.acts.contains(&"remove_root"), "{:?}", host.acts);
}

#[test]
fn a_directory_that_a_build_has_begun_to_use_stays_and_the_next_one_goes() {
    let mut world = empty();
    world.disk.avail_bytes = 4 << 20;
    world.disk.files = 0;
    world.leave("large", LeftOverKind::BuildDirectory, 20);
    world.leave("small", LeftOverKind::BuildDirectory, 18);
    world.begun.insert("large".to_owned());
    let rules = Policy {
        build_dirs_older_than: Some(Duration::ZERO),
        ..policy(15)
    };
    let (host, report, records) = run(world, rules, BTreeMap::new());
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert!(host.world.left.contains_key("large"));
    let failed = records.iter().find(|record| record.step == Step::Failed);
    assert!(failed.unwrap().message.contains("begun"), "{failed:?}");
}
