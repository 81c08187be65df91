//! Any collection on any host, whatever goes wrong meanwhile.
//!
//! Promise 1: "Snowguard never deletes a path that Nix holds alive, and never removes the booted,
//! running, current, boot-default or last known good generation, nor goes under K."
//! Promise 2: "It frees what it promised or says why not; it never starts a collection that
//! cannot help."
//! Promise 3: "It works on a disk with 0 bytes and 0 inodes free, without Prometheus, without
//! network, and after being killed at any point."
//! Promise 5: "In `observe` mode nothing on the host changes."
//! Promise 6: "Each decision, act or refusal, is in the journal and in a metric, with its reason."
//!
//! The host ([`host`]) itself panics where promise 1 or 5 is broken or no end is in sight.

mod boot_menu;
mod crumbs;
mod failed_calls;
mod host;
mod large_groups;
mod no_room;
mod simulation;
mod stories;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use proptest::{
    collection::btree_map,
    option,
    prelude::{
        Just, ProptestConfig, Strategy, TestCaseError, any, prop_assert, prop_assert_eq,
        prop_oneof, proptest,
    },
};
use snowguard_exporter::units::{Amount, ByteSize};

use self::host::{FakeHost, Fault};
use super::{Agreed, End, Report, collect, collect_agreed};
use crate::{
    gc::{
        model::{BLOCK, World, arbitrary},
        plan::plan,
        policy::{Policy, Space},
        run::Host,
    },
    record::{Mode, Record, Step},
};

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::Fails),
        2 => Just(Fault::FreesNothing),
        2 => (0..200_u64, 0..50_u64).prop_map(|(blocks, files)| Fault::Fills(Space {
            bytes: blocks * BLOCK,
            files,
        })),
        3 => any::<usize>().prop_map(Fault::Hidden),
        2 => any::<usize>().prop_map(Fault::Rooted),
        1 => any::<usize>().prop_map(Fault::Begun),
        1 => Just(Fault::Late),
        1 => Just(Fault::Stop),
        1 => (0..700_usize).prop_map(Fault::Others),
        1 => (0..700_usize).prop_map(Fault::Locked),
        1 => Just(Fault::BootFull),
        1 => any::<bool>().prop_map(Fault::Held),
    ]
}

fn faults() -> impl Strategy<Value = BTreeMap<usize, Fault>> {
    btree_map(1..16_usize, fault(), 0..5)
}

/// A policy that wants so many blocks, for which one generation of each profile is enough.
fn aimed_at(blocks: u64) -> Policy {
    Policy {
        mode: Mode::Act,
        trigger: Amount::Bytes(ByteSize(0)),
        target: Amount::Bytes(ByteSize(blocks * BLOCK)),
        keep_generations: 1,
        ..Policy::default()
    }
}

fn policy() -> impl Strategy<Value = Policy> {
    let mode = prop_oneof![1 => Just(Mode::Observe), 6 => Just(Mode::Act)];
    let age = || option::of((0..30_u64).prop_map(Duration::from_secs));
    let ages = [age(), age(), age()];
    // Some have no crumb: every byte and inode is to be freed.
    let least = option::of(Just(Amount::Bytes(ByteSize(0))));
    let shares = (0..8_u8, 0..20_u8);
    (mode, 0..300_u64, shares, 0..5_usize, least, ages).prop_map(
        |(
            mode,
            blocks,
            (target_files_percent, minimum_gain_percent),
            keep_generations,
            least,
            ages,
        )| {
            Policy {
                trigger: least.unwrap_or(Amount::Percent(100)),
                trigger_files_percent: if least.is_some() { 0 } else { 100 },
                build_dirs_older_than: ages[0],
                logs_older_than: ages[1],
                stale_roots_older_than: ages[2],
                mode,
                target: Amount::Bytes(ByteSize(blocks * BLOCK)),
                target_files_percent,
                keep_generations,
                minimum_gain_percent,
                ..Policy::default()
            }
        },
    )
}

/// Also one that makes inodes as it needs them, and one with room for the database.
fn world() -> impl Strategy<Value = World> {
    (arbitrary::world(), any::<bool>(), any::<bool>()).prop_map(|(mut world, btrfs, roomy)| {
        if btrfs {
            world.disk.files = 0;
        }
        if roomy {
            world.disk.avail_bytes = 4 << 20;
            world.disk.files_free = 16 * u64::from(!btrfs);
        }
        world
    })
}

/// The same with the target that much above what is free now, and the trigger there.
fn aimed(mut policy: Policy, world: &World) -> Policy {
    let free = world.disk.avail_bytes;
    if let Amount::Bytes(ByteSize(bytes)) = policy.target {
        policy.target = Amount::Bytes(ByteSize(bytes + free));
    }
    if policy.trigger == Amount::Bytes(ByteSize(0)) {
        policy.trigger = Amount::Bytes(ByteSize(free));
    }
    policy
}

/// Runs a collection to its end, with the target that much above what is free now.
fn run(
    world: World,
    policy: Policy,
    faults: BTreeMap<usize, Fault>,
) -> (FakeHost, Report, Vec<Record>) {
    let policy = aimed(policy, &world);
    let mut host = FakeHost::new(world, policy.clone());
    // Not so much that dropping it would be enough.
    host.ballast.bytes = BLOCK;
    host.faults = faults;
    let mut records = Vec::new();
    let report = collect(&mut host, &policy, "test", &mut records);
    (host, report, records)
}

fn judge(host: &FakeHost, report: &Report, records: &[Record]) -> Result<(), TestCaseError> {
    let last = records.last().unwrap();
    match &report.end {
        End::Reached => {
            prop_assert!(host.policy.is_reached(&host.world.disk));
            prop_assert_eq!(last.step, Step::Done);
        }
        End::Refused(refusal) => {
            prop_assert!(host.acts.is_empty(), "{:?}", host.acts);
            prop_assert_eq!(last.step, Step::Refused);
            prop_assert_eq!(&last.reason, refusal.reason.name());
            prop_assert!(!last.message.is_empty());
        }
        End::Observed => {
            prop_assert!(host.acts.is_empty(), "{:?}", host.acts);
            prop_assert!(last.reason.starts_with("would_"), "{:?}", last);
        }
        End::Short(reason) => {
            prop_assert_eq!(last.step, Step::Failed);
            prop_assert_eq!(&last.reason, reason);
        }
    }
    prop_assert!(
        host.freed.covers(report.freed),
        "{} freed, {} said",
        host.freed,
        report.freed
    );
    let told = |reason: &str| {
        let acts = records
            .iter()
            .filter(|r| matches!(r.step, Step::Act | Step::Failed));
        acts.filter(|record| record.reason == reason).count()
    };
    let done = |verb: &str| host.acts.iter().filter(|act| **act == verb).count();
    prop_assert_eq!(told("delete_paths"), done("delete"));
    prop_assert_eq!(told("remove_generation"), done("remove_generation"));
    prop_assert_eq!(told("remove_root"), done("remove_root"));
    // Logs go many at a time.
    let removed = |reason: &str| {
        let told = records.iter().filter(|record| record.reason == reason);
        let removed = told.filter_map(|record| record.facts["removed"].as_u64());
        usize::try_from(removed.sum::<u64>()).unwrap()
    };
    let (directories, logs) = ("remove_build_directory", "remove_build_log");
    prop_assert_eq!(
        removed(directories) + removed(logs) + host.refused,
        done(directories) + done(logs)
    );
    prop_assert_eq!(told("remove_left_over") > 0, host.refused > 0);
    prop_assert_eq!(told("drop_ballast"), done("drop_ballast"));
    prop_assert_eq!(told("rewrite_boot_menu"), done("rewrite_boot_menu"));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn whatever_goes_wrong_a_collection_harms_nothing_and_says_how_it_ended(
        world in world(), policy in policy(), faults in faults(),
    ) {
        let (host, report, records) = run(world, policy, faults);
        judge(&host, &report, &records)?;
    }

    #[test]
    fn a_plan_that_reaches_the_target_is_kept_when_nothing_goes_wrong(
        world in world(), policy in policy(),
    ) {
        let policy = Policy { mode: Mode::Act, ..policy };
        let mut twin = FakeHost::new(world.clone(), policy.clone());
        let room = aimed(policy.clone(), &world);
        let facts = twin.facts().unwrap();
        let reaches = plan(&facts, &room, twin.scales()).is_ok_and(|plan| plan.reaches_target());
        let (host, report, records) = run(world, policy, BTreeMap::new());
        judge(&host, &report, &records)?;
        if reaches {
            prop_assert_eq!(report.end, End::Reached);
        }
    }

    #[test]
    fn nothing_dear_goes_that_was_not_in_the_plan_that_somebody_agreed_to(
        world in world(), policy in policy(), faults in faults(),
    ) {
        let policy = aimed(Policy { mode: Mode::Act, ..policy }, &world);
        let mut host = FakeHost::new(world, policy.clone());
        let facts = host.facts().unwrap();
        let Ok(shown) = plan(&facts, &policy, host.scales()) else { return Ok(()) };
        host.faults = faults;
        host.ballast.bytes = BLOCK;
        let mut records = Vec::new();
        let agreed = Agreed::to(&shown);
        let report = collect_agreed(&mut host, &policy, "test", &mut records, &agreed);
        judge(&host, &report, &records)?;
        let paths: Vec<&PathBuf> = (shown.victims.iter().map(|victim| &victim.link))
            .chain(shown.roots.iter().map(|root| &root.auto))
            .chain(shown.left_overs.chosen.iter().map(|left| &left.path))
            .chain(shown.room.chosen.iter().map(|left| &left.path))
            .collect();
        prop_assert!(host.given_up.iter().all(|path| paths.contains(&path)), "{:?}", host.given_up);
    }
}
