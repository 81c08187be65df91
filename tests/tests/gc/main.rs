//! Emergency garbage collection on real stores, on real small file systems, through real Nix.
//!
//! Promise 1: "Snowguard never deletes a path that Nix holds alive, and never removes the booted,
//! running, current, boot-default or last known good generation, nor goes under K."
//! Promise 2: "It frees what it promised or says why not; it never starts a collection that
//! cannot help."
//! Promise 3: "It works on a disk with 0 bytes and 0 inodes free, without Prometheus, without
//! network, and after being killed at any point."
//! Promise 5: "In `observe` mode nothing on the host changes."

mod boot_menu;
mod by_hand;
mod daemon;
mod faults;
mod in_flight;
mod locked;
mod other_disk;
mod target_root;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use snowguard_exporter::units::{Amount, ByteSize};
use snowguard_host::{Layout, Profiles, store::FileSystem};
use snowguard_tests::{
    lab::{self, Nix},
    small_store::{Kind, SmallStore},
};
use snowguard_watchdog::{
    act::{
        ballast::Ballast,
        boot_menu::BootMenu,
        delete_paths::DeletePaths,
        remove_generation::RemoveGeneration,
        stop::Stop,
        switch::{Switch, Way},
    },
    gc::{
        host::RealHost,
        old_menu::OldMenuKept,
        policy::Policy,
        run::{End, Progress, Report, collect},
    },
    record::{Mode, Record},
};

fn policy(mode: Mode) -> Policy {
    Policy {
        mode,
        trigger: Amount::Percent(10),
        target: Amount::Percent(20),
        keep_generations: 3,
        ballast: ByteSize(16 << 20),
        // Whatever is in a test's store came only now.
        keep_recent: Duration::ZERO,
        ..Policy::default()
    }
}

fn host(store: &SmallStore, nix: &Nix, good: Vec<PathBuf>) -> RealHost {
    let layout = Layout::new(&store.root);
    RealHost {
        good,
        delete: DeletePaths::new(
            &layout,
            nix.bin().join("nix-store"),
            Duration::from_secs(60),
            Stop::new(),
        ),
        boot_menu: BootMenu {
            layout: layout.clone(),
            switch: Switch {
                way: Way::Chroot {
                    program: PathBuf::from("/usr/sbin/chroot"),
                    root: store.root.clone(),
                },
                deadline: Duration::from_secs(20),
                log: None,
                stop: Stop::new(),
            },
        },
        old_menu: OldMenuKept::at(
            &store.root.join("var/lib/snowguard"),
            &store.root.join("run/snowguard"),
        ),
        generations: RemoveGeneration {
            lock_deadline: Duration::from_secs(5),
        },
        ballast: Ballast::of(&layout, 16 << 20),
        begun: Instant::now(),
        progress: Progress::default(),
        watcher: Box::new(|_| {}),
        layout,
    }
}

fn heal(
    store: &SmallStore,
    nix: &Nix,
    policy: &Policy,
    good: Vec<PathBuf>,
) -> (Report, Vec<Record>) {
    let mut records = Vec::new();
    let mut host = host(store, nix, good);
    let report = collect(&mut host, policy, "test", &mut records);
    for record in &records {
        println!("{:?} {}: {}", record.step, record.reason, record.message);
    }
    (report, records)
}

/// A store of 200 MiB with 60 MiB dead, 8 generations of 4 MiB each and some live paths.
fn store(dir: &std::path::Path, nix: &Nix, kind: Kind) -> (SmallStore, Vec<String>, Vec<String>) {
    let store = SmallStore::make(dir, nix, kind, 200, 4000);
    let mut live = Vec::new();
    for number in 0..4 {
        let path = store.add(&format!("live-{number}"), 2048);
        store.link(&path, &format!("nix/var/nix/gcroots/live-{number}"));
        live.push(path);
    }
    for number in 0..30 {
        store.add(&format!("dead-{number}"), 512 * (1 + number % 8));
    }
    let systems: Vec<String> = (1..=8)
        .map(|number| store.system_generation(number, 4096))
        .collect();
    // Booted an old one, runs another, and one more is known good.
    store.link(&systems[1], "run/booted-system");
    store.link(&systems[6], "run/current-system");
    store.link("/run/booted-system", "nix/var/nix/gcroots/booted-system");
    store.link("/run/current-system", "nix/var/nix/gcroots/current-system");
    (store, live, systems)
}

fn kept_generations(store: &SmallStore) -> Vec<u64> {
    let profiles = Profiles::read(&Layout::new(&store.root)).unwrap();
    let system = profiles.get("system").unwrap();
    system
        .generations
        .iter()
        .map(|generation| generation.id.number)
        .collect()
}

/// Every version of Nix, and every kind of file system with one of them.
fn combinations() -> Vec<(Nix, Kind)> {
    let with = |release| lab::nix(release);
    vec![
        (with("bookworm"), Kind::Ext4),
        (with("bookworm"), Kind::Tmpfs),
        (with("bookworm"), Kind::Btrfs),
        (with("trixie"), Kind::Ext4),
        (with("sid"), Kind::Tmpfs),
    ]
}

#[test]
fn a_disk_with_no_byte_free_is_healed_and_no_live_path_is_lost() {
    lab::must_be_root();
    for (nix, kind) in combinations() {
        println!("== {} on {kind:?}", nix.release);
        let dir = tempfile::tempdir().unwrap();
        let (store, live, systems) = store(dir.path(), &nix, kind);
        let layout = Layout::new(&store.root);
        Ballast::of(&layout, 16 << 20).make().unwrap();
        store.fill_bytes();
        // Nothing more can be written, whatever statvfs still promises on btrfs.
        assert!(std::fs::write(store.root.join("one-more"), vec![1; 1 << 20]).is_err());
        let left = FileSystem::read(&layout).unwrap().avail_bytes;
        assert!(left < 4 << 20, "{left}");
        let policy = Policy {
            target: Amount::Bytes(ByteSize(30 << 20)),
            ..policy(Mode::Act)
        };
        let (report, _) = heal(&store, &nix, &policy, Vec::new());
        assert_eq!(report.end, End::Reached);
        assert!(policy.is_reached(&FileSystem::read(&layout).unwrap()));
        for path in live.iter().chain(&systems) {
            assert!(store.is_valid(path), "{path}");
        }
        assert_eq!(kept_generations(&store), (1..=8).collect::<Vec<_>>());
        store.verify();
    }
}

#[test]
fn a_disk_with_no_inode_free_is_healed_by_what_frees_inodes() {
    lab::must_be_root();
    for (nix, kind) in [
        (lab::nix("bookworm"), Kind::Ext4),
        (lab::nix("sid"), Kind::Tmpfs),
    ] {
        println!("== {} on {kind:?}", nix.release);
        let dir = tempfile::tempdir().unwrap();
        let (store, live, _) = store(dir.path(), &nix, kind);
        let layout = Layout::new(&store.root);
        Ballast::of(&layout, 16 << 20).make().unwrap();
        store.fill_inodes();
        assert_eq!(FileSystem::read(&layout).unwrap().files_free, 0);
        let policy = Policy {
            trigger_files_percent: 0,
            target_files_percent: 1,
            ..policy(Mode::Act)
        };
        let (report, _) = heal(&store, &nix, &policy, Vec::new());
        assert_eq!(report.end, End::Reached);
        assert!(FileSystem::read(&layout).unwrap().files_free >= 40);
        for path in &live {
            assert!(store.is_valid(path), "{path}");
        }
        store.verify();
    }
}

#[test]
fn generations_go_oldest_first_and_only_those_that_policy_lets_go() {
    lab::must_be_root();
    let nix = lab::nix("trixie");
    let dir = tempfile::tempdir().unwrap();
    let (store, _, systems) = store(dir.path(), &nix, Kind::Tmpfs);
    // 64.5 MiB are dead and Nix drops its reserve of 8 MiB; one generation of 4 MiB more does not
    // suffice, two do.
    let now = FileSystem::read(&Layout::new(&store.root)).unwrap();
    let policy = policy(Mode::Act).to_free(ByteSize(78 << 20), &now);
    let (report, _) = heal(&store, &nix, &policy, vec![PathBuf::from(&systems[2])]);
    // 2 is booted, 3 known good, 7 runs, 8 is current, 6 to 8 are the newest three: 1, 4 and 5 may
    // go, and two of them are enough.
    assert_eq!(kept_generations(&store), [2, 3, 5, 6, 7, 8]);
    for number in [2, 3, 5, 6, 7, 8] {
        assert!(store.is_valid(&systems[number - 1]));
    }
    assert!(!store.is_valid(&systems[0]), "{report:?}");
    store.verify();
}

#[test]
fn what_cannot_help_is_not_begun_and_says_who_pins_the_rest() {
    lab::must_be_root();
    let nix = lab::nix("bookworm");
    let dir = tempfile::tempdir().unwrap();
    let store = SmallStore::make(dir.path(), &nix, Kind::Tmpfs, 100, 4000);
    let path = store.add("live", 8192);
    store.link(&path, "nix/var/nix/gcroots/live");
    store.fill_bytes();
    let before = tree(&store);
    let (report, records) = heal(&store, &nix, &policy(Mode::Act), Vec::new());
    let End::Refused(refusal) = report.end else {
        panic!("{report:?}")
    };
    assert_eq!(refusal.reason.name(), "cannot_help");
    assert!(
        refusal.detail.contains("1 by permanent roots"),
        "{}",
        refusal.detail
    );
    assert_eq!(records.last().unwrap().reason, "cannot_help");
    let changed: Vec<_> = tree(&store)
        .symmetric_difference(&before)
        .cloned()
        .collect();
    assert_eq!(changed, Vec::<String>::new());
}

#[test]
fn observe_mode_changes_nothing_and_says_what_would_be_done() {
    lab::must_be_root();
    for nix in lab::all_nix() {
        let dir = tempfile::tempdir().unwrap();
        let (store, ..) = store(dir.path(), &nix, Kind::Tmpfs);
        store.fill_bytes();
        let before = tree(&store);
        let (report, records) = heal(&store, &nix, &policy(Mode::Observe), Vec::new());
        assert_eq!(report.end, End::Observed);
        assert!(
            records
                .iter()
                .any(|record| record.reason == "would_delete_paths")
        );
        let changed: Vec<_> = tree(&store)
            .symmetric_difference(&before)
            .cloned()
            .collect();
        assert_eq!(changed, Vec::<String>::new());
    }
}

#[test]
fn a_path_that_became_alive_after_the_plan_is_kept_by_nix() {
    lab::must_be_root();
    let nix = lab::nix("sid");
    let dir = tempfile::tempdir().unwrap();
    let (store, ..) = store(dir.path(), &nix, Kind::Tmpfs);
    // The largest dead path comes first in any plan. It gets a root when Nix is called.
    let dead = store.store(&["--gc", "--print-dead"]);
    let largest = dead.lines().find(|path| path.ends_with("-dead-7")).unwrap();
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\nln -sfn {largest} {}/nix/var/nix/gcroots/late\nexec {} \"$@\"\n",
        store.root.display(),
        nix.bin().join("nix-store").display()
    );
    let program = bin.join("nix-store");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let free = FileSystem::read(&Layout::new(&store.root))
        .unwrap()
        .avail_bytes;
    let policy = Policy {
        target: Amount::Bytes(ByteSize(free + (20 << 20))),
        ..policy(Mode::Act)
    };
    let mut records: Vec<Record> = Vec::new();
    let mut host = host(&store, &nix, Vec::new());
    host.delete.program = program;
    let report = collect(&mut host, &policy, "test", &mut records);
    assert!(store.is_valid(largest));
    // The rest of what was needed is found among what is still dead.
    assert_eq!(report.end, End::Reached, "{records:?}");
}

/// Everything below the root that a change would show in.
fn tree(store: &SmallStore) -> BTreeSet<String> {
    let format = "%p %y %s %m %l %T@ %n\\n";
    let find = std::process::Command::new("find")
        .arg(&store.root)
        .args(["-printf", format])
        .output();
    let text = lab::stdout("find", find);
    text.lines().map(str::to_owned).collect()
}
