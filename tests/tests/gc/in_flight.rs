//! Builds and substitutions that go on while garbage is collected.
//!
//! Promise 1: "Snowguard never deletes a path that Nix holds alive".

use std::{fs, time::Duration};

use snowguard_exporter::units::{Amount, ByteSize};
use snowguard_host::{Layout, store::FileSystem};
use snowguard_tests::{
    build_host::BuildHost,
    lab::{self, Running},
    slow_cache::SlowCache,
    wait::until,
};
use snowguard_watchdog::{
    gc::{policy::Policy, run::End},
    record::Mode,
};

use super::{heal, policy};

fn layout(host: &BuildHost) -> Layout {
    Layout::new(&host.store.root)
}

/// A policy that asks for so many KiB more than there are, and of which age counts for nothing.
fn asks_for(host: &BuildHost, kib: u64) -> Policy {
    let free = FileSystem::read(&layout(host)).unwrap().avail_bytes;
    Policy {
        target: Amount::Bytes(ByteSize(free + (kib << 10))),
        target_files_percent: 0,
        trigger_files_percent: 0,
        build_dirs_older_than: Some(Duration::ZERO),
        minimum_gain_percent: 1,
        ..policy(Mode::Act)
    }
}

fn succeeds(client: &mut Running) {
    let status = until("the client ends", || client.0.try_wait().unwrap());
    assert!(status.success(), "{status}");
}

#[test]
fn builds_and_substitutions_in_flight_end_well_while_garbage_is_collected() {
    for nix in lab::all_nix() {
        println!("== {}", nix.release);
        let host = BuildHost::new(&nix, 200, "");
        let wanted = host.store.add("wanted", 2048);
        let cache = tempfile::tempdir().unwrap();
        let url = format!("file://{}?compression=none", cache.path().display());
        let root = host.store.root.to_str().unwrap();
        nix.run(
            "nix",
            &host.store.home,
            &["copy", "--store", root, "--to", &url, &wanted],
        );
        host.store.store(&["--delete", &wanted]);
        let cache = SlowCache::serve(cache.path().to_owned());
        let substituters = format!("substituters = {}\n", cache.url);
        for etc in [
            host.path("etc/nix/nix.conf"),
            host.store.home.join("etc/nix/nix.conf"),
        ] {
            let conf = fs::read_to_string(&etc).unwrap();
            fs::write(&etc, conf + &substituters).unwrap();
        }
        for number in 0..30 {
            host.store.add(&format!("dead-{number}"), 1024);
        }
        let derivation = host.gated("slow");
        let _daemon = host.daemon();
        let mut build = host.realise(&derivation);
        let mut substitution = host.realise(&wanted);
        let directory = host.directory_of("slow");
        cache.half_given();

        let (report, records) = heal(&host.store, &nix, &asks_for(&host, 25 << 10), Vec::new());
        assert_eq!(report.end, End::Reached, "{records:?}");
        assert!(directory.exists(), "{directory:?}");
        host.let_go("slow");
        cache.let_go();
        succeeds(&mut build);
        succeeds(&mut substitution);
        assert!(host.store.is_valid(&wanted));
        host.store.verify();
    }
}
