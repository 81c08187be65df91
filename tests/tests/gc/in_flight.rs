//! Builds and substitutions that go on while garbage is collected, and what builds left that were
//! killed.
//!
//! Promise 1: "Snowguard never deletes a path that Nix holds alive".

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use snowguard_exporter::units::{Amount, ByteSize};
use snowguard_host::{Ages, BuildUsers, Layout, LeftOvers, Locks, NixConf, store::FileSystem};
use snowguard_tests::{
    build_host::BuildHost,
    lab::{self, Running},
    slow_cache::SlowCache,
    wait::until,
};
use snowguard_watchdog::{
    gc::{policy::Policy, run::End},
    record::{Mode, Step},
};

use super::{heal, policy};

fn layout(host: &BuildHost) -> Layout {
    Layout::new(&host.store.root)
}

/// A policy that asks for so many KiB more than there are, and of which age counts for nothing.
fn asks_for(host: &BuildHost, kib: u64) -> Policy {
    let free = FileSystem::read(&layout(host)).unwrap().avail_bytes;
    Policy {
        trigger: Amount::Bytes(ByteSize(free)),
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
        // Before the cache is busy: it is asked first whether it has what is to be built.
        let directory = host.directory_of("slow");
        let mut substitution = host.realise(&wanted);
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

/// The worker of Nix that builds a derivation.
fn worker(host: &BuildHost, derivation: &str) -> Pid {
    let layout = layout(host);
    let conf = NixConf::read(&layout).unwrap();
    until("its worker is seen", || {
        let users = BuildUsers::read(&layout, &conf, &Locks::read(&layout).unwrap()).unwrap();
        let builds = users.builds.unwrap().active;
        let build = builds.iter().find(|build| build.derivation == derivation)?;
        Some(Pid::from_raw(i32::try_from(build.pid).unwrap()))
    })
}

/// Processes whose working directory is in one of this name. Seen from here the path to it is that
/// within its own mount.
fn inside(directory: &Path) -> Vec<Pid> {
    let is_inside = |pid: &Pid| {
        let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        cwd.iter().any(|part| Some(part) == directory.file_name())
    };
    let pids = fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .filter(is_inside)
        .collect()
}

/// What builds left, however young, but for their logs.
fn left(host: &BuildHost) -> Vec<PathBuf> {
    let ages = Ages {
        build_directories: Some(Duration::ZERO),
        logs: None,
    };
    let left = LeftOvers::read(&layout(host), ages, SystemTime::now());
    assert_eq!(left.unreadable.len(), 0, "{:?}", left.unreadable);
    left.found.into_iter().map(|found| found.path).collect()
}

/// Kills a build so that nothing of it is left but its directory: the worker, which would remove
/// that, and then its builders. Some Nix let the kernel kill those with the worker, some do not.
fn kill_build(host: &BuildHost, derivation: &str, directory: &Path) {
    let worker = worker(host, derivation);
    until("its builder works in its directory", || {
        (!inside(directory).is_empty()).then_some(())
    });
    kill(worker, Signal::SIGKILL).unwrap();
    until("worker and builders are gone", || {
        let builders = inside(directory);
        for builder in &builders {
            // It may have gone in this moment.
            let _ = kill(*builder, Signal::SIGKILL);
        }
        (builders.is_empty() && kill(worker, None) == Err(Errno::ESRCH)).then_some(())
    });
}

#[test]
fn the_directory_of_a_killed_build_goes_and_that_of_a_running_one_stays() {
    for nix in lab::all_nix() {
        println!("== {}", nix.release);
        let host = BuildHost::new(&nix, 100, "substitute = false");
        let (killed, running) = (host.gated("killed"), host.gated("running"));
        let _daemon = host.daemon();
        let mut its_client = host.realise(&killed);
        let mut client = host.realise(&running);
        let directories = [host.directory_of("killed"), host.directory_of("running")];
        assert_eq!(left(&host), Vec::<PathBuf>::new(), "both run");

        kill_build(&host, &killed, &directories[0]);
        let status = until("its client ends", || its_client.0.try_wait().unwrap());
        assert!(!status.success());
        // Whoever is in it by now, as who looks why the build failed, keeps it.
        let mut command = Command::new("sleep");
        let somebody = Running::start(command.arg("600").current_dir(&directories[0]));
        until("somebody is in it", || {
            (!inside(&directories[0]).is_empty()).then_some(())
        });
        assert_eq!(left(&host), Vec::<PathBuf>::new());
        drop(somebody);
        until("it is nobody's", || {
            (left(&host) == [directories[0].clone()]).then_some(())
        });

        // The derivation is dead now, and for it Nix drops its reserve of 8 MiB.
        let (report, records) = heal(&host.store, &nix, &asks_for(&host, 8704), Vec::new());
        assert_eq!(report.end, End::Reached, "{records:?}");
        let mut acts = records.iter().filter(|record| record.step == Step::Act);
        assert!(acts.any(|record| record.reason == "remove_build_directory"));
        assert!(!directories[0].exists() && directories[1].exists());
        host.let_go("running");
        succeeds(&mut client);
        host.store.verify();
    }
}
