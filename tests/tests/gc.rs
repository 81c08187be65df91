//! Emergency garbage collection on real stores, on real small file systems, through real Nix.
//!
//! Promise 1: "Snowguard never deletes a path that Nix holds alive, and never removes the booted,
//! running, current, boot-default or last known good generation, nor goes under K."
//! Promise 2: "It frees what it promised or says why not; it never starts a collection that
//! cannot help."
//! Promise 3: "It works on a disk with 0 bytes and 0 inodes free, without Prometheus, without
//! network, and after being killed at any point."
//! Promise 5: "In `observe` mode nothing on the host changes."

use std::{
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
    act::{ballast::Ballast, delete_paths::DeletePaths, remove_generation::RemoveGeneration},
    gc::{
        host::RealHost,
        policy::Policy,
        run::{End, Report, collect},
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
        ..Policy::default()
    }
}

fn host(store: &SmallStore, nix: &Nix, good: Vec<PathBuf>) -> RealHost {
    let layout = Layout::new(&store.root);
    RealHost {
        good,
        delete: DeletePaths {
            layout: layout.clone(),
            program: nix.bin().join("nix-store"),
            deadline: Duration::from_secs(60),
        },
        generations: RemoveGeneration {
            lock_deadline: Duration::from_secs(5),
        },
        ballast: Ballast::of(&layout, 16 << 20),
        begun: Instant::now(),
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

#[test]
fn a_disk_with_no_byte_free_is_healed_and_no_live_path_is_lost() {
    lab::must_be_root();
    for nix in lab::all_nix() {
        for kind in [Kind::Ext4, Kind::Tmpfs, Kind::Btrfs] {
            println!("== {} on {kind:?}", nix.release);
            let dir = tempfile::tempdir().unwrap();
            let (store, live, systems) = store(dir.path(), &nix, kind);
            let layout = Layout::new(&store.root);
            Ballast::of(&layout, 16 << 20).make().unwrap();
            store.fill_bytes();
            assert!(FileSystem::read(&layout).unwrap().avail_bytes < 1 << 20);
            let policy = Policy {
                target: Amount::Bytes(ByteSize(30 << 20)),
                ..policy(Mode::Act)
            };
            let (report, _) = heal(&store, &nix, &policy, Vec::new());
            assert_eq!(report.end, End::Reached);
            assert!(FileSystem::read(&layout).unwrap().avail_bytes >= 30 << 20);
            for path in live.iter().chain(&systems) {
                assert!(store.is_valid(path), "{path}");
            }
            assert_eq!(kept_generations(&store), (1..=8).collect::<Vec<_>>());
            store.verify();
        }
    }
}
