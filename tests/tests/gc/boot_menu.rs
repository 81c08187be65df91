//! The boot loader's menu, after system generations were given up: what they kept goes only when
//! no entry names it any more.

use std::{fs, os::unix::fs::PermissionsExt};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use snowguard_exporter::units::{Amount, ByteSize};
use snowguard_host::{Layout, store::FileSystem};
use snowguard_tests::{
    lab,
    small_store::{Kind, SmallStore},
};
use snowguard_watchdog::{
    gc::{policy::Policy, run::End},
    record::{Mode, Record, Step},
};

use super::{heal, kept_generations, policy};

/// What a boot loader's installer sees: the generations that are to be in the menu, and whether
/// what the menu named so far is still there.
const RECORDS: &str = "#!/bin/sh
echo \"$1\" >>/run/calls
ls /nix/var/nix/profiles >/run/generations
ls /nix/store >/run/paths
";

/// System generations of 4 MiB each, whose `switch-to-configuration` is this script, in a root
/// where a shell is.
fn systems(store: &SmallStore, script: &str) -> Vec<String> {
    let bin = store.root.join("bin");
    fs::create_dir(&bin).unwrap();
    fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
    for tool in ["sh", "ls"] {
        std::os::unix::fs::symlink("busybox", bin.join(tool)).unwrap();
    }
    let mut systems = Vec::new();
    for number in 1..=6 {
        let place = store.home.join(format!("nixos-system-{number}"));
        fs::create_dir_all(place.join("bin")).unwrap();
        let program = place.join("bin/switch-to-configuration");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(place.join("content"), vec![number; 4 << 20]).unwrap();
        let path = store.store(&["--add", place.to_str().unwrap()]);
        let path = path.trim().to_owned();
        store.link(&path, &format!("nix/var/nix/profiles/system-{number}-link"));
        systems.push(path);
    }
    store.link("system-6-link", "nix/var/nix/profiles/system");
    for link in ["booted-system", "current-system"] {
        store.link(&systems[5], &format!("run/{link}"));
        store.link(
            &format!("/run/{link}"),
            &format!("nix/var/nix/gcroots/{link}"),
        );
    }
    systems
}

/// Frees 16 MiB, of which 12 are dead or Nix's reserve: one generation of six has to go.
fn give_one_up(
    dir: &std::path::Path,
    boot: Option<&str>,
) -> (SmallStore, Vec<String>, Vec<Record>) {
    lab::must_be_root();
    let nix = lab::nix("sid");
    let store = SmallStore::make(dir, &nix, Kind::Tmpfs, 100, 4000);
    let systems = systems(&store, RECORDS);
    store.add("dead", 4096);
    if let Some(size) = boot {
        let boot = store.root.join("boot");
        fs::create_dir(&boot).unwrap();
        let kind = Some("tmpfs");
        mount(kind, &boot, kind, MsFlags::empty(), Some(size)).unwrap();
    }
    let free = FileSystem::read(&Layout::new(&store.root)).unwrap();
    let policy = Policy {
        target: Amount::Bytes(ByteSize(free.avail_bytes + (15 << 20))),
        ..policy(Mode::Act)
    };
    let (report, records) = heal(&store, &nix, &policy, Vec::new());
    if boot.is_some() {
        umount2(&store.root.join("boot"), MntFlags::MNT_DETACH).unwrap();
    }
    assert_eq!(report.end, End::Reached);
    assert_eq!(kept_generations(&store), [2, 3, 4, 5, 6]);
    assert!(!store.is_valid(&systems[0]));
    store.verify();
    (store, systems, records)
}

#[test]
fn the_menu_is_written_anew_after_generations_went_and_before_their_paths_do() {
    let dir = tempfile::tempdir().unwrap();
    let (store, systems, records) = give_one_up(dir.path(), None);
    let read = |name: &str| fs::read_to_string(store.root.join("run").join(name)).unwrap();
    assert_eq!(read("calls"), "boot\n");
    assert!(!read("generations").contains("system-1-link"));
    assert!(read("generations").contains("system-2-link"));
    let gone = systems[0].strip_prefix("/nix/store/").unwrap();
    assert!(
        read("paths").contains(gone),
        "it was there while the menu still named it"
    );
    let acts: Vec<&str> = records
        .iter()
        .filter(|record| record.step == Step::Act)
        .map(|record| &*record.reason)
        .collect();
    let end = ["remove_generation", "rewrite_boot_menu", "delete_paths"];
    assert!(acts.ends_with(&end), "{acts:?}");
}

#[test]
fn a_full_boot_partition_is_seen_before_anything_is_written_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _, records) = give_one_up(dir.path(), Some("size=1m"));
    assert!(!store.root.join("run/calls").exists());
    let failed = |record: &&Record| record.step == Step::Failed;
    let told = records.iter().find(failed).unwrap();
    assert_eq!(told.reason, "rewrite_boot_menu");
    assert!(told.message.contains("/boot"), "{}", told.message);
    assert!(told.message.contains("may be needed"), "{}", told.message);
}
