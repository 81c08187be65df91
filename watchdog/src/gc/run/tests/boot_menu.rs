//! Generations, their profiles and the boot menu, where one of them cannot be had.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{End, FakeHost, Fault, Record, aimed_at, collect, host::Killed, run};
use crate::gc::model::{
    World,
    arbitrary::{empty, named},
};

/// Of the system and of a user there is one generation each of 50 blocks that policy lets go.
fn two_profiles() -> World {
    of(&["system", "user"])
}

fn of(profiles: &[&str]) -> World {
    let mut world = empty();
    world.disk.avail_bytes = 4 << 20;
    world.disk.files = 0;
    for profile in profiles {
        world.add_generation(profile, 1, 50);
        world.add_generation(profile, 2, 1);
    }
    world
}

/// The profiles of which a generation was given up.
fn profiles(host: &FakeHost) -> Vec<String> {
    let of = |link: &std::path::PathBuf| {
        let name = link.file_name().unwrap().to_str().unwrap();
        name.split('-').next().unwrap().to_owned()
    };
    host.given_up.iter().map(of).collect()
}

#[test]
fn a_profile_that_nix_holds_is_waited_for_once_and_does_not_keep_the_others() {
    let mut world = two_profiles();
    world.add_generation("system", 3, 1);
    let held = BTreeMap::from([(1, Fault::Held(true))]);
    let (host, report, _) = run(world, aimed_at(40), held);
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert_eq!(profiles(&host), ["user"]);
    assert_eq!(host.kept.named, Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_full_boot_partition_keeps_the_systems_generations_and_no_others() {
    for (blocks, end) in [(40, End::Reached), (90, End::Short("boot_menu"))] {
        let full = BTreeMap::from([(1, Fault::BootFull)]);
        let (host, report, _) = run(two_profiles(), aimed_at(blocks), full);
        assert_eq!(report.end, end, "{report:?}");
        assert_eq!(profiles(&host), ["user"]);
        assert!(!host.acts.contains(&"rewrite_boot_menu"), "{:?}", host.acts);
    }
}

#[test]
fn nothing_is_begun_where_the_boot_menu_stands_against_all_of_it() {
    let world = of(&["system"]);
    let full = BTreeMap::from([(1, Fault::BootFull)]);
    let (_, report, _) = run(world, aimed_at(40), full);
    let End::Refused(refusal) = report.end else {
        panic!("{report:?}")
    };
    assert_eq!(refusal.reason.name(), "boot_menu");
    assert!(
        refusal.detail.contains("/boot is full"),
        "{}",
        refusal.detail
    );
}

#[test]
fn what_a_menu_names_that_cannot_be_written_stays_until_a_later_collection_writes_it() {
    let world = of(&["system"]);
    let policy = super::aimed(aimed_at(40), &world);
    let mut host = FakeHost::new(world, policy.clone());
    // After the look and the keeping of it each try fails.
    host.faults = (5..20).map(|call| (call, Fault::Fails)).collect();
    let mut records: Vec<Record> = Vec::new();
    let report = collect(&mut host, &policy, "one", &mut records);
    assert_eq!(host.given_up.len(), 1, "{records:?}");
    assert!(matches!(report.end, End::Short(_)), "{report:?}");
    assert!(host.world.entries.contains_key(&named("system1")));
    assert!(!host.kept.named.is_empty());

    // One look in which nothing has changed is one try.
    let full = BTreeMap::from([(1, Fault::BootFull)]);
    host.begin_again(policy.clone(), full);
    let report = collect(&mut host, &policy, "two", &mut records);
    assert!(matches!(report.end, End::Refused(_)), "{report:?}");
    assert_eq!(host.acts, ["rewrite_boot_menu"]);

    host.begin_again(policy.clone(), BTreeMap::new());
    let report = collect(&mut host, &policy, "three", &mut records);
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert_eq!(host.acts, ["rewrite_boot_menu", "delete"]);
    assert!(host.kept.named.is_empty());
}

#[test]
fn whoever_collects_after_a_kill_writes_the_boot_menu_first() {
    let mut world = of(&["system"]);
    world.add("a", 10);
    let policy = super::aimed(aimed_at(40), &world);
    let mut killed = 0;
    for call in 1..30 {
        let mut host = FakeHost::new(world.clone(), policy.clone());
        host.faults = BTreeMap::from([(call, Fault::Killed)]);
        let mut records: Vec<Record> = Vec::new();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            collect(&mut host, &policy, "one", &mut records)
        }));
        let Err(why) = ended else { continue };
        assert!(why.is::<Killed>());
        let is_old = !host.menu.is_empty();
        killed += usize::from(is_old);
        host.begin_again(policy.clone(), BTreeMap::new());
        let _ = collect(&mut host, &policy, "two", &mut records);
        if is_old {
            assert_eq!(host.acts.first(), Some(&"rewrite_boot_menu"));
        }
        assert!(host.menu.is_empty());
    }
    assert!(killed > 0, "none came between the generation and the menu");
}
