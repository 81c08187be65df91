//! A full disk, with every Nix, on every file system, however the daemon is. Eleven runs, in which
//! any two faults meet at least once; `SNOWGUARD_MATRIX=all` runs the product.
//!
//! Promise 3: "It works on a disk with 0 bytes and 0 inodes free, without Prometheus, without
//! network, and after being killed at any point."

use std::fs;

use nix::sys::signal::Signal;
use snowguard_exporter::units::{Amount, ByteSize};
use snowguard_host::{Layout, store::FileSystem};
use snowguard_tests::{lab, nix_daemon::NixDaemon, small_store::Kind};
use snowguard_watchdog::{
    act::ballast::Ballast,
    gc::{policy::Policy, run::End},
    record::Mode,
};

use super::{heal, policy, store};

/// What is wrong with the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    Bytes,
    Inodes,
    Both,
}

/// What is there of the database's write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wal {
    /// As Nix left it.
    Left,
    /// An idle store of Nix before 2.23.
    Gone,
}

/// How the daemon is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    None,
    Up,
    Hung,
}

const FULL: [Full; 3] = [Full::Bytes, Full::Inodes, Full::Both];
const WAL: [Wal; 2] = [Wal::Left, Wal::Gone];
const SERVICE: [Service; 3] = [Service::None, Service::Up, Service::Hung];
const KINDS: [Kind; 3] = [Kind::Ext4, Kind::Btrfs, Kind::Tmpfs];

type Run = (&'static str, Kind, Full, Service, Wal);

/// Any two of these values meet, but for btrfs, which makes inodes as it needs them.
const PAIRS: [Run; 11] = [
    (
        "bookworm",
        Kind::Ext4,
        Full::Inodes,
        Service::None,
        Wal::Left,
    ),
    ("trixie", Kind::Ext4, Full::Both, Service::Up, Wal::Gone),
    ("sid", Kind::Ext4, Full::Both, Service::Hung, Wal::Left),
    (
        "bookworm",
        Kind::Tmpfs,
        Full::Both,
        Service::None,
        Wal::Gone,
    ),
    (
        "trixie",
        Kind::Tmpfs,
        Full::Inodes,
        Service::Hung,
        Wal::Left,
    ),
    ("sid", Kind::Tmpfs, Full::Inodes, Service::Up, Wal::Gone),
    (
        "bookworm",
        Kind::Btrfs,
        Full::Bytes,
        Service::Hung,
        Wal::Gone,
    ),
    ("trixie", Kind::Btrfs, Full::Bytes, Service::None, Wal::Left),
    ("sid", Kind::Btrfs, Full::Bytes, Service::Up, Wal::Left),
    ("bookworm", Kind::Ext4, Full::Bytes, Service::Up, Wal::Gone),
    ("sid", Kind::Tmpfs, Full::Bytes, Service::None, Wal::Left),
];

fn product() -> Vec<Run> {
    let mut runs = Vec::new();
    for release in lab::all_nix().iter().map(|nix| nix.release) {
        for kind in KINDS {
            for full in FULL {
                for service in SERVICE {
                    runs.extend(WAL.map(|wal| (release, kind, full, service, wal)));
                }
            }
        }
    }
    runs.retain(|(_, kind, full, ..)| *kind != Kind::Btrfs || *full == Full::Bytes);
    runs
}

fn runs() -> Vec<Run> {
    if std::env::var("SNOWGUARD_MATRIX").is_ok_and(|asked| asked == "all") {
        product()
    } else {
        PAIRS.to_vec()
    }
}

#[test]
fn any_two_faults_that_can_meet_do_meet_in_some_run() {
    let pairs = |runs: &[Run]| {
        let mut pairs = std::collections::BTreeSet::new();
        for (release, kind, full, service, wal) in runs {
            let values = [
                (*release).to_owned(),
                format!("{kind:?}"),
                format!("full {full:?}"),
                format!("daemon {service:?}"),
                format!("WAL {wal:?}"),
            ];
            for a in 0..values.len() {
                for b in 0..a {
                    pairs.insert((values[a].clone(), values[b].clone()));
                }
            }
        }
        pairs
    };
    let (all, met) = (pairs(&product()), pairs(&PAIRS));
    let missing: Vec<_> = all.difference(&met).collect();
    assert!(missing.is_empty(), "never meet: {missing:?}");
}

#[test]
fn a_full_ext4_is_healed_twice_in_a_row_however_the_daemon_is() {
    heal_twice_on(Kind::Ext4);
}

#[test]
fn a_full_btrfs_is_healed_twice_in_a_row_however_the_daemon_is() {
    heal_twice_on(Kind::Btrfs);
}

#[test]
fn a_full_tmpfs_is_healed_twice_in_a_row_however_the_daemon_is() {
    heal_twice_on(Kind::Tmpfs);
}

fn heal_twice_on(asked: Kind) {
    lab::must_be_root();
    for (release, kind, full, service, wal) in runs() {
        if kind != asked {
            continue;
        }
        let nix = lab::nix(release);
        println!(
            "== {} on {kind:?}: {full:?}, daemon {service:?}, WAL {wal:?}",
            nix.release
        );
        let dir = tempfile::tempdir().unwrap();
        let (store, live, systems) = store(dir.path(), &nix, kind);
        let layout = Layout::new(&store.root);
        // Of the size that it has where nothing is configured.
        Ballast::of(&layout, 32 << 20).make().unwrap();
        let daemon = (service != Service::None).then(|| NixDaemon::start(&nix, &store));
        if service == Service::Hung {
            daemon.as_ref().unwrap().signal(Signal::SIGSTOP);
        }
        // A second time the ballast may be spent in part.
        for (time, mib) in [(1, 16), (2, 12)] {
            if wal == Wal::Gone {
                for end in ["-wal", "-shm"] {
                    let _ =
                        fs::remove_file(store.root.join(format!("nix/var/nix/db/db.sqlite{end}")));
                }
            }
            let _ = fs::remove_file(store.root.join("fill"));
            let _ = fs::remove_dir_all(store.root.join("many"));
            // What takes the bytes needs an inode of its own.
            fs::File::create(store.root.join("fill")).unwrap();
            if full != Full::Bytes {
                store.fill_inodes();
            }
            if full != Full::Inodes {
                store.fill_bytes();
            }
            let file_system = FileSystem::read(&layout).unwrap();
            let (bytes, files) = (file_system.avail_bytes, u64::from(full != Full::Bytes));
            let policy = Policy {
                target: Amount::Bytes(ByteSize(bytes + (mib << 20))),
                target_files_percent: u8::try_from(files).unwrap(),
                trigger_files_percent: 0,
                ..policy(Mode::Act)
            };
            let (report, records) = heal(&store, &nix, &policy, Vec::new());
            assert_eq!(report.end, End::Reached, "time {time}: {records:?}");
        }
        // Booted, among the newest three, running and current: whatever else had to go, these stay.
        let kept = [1, 5, 6, 7].map(|at: usize| &systems[at]);
        for path in live.iter().chain(kept) {
            assert!(store.is_valid(path), "{path}");
        }
        if service == Service::Hung {
            daemon.as_ref().unwrap().signal(Signal::SIGCONT);
        }
        store.verify();
    }
}

#[test]
fn without_a_ballast_a_disk_without_an_inode_is_healed_by_old_logs() {
    lab::must_be_root();
    let nix = lab::nix("bookworm");
    let dir = tempfile::tempdir().unwrap();
    let (store, live, _) = store(dir.path(), &nix, Kind::Tmpfs);
    let logs = store.root.join("nix/var/log/nix/drvs/ab");
    fs::create_dir_all(&logs).unwrap();
    for number in 0..40 {
        fs::write(logs.join(format!("{number:0>30}-old.drv.bz2")), "").unwrap();
    }
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(store.root.join(format!("nix/var/nix/db/db.sqlite{end}")));
    }
    store.fill_inodes();
    let layout = Layout::new(&store.root);
    assert_eq!(FileSystem::read(&layout).unwrap().files_free, 0);
    let policy = Policy {
        logs_older_than: Some(std::time::Duration::ZERO),
        trigger_files_percent: 0,
        target_files_percent: 2,
        ..policy(Mode::Act)
    };
    let (report, records) = heal(&store, &nix, &policy, Vec::new());
    assert_eq!(report.end, End::Reached);
    assert!(
        records
            .iter()
            .any(|record| record.reason == "remove_build_log")
    );
    for path in &live {
        assert!(store.is_valid(path), "{path}");
    }
    store.verify();
}
