//! What deleting the dead frees, on the page of the real program.
//!
//! Promise 8: "What cannot be read is reported, not assumed."

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    thread,
    time::{Duration, SystemTime},
};

use snowguard_exporter::{sample::Family, state_file::StateFile};

use crate::{
    host::{Host, name, write},
    run::{Running, command, once, stderr, stdout, unprivileged, with_host},
};

/// The value of a sample without labels.
fn value(page: &str, name: &str) -> Option<f64> {
    let line = page
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")))?;
    Some(line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

/// A host with a dead path of 64 KiB, and a file of 64 KiB more in a directory within it.
fn host() -> Host {
    let host = Host::new();
    let dead = host.root().join("nix/store").join(name('4', "dead"));
    for file in [dead.join("file"), dead.join("closed/file")] {
        write(&file, &"x".repeat(64 * 1024));
        fs::File::open(&file).unwrap().sync_all().unwrap();
    }
    host
}

#[test]
fn one_collection_of_the_program_weighs_the_dead() {
    let page = stdout(&once(&host()));
    // A directory, one in it, their two files, and the stray lock.
    assert_eq!(value(&page, "nix_store_reclaimable_files"), Some(5.0));
    assert!(value(&page, "nix_store_reclaimable_bytes").unwrap() >= 131_072.0);
    assert_eq!(value(&page, "nix_store_reclaimable_complete"), Some(1.0));
}

#[test]
fn a_directory_that_nobody_may_read_is_named_and_the_rest_is_a_lower_bound() {
    let host = host();
    let store = host.root().join("nix/store");
    let file = store.join(name('6', "dead-too"));
    let closed = store.join(name('4', "dead")).join("closed");
    fs::write(&file, vec![1; 8192]).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    let output = with_host(unprivileged(), &host).arg("--once").output();
    fs::set_permissions(&closed, Permissions::from_mode(0o755)).unwrap();
    let output = output.unwrap();
    let page = stdout(&output);
    assert_eq!(value(&page, "nix_store_reclaimable_complete"), Some(0.0));
    // The other entries.
    assert_eq!(value(&page, "nix_store_reclaimable_files"), Some(2.0));
    let log = stderr(&output);
    assert!(
        log.contains("not all that is dead can be measured"),
        "{log}"
    );
    assert!(
        log.contains("closed") && log.contains("Permission denied"),
        "{log}"
    );
}

#[test]
fn the_server_answers_without_the_figure_and_then_with_it() {
    let host = host();
    let running = Running::start(&host, None);
    let page = || running.request("GET", "/metrics", "");
    let first = page();
    assert_eq!(value(&first, "nix_store_paths"), Some(4.0));
    assert_eq!(
        value(&first, "nix_store_reclaimable_files"),
        None,
        "not zero"
    );
    let page = (0..6000).find_map(|_| {
        thread::sleep(Duration::from_millis(10));
        let page = page();
        value(&page, "nix_store_reclaimable_files").map(|files| (files, page))
    });
    let (files, page) = page.unwrap();
    assert_eq!(files, 5.0);
    let at = value(&page, "nix_store_reclaimable_timestamp_seconds").unwrap();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!(at <= now && now - at < 60.0, "{at} {now}");
}

#[test]
fn where_weighing_is_switched_off_nothing_is_said() {
    let host = host();
    let config = host.dir.path().join("snowguard.toml");
    write(&config, "[exporter]\nweigh_share = '0%'\n");
    let mut command = with_host(command(), &host);
    let page = stdout(
        &command
            .arg("--once")
            .arg("--config")
            .arg(&config)
            .output()
            .unwrap(),
    );
    assert_eq!(value(&page, "nix_store_paths"), Some(4.0));
    assert_eq!(value(&page, "nix_store_reclaimable_bytes"), None);
}

#[test]
fn what_the_watchdog_weighed_takes_the_place_of_an_own_walk() {
    let host = host();
    let path = host.root().join("run/snowguard/state.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let state = StateFile {
        written_at: SystemTime::now(),
        tick: Duration::from_secs(15),
        families: vec![Family::gauge("nix_store_reclaimable_bytes", "as root", 7.0)],
    };
    state.write_atomically(&path).unwrap();
    let page = stdout(&once(&host));
    assert_eq!(value(&page, "nix_store_reclaimable_bytes"), Some(7.0));
    assert_eq!(
        value(&page, "nix_store_reclaimable_files"),
        None,
        "nothing was walked"
    );
}
