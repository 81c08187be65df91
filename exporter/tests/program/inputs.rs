//! Bad input: one clear message with path, cause and cure, and a documented exit code; what can
//! be read is still published. "What cannot be read is reported, not assumed."

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    process::Output,
};

use crate::{
    host::{Host, write},
    run::{command, once, stderr, stdout, unprivileged, with_host},
};

fn success(output: &Output, collector: &str) -> bool {
    let page = stdout(output);
    let line = |value| {
        format!("snowguard_scrape_collector_success{{collector=\"{collector}\"}} {value}\n")
    };
    assert!(page.contains(&line(0)) || page.contains(&line(1)), "{page}");
    page.contains(&line(1))
}

/// The store's facts are absent, the message names the path, the rest is published.
fn only_the_store_fails(output: &Output, path: &str, cause: &str) {
    assert_eq!(output.status.code(), Some(1));
    assert!(!success(output, "store"));
    assert!(!stdout(output).contains("\nnix_store_paths "));
    assert!(success(output, "generations"));
    let log = stderr(output);
    let line = log
        .lines()
        .find(|line| line.contains("collector=store"))
        .unwrap();
    assert!(line.contains(path) && line.contains(cause), "{line}");
}

#[test]
fn a_root_without_a_store_is_named_with_the_cure() {
    let empty = tempfile::tempdir().unwrap();
    let output = command()
        .arg("--once")
        .arg("--root")
        .arg(empty.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!success(&output, "filesystem"));
    let log = stderr(&output);
    assert!(log.contains("nix/var/nix/db/db.sqlite"), "{log}");
    assert!(log.contains("--root"), "{log}");
    assert!(!stdout(&output).contains("\nnix_store_paths"));
}

#[test]
fn a_database_without_tables_or_that_is_none_is_called_that() {
    let host = Host::new();
    fs::remove_file(host.database()).unwrap();
    rusqlite::Connection::open(host.database())
        .unwrap()
        .execute_batch("CREATE TABLE x (y)")
        .unwrap();
    only_the_store_fails(&once(&host), "db.sqlite", "has no table ValidPaths");
    fs::write(host.database(), "garbage ".repeat(1000)).unwrap();
    only_the_store_fails(&once(&host), "db.sqlite", "not a database");
    fs::write(host.database(), "").unwrap();
    only_the_store_fails(&once(&host), "db.sqlite", "the file is empty");
}

#[test]
fn a_state_directory_that_may_not_be_read_is_an_error_and_not_a_zero() {
    let host = Host::new();
    let db = host.root().join("nix/var/nix/db");
    fs::set_permissions(&db, Permissions::from_mode(0o700)).unwrap();
    // An owner without privilege is kept out by the mode alone.
    if !nix::unistd::geteuid().is_root() {
        fs::set_permissions(&db, Permissions::from_mode(0o000)).unwrap();
    }
    let output = with_host(unprivileged(), &host)
        .arg("--once")
        .output()
        .unwrap();
    fs::set_permissions(&db, Permissions::from_mode(0o755)).unwrap();
    only_the_store_fails(&output, "db.sqlite", "Permission denied");
}

#[test]
fn an_unprivileged_reader_says_that_its_dead_set_is_an_upper_bound() {
    let host = Host::new();
    let environ = host.proc_dir().join("77/environ");
    write(&environ, "PATH=/nix/store");
    fs::set_permissions(&environ, Permissions::from_mode(0o000)).unwrap();
    let output = with_host(unprivileged(), &host)
        .arg("--once")
        .output()
        .unwrap();
    let page = stdout(&output);
    assert!(page.contains("\nnix_store_dead_complete 0\n"), "{page}");
    assert!(page.contains("\nnix_gc_roots_unreadable 1\n"), "{page}");
    assert!(success(&output, "store"));
    assert!(stderr(&output).contains("not all GC roots can be read"));
}

#[test]
fn a_profile_that_dangles_is_counted_and_breaks_nothing() {
    let host = Host::new();
    fs::remove_dir_all(
        host.root()
            .join("nix/store")
            .join(crate::host::name('3', "library")),
    )
    .unwrap();
    let output = once(&host);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output)
            .contains("\nnix_profile_generations{profile=\"per-user/root/profile\"} 1\n")
    );
}

#[test]
fn a_host_without_a_system_profile_claims_nothing_about_nixos() {
    let host = Host::new();
    let profiles = host.root().join("nix/var/nix/profiles");
    for link in ["system", "system-3-link", "system-4-link"] {
        fs::remove_file(profiles.join(link)).unwrap();
    }
    let output = once(&host);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!stdout(&output).contains("\nnixos_"));
}

#[test]
fn a_system_profile_that_may_not_be_read_is_not_taken_for_a_host_without_one() {
    let host = Host::new();
    let store = host.root().join("nix/store");
    fs::set_permissions(&store, Permissions::from_mode(0o600)).unwrap();
    let output = with_host(unprivileged(), &host)
        .arg("--once")
        .output()
        .unwrap();
    fs::set_permissions(&store, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!success(&output, "system"));
    let log = stderr(&output);
    let line = log
        .lines()
        .find(|l| l.contains("collector=system"))
        .unwrap();
    assert!(
        line.contains("nix/store/") && line.contains("Permission denied"),
        "{line}"
    );
}

#[test]
fn a_host_without_build_users_is_told_how_to_get_them() {
    let host = Host::new();
    fs::write(host.root().join("etc/group"), "root:x:0:\n").unwrap();
    let output = once(&host);
    assert_eq!(output.status.code(), Some(1));
    assert!(!success(&output, "build_users"));
    assert!(success(&output, "store"));
    let log = stderr(&output);
    assert!(log.contains("etc/group") && log.contains("nixbld"), "{log}");
}

#[test]
fn a_configuration_that_is_not_valid_ends_with_2_and_names_file_and_line() {
    let host = Host::new();
    let path = host.dir.path().join("snowguard.toml");
    let cases = [
        ("[exporter]\nlistne = ':1'\n", "unknown field `listne`"),
        ("[exporter]\nlisten = '7669'\n", "write ADDRESS:PORT"),
        ("[gc]\n[exporter\n", "line 2"),
    ];
    for (text, cause) in cases {
        write(&path, text);
        for arguments in [&["--check-config"][..], &["--once"], &[]] {
            let output = with_host(command(), &host)
                .arg("--config")
                .arg(&path)
                .args(arguments)
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(2));
            assert_eq!(stdout(&output), "");
            let log = stderr(&output);
            let names_all = log.contains("snowguard.toml") && log.contains("line 2");
            assert!(names_all && log.contains(cause), "{log}");
        }
    }
}

#[test]
fn a_configuration_that_is_named_must_be_there() {
    let output = command()
        .args(["--config", "/nonexistent.toml", "--check-config"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/nonexistent.toml"));
}

#[test]
fn a_good_configuration_is_called_valid() {
    let host = Host::new();
    let path = host.dir.path().join("snowguard.toml");
    write(
        &path,
        "[exporter]\nlisten = '127.0.0.1:7669'\n[gc]\nmode = 'observe'\n",
    );
    let output = command()
        .arg("--check-config")
        .arg("--config")
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), "the configuration is valid\n");
}

#[test]
fn a_command_line_that_is_not_valid_ends_with_2() {
    for arguments in [
        &["--no-such-option"][..],
        &["--web.listen-address", "nowhere"],
    ] {
        let output = command().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn logs_are_one_object_a_line_in_json() {
    let empty = tempfile::tempdir().unwrap();
    let output = command()
        .args(["--once", "--log.format", "json", "--root"])
        .arg(empty.path())
        .output()
        .unwrap();
    for line in stderr(&output).lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            object["level"].is_string() && object["message"].is_string(),
            "{line}"
        );
    }
}
