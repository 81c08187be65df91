//! When no plan is made, however much is dead.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
};

use proptest::{
    prelude::{ProptestConfig, Strategy, prop_assert_eq, proptest},
    sample::select,
};

use super::{World, arbitrary, policy};
use crate::gc::{
    facts::Facts,
    model::files::Files,
    plan::{Reason, Refusal, plan, plan_for},
    policy::{Policy, Space},
};

/// A byte is missing, and nothing is too little.
const LITTLE: Space = Space { bytes: 1, files: 0 };

fn refusal(files: &Files, facts: &Facts, policy: &Policy) -> Refusal {
    plan_for(facts, policy, LITTLE, files.scales()).unwrap_err()
}

/// Something that Nix takes roots from and that this process cannot read, even as root.
type Spoil = fn(&Files);

fn unreadable() -> impl Strategy<Value = Spoil> {
    let far_root: Spoil = |files| {
        symlink("loop", files.path("loop")).unwrap();
        let target = files.path("loop/result");
        files.link("nix/var/nix/gcroots/far", target.to_str().unwrap());
    };
    let process: Spoil = |files| {
        fs::create_dir(files.path("proc/7")).unwrap();
        fs::write(files.path("proc/7/exe"), "no link").unwrap();
    };
    let generation: Spoil = |files| {
        symlink("loop", files.path("nix/store/loop")).unwrap();
        files.link("nix/var/nix/profiles/odd-1-link", "/nix/store/loop/x");
    };
    select(vec![far_root, process, generation])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn nothing_is_planned_while_one_source_of_roots_cannot_be_read(
        world in arbitrary::world(), policy in policy(), spoil in unreadable(),
    ) {
        let files = Files::of(&world);
        spoil(&files);
        let refusal = refusal(&files, &files.facts(), &policy);
        prop_assert_eq!(refusal.reason, Reason::RootsUnreadable, "{}", refusal.detail);
    }
}

/// One dead path of 10 blocks, on a disk of 1000 that is full.
fn simple() -> World {
    let mut world = arbitrary::empty();
    world.add("dead", 10);
    world
}

#[test]
fn nothing_is_planned_while_another_collection_holds_its_lock() {
    let files = Files::of(&simple());
    let lock = files.path("nix/var/nix/gc.lock");
    fs::write(&lock, "").unwrap();
    let meta = fs::metadata(&lock).unwrap();
    let (major, minor) = (
        nix::sys::stat::major(meta.dev()),
        nix::sys::stat::minor(meta.dev()),
    );
    let mount = format!("1 0 {major}:{minor} / / rw - ext4 /dev/x rw\n");
    fs::write(files.path("proc/self/mountinfo"), mount).unwrap();
    let held = format!(
        "1: FLOCK  ADVISORY  WRITE 7 {major:02x}:{minor:02x}:{} 0 EOF\n",
        meta.ino()
    );
    fs::write(files.path("proc/locks"), held).unwrap();
    let refusal = refusal(&files, &files.facts(), &Policy::default());
    assert_eq!(refusal.reason, Reason::Collecting);
    assert!(refusal.detail.contains("process 7"), "{}", refusal.detail);
}

#[test]
fn nothing_is_planned_when_enough_is_free() {
    let mut world = simple();
    world.disk.avail_bytes = world.disk.size_bytes;
    world.disk.files_free = world.disk.files;
    let files = Files::of(&world);
    let mut facts = files.facts();
    facts.file_system = world.disk;
    let refusal = plan(&facts, &Policy::default(), files.scales()).unwrap_err();
    assert_eq!(refusal.reason, Reason::NotNeeded);
}

#[test]
fn less_than_the_minimum_gain_is_refused_and_says_who_pins_the_rest() {
    let mut world = simple();
    world.add("live", 90);
    world.roots.insert(arbitrary::named("live"));
    let files = Files::of(&world);
    let gain = |minimum_gain_percent| Policy {
        minimum_gain_percent,
        ..Policy::default()
    };
    let need = Space {
        bytes: 100 * crate::gc::model::BLOCK,
        files: 0,
    };
    let facts = files.facts();
    plan_for(&facts, &gain(10), need, files.scales()).unwrap();
    let refusal = plan_for(&facts, &gain(11), need, files.scales()).unwrap_err();
    assert_eq!(refusal.reason, Reason::CannotHelp);
    assert!(
        refusal.detail.contains("1 by permanent roots"),
        "{}",
        refusal.detail
    );
}

#[test]
fn bytes_are_freed_though_no_inode_can_be_and_no_generation_goes_for_inodes() {
    let mut world = simple();
    world.add_generation("system", 1, 90);
    world.add_generation("system", 2, 1);
    let files = Files::of(&world);
    let policy = Policy {
        minimum_gain_percent: 5,
        keep_generations: 1,
        ..Policy::default()
    };
    let need = Space {
        bytes: 10 * crate::gc::model::BLOCK,
        files: 1000,
    };
    let plan = plan_for(&files.facts(), &policy, need, files.scales()).unwrap();
    assert_eq!(plan.missing(), need);
    assert_eq!(plan.dead_entries(), 1);
    assert!(plan.victims.is_empty(), "{:?}", plan.victims);
    assert!(!plan.reaches_target());
}

#[test]
fn a_boot_default_that_cannot_be_read_keeps_generations_of_the_system_and_no_dead_path() {
    let mut world = simple();
    world.add_generation("system", 1, 90);
    world.add_generation("system", 2, 1);
    let files = Files::of(&world);
    fs::create_dir_all(files.path("boot/loader")).unwrap();
    fs::write(files.path("boot/loader/loader.conf"), "default gone.conf").unwrap();
    // No system of NixOS, which brings the program that writes the menu.
    assert_eq!(files.facts().boot_menu_stays, None);
    let target = fs::read_link(files.path("nix/var/nix/profiles/system-2-link")).unwrap();
    let bin = files.layout().inside(target.join("bin"));
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("switch-to-configuration"), "").unwrap();
    let facts = files.facts();
    let why = facts.boot_menu_stays.clone().unwrap();
    assert!(why.contains("must exist"), "{why}");
    let policy = Policy {
        minimum_gain_percent: 5,
        keep_generations: 1,
        ..Policy::default()
    };
    let need = Space {
        bytes: 50 * crate::gc::model::BLOCK,
        files: 0,
    };
    let plan = plan_for(&facts, &policy, need, files.scales()).unwrap();
    assert_eq!(plan.dead_entries(), 1);
    assert!(plan.victims.is_empty(), "{:?}", plan.victims);
}
