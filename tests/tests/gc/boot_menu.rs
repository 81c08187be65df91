//! The boot loader's menu, after system generations were given up: what they kept goes only when
//! no entry names it any more.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use snowguard_exporter::units::ByteSize;
use snowguard_host::{Layout, store::FileSystem};
use snowguard_tests::{
    host::Host,
    lab, programs,
    small_store::{Kind, SmallStore},
    wait::until,
};
use snowguard_watchdog::{
    gc::run::{End, Report},
    record::{Mode, Record, Step},
};

use super::{heal, kept_generations, policy};

/// What a boot loader's installer sees: the generations that are to be in the menu, and whether
/// what the menu named so far is still there.
const RECORDS: &str = "#!/bin/sh
[ -e /run/broken ] && exit 1
[ -e /run/slow ] && : >/run/begun && exec sleep 20
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
    for tool in ["sh", "ls", "sleep"] {
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

/// A store where one generation of six has to go for 15 MiB, because 12 are dead or Nix's reserve.
fn furnished(dir: &Path) -> (SmallStore, Vec<String>) {
    lab::must_be_root();
    let store = SmallStore::make(dir, &lab::nix("sid"), Kind::Tmpfs, 100, 4000);
    let systems = systems(&store, RECORDS);
    store.add("dead", 4096);
    (store, systems)
}

fn free(store: &SmallStore, mib: u64) -> (Report, Vec<Record>) {
    let now = FileSystem::read(&Layout::new(&store.root)).unwrap();
    let policy = policy(Mode::Act).to_free(ByteSize(mib << 20), &now);
    heal(store, &lab::nix("sid"), &policy, Vec::new())
}

fn read(root: &Path, name: &str) -> String {
    fs::read_to_string(root.join("run").join(name)).unwrap()
}

fn failure(records: &[Record]) -> &Record {
    let failed = |record: &&Record| record.step == Step::Failed;
    records.iter().find(failed).unwrap()
}

#[test]
fn the_menu_is_written_anew_after_generations_went_and_before_their_paths_do() {
    let dir = tempfile::tempdir().unwrap();
    let (store, systems) = furnished(dir.path());
    let (report, records) = free(&store, 15);
    assert_eq!(report.end, End::Reached);
    assert_eq!(kept_generations(&store), [2, 3, 4, 5, 6]);
    assert!(!store.is_valid(&systems[0]));
    let read = |name: &str| read(&store.root, name);
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
    store.verify();
}

#[test]
fn with_a_full_boot_partition_no_generation_goes_that_the_menu_names() {
    let dir = tempfile::tempdir().unwrap();
    let (store, systems) = furnished(dir.path());
    let boot = store.root.join("boot");
    fs::create_dir(&boot).unwrap();
    let kind = Some("tmpfs");
    mount(kind, &boot, kind, MsFlags::empty(), Some("size=1m")).unwrap();
    let (report, records) = free(&store, 15);
    umount2(&boot, MntFlags::MNT_DETACH).unwrap();
    assert_eq!(report.end, End::Short("boot_menu"), "{report:?}");
    assert!(!store.root.join("run/calls").exists());
    assert_eq!(kept_generations(&store), [1, 2, 3, 4, 5, 6]);
    assert!(store.is_valid(&systems[0]));
    let told = failure(&records);
    assert!(told.message.contains("/boot"), "{}", told.message);
    assert!(told.message.contains("may be needed"), "{}", told.message);
}

#[test]
fn what_the_menu_names_stays_until_a_later_collection_can_write_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, systems) = furnished(dir.path());
    let broken = store.root.join("run/broken");
    fs::create_dir_all(store.root.join("run/snowguard")).unwrap();
    fs::write(&broken, "").unwrap();
    let (report, records) = free(&store, 15);
    assert_eq!(report.end, End::Short("boot_menu"), "{report:?}");
    assert_eq!(failure(&records).reason, "rewrite_boot_menu");
    assert_eq!(kept_generations(&store), [2, 3, 4, 5, 6]);
    assert!(store.is_valid(&systems[0]), "an entry of the menu names it");

    fs::remove_file(&broken).unwrap();
    let (report, _) = free(&store, 2);
    assert_eq!(report.end, End::Reached, "{report:?}");
    assert_eq!(read(&store.root, "calls"), "boot\n");
    assert!(!store.is_valid(&systems[0]));
    store.verify();
}

/// A host on which a collection by hand was killed after it had given a generation up.
fn killed_by_hand() -> (Host, Vec<String>) {
    let host = Host::new(&lab::nix("sid"), 100);
    let systems = systems(&host.store, RECORDS);
    host.store.add("dead", 4096);
    let slow = host.root().join("run/slow");
    fs::write(&slow, "").unwrap();
    host.configure(
        "",
        "[gc]\nmode = 'act'\nkeep_generations = 3\nballast = '0B'\n",
    );
    let mut command = snowguard(&host, &["gc", "--free", "15MiB", "--yes"]);
    let mut by_hand = command.stdout(Stdio::null()).spawn().unwrap();
    let _ = host.recorded(Step::Act, "remove_generation");
    let begun = host.root().join("run/begun");
    until("the menu is being written", || begun.exists().then_some(()));
    by_hand.kill().unwrap();
    by_hand.wait().unwrap();
    fs::remove_file(&slow).unwrap();
    assert_eq!(kept_generations(&host.store), [2, 3, 4, 5, 6]);
    assert!(!host.root().join("run/calls").exists());
    (host, systems)
}

fn snowguard(host: &Host, args: &[&str]) -> Command {
    let mut command = Command::new(programs::snowguard());
    command.args(args).arg("--root").arg(host.root());
    command.arg("--config").arg(host.config());
    command
}

#[test]
fn after_a_kill_by_hand_the_next_collection_by_hand_writes_the_menu() {
    let (host, systems) = killed_by_hand();
    let mut command = snowguard(&host, &["gc", "--free", "2MiB", "--yes"]);
    assert!(command.status().unwrap().success());
    assert_eq!(read(host.root(), "calls"), "boot\n");
    let gone = systems[0].strip_prefix("/nix/store/").unwrap();
    assert!(read(host.root(), "paths").contains(gone));
}

#[test]
fn after_a_kill_by_hand_the_watchdog_writes_the_menu_without_any_alert() {
    let (host, systems) = killed_by_hand();
    let daemon = host.watch();
    let _ = host.recorded(Step::Act, "rewrite_boot_menu");
    assert_eq!(read(host.root(), "calls"), "boot\n");
    assert!(host.store.is_valid(&systems[0]), "nothing was collected");
    drop(daemon);
}
