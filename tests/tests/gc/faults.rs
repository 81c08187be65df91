//! A full disk, with every Nix, on every file system, however the daemon is. Nine runs in which
//! each Nix meets each file system, not every other pair; `SNOWGUARD_MATRIX=all` runs the product.
//!
//! Promise 3: "It works on a disk with 0 bytes and 0 inodes free, without Prometheus, without
//! network, and after being killed at any point."

use std::fs;

use nix::sys::signal::Signal;
use snowguard_exporter::units::{Amount, ByteSize};
use snowguard_host::{Layout, store::FileSystem};
use snowguard_tests::{
    lab::{self, Nix},
    nix_daemon::NixDaemon,
    small_store::Kind,
};
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

/// Each Nix on each file system, with the other factors spread over the nine. As btrfs has no
/// inodes to run out of, and the log has two states of three, not all their pairs meet.
fn runs() -> Vec<(Nix, Kind, Full, Service, Wal)> {
    let releases = lab::all_nix();
    let all = std::env::var("SNOWGUARD_MATRIX").is_ok_and(|asked| asked == "all");
    let mut runs = Vec::new();
    for a in 0..3 {
        for b in 0..3 {
            if all {
                for full in FULL {
                    for service in SERVICE {
                        for wal in WAL {
                            runs.push((releases[a].clone(), KINDS[b], full, service, wal));
                        }
                    }
                }
            } else {
                let (c, d) = ((a + b) % 3, (a + 2 * b) % 3);
                let wal = WAL[(a + b) % 2];
                runs.push((releases[a].clone(), KINDS[b], FULL[c], SERVICE[d], wal));
            }
        }
    }
    // btrfs makes inodes as it needs them.
    runs.retain(|(_, kind, full, ..)| *kind != Kind::Btrfs || *full == Full::Bytes || !all);
    for run in &mut runs {
        if run.1 == Kind::Btrfs {
            run.2 = Full::Bytes;
        }
    }
    runs
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
    for (nix, kind, full, service, wal) in runs() {
        if kind != asked {
            continue;
        }
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
