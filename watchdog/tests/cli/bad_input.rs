//! Bad input: each gives one clear message with path, cause and cure, and a documented exit code.
//!
//! Promise 8: "What cannot be read is reported, not assumed."

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::Command,
};

use rusqlite::Connection;

use crate::fixture::{Fixture, Ran};

const READS_THE_STORE: [&[&str]; 3] = [&["store"], &["store", "--dead"], &["plan", "gc"]];

fn has(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn a_root_that_is_not_there_is_no_host_on_which_nothing_happened() {
    for command in [
        "status",
        "store",
        "generations",
        "history",
        "release",
        "watch",
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_snowguard"));
        let ran = Ran::of(
            program
                .args(["--root", "/no/such", command])
                .output()
                .unwrap(),
        );
        assert_eq!(ran.code, 1);
        has(&ran.err, &["/no/such", "No such file", "--root"]);
        assert_eq!((ran.err.lines().count(), ran.out.as_str()), (1, ""));
    }
}

#[test]
fn a_directory_that_is_no_store_is_refused_by_its_missing_part() {
    let host = Fixture::new();
    fs::remove_dir_all(host.root().join("nix")).unwrap();
    for args in [&["store"][..], &["store", "--dead"]] {
        has(&host.run(args).message(1), &["host/nix/store", "--root"]);
    }
    let message = host.run(&["generations"]).message(1);
    has(&message, &["host/nix/var/nix/profiles", "--root"]);
}

#[test]
fn what_this_user_may_not_read_is_named_with_its_cure() {
    let host = Fixture::new();
    let database = host.root().join("nix/var/nix/db");
    fs::set_permissions(&database, Permissions::from_mode(0o700)).unwrap();
    let message = host.run_as_nobody(&["store"]).message(1);
    has(
        &message,
        &["nix/var/nix/db", "Permission denied", "run as root"],
    );

    let profiles = host.root().join("nix/var/nix/profiles");
    fs::set_permissions(&profiles, Permissions::from_mode(0o700)).unwrap();
    let message = host.run_as_nobody(&["generations"]).message(1);
    has(&message, &["nix/var/nix/profiles", "Permission denied"]);

    host.write("var/lib/snowguard/journal.jsonl", "");
    let state = host.root().join("var/lib/snowguard");
    fs::set_permissions(&state, Permissions::from_mode(0o700)).unwrap();
    let message = host.run_as_nobody(&["history"]).message(1);
    has(
        &message,
        &["journal.jsonl", "Permission denied", "run as root"],
    );
}

#[test]
fn a_database_that_is_none_of_nix_is_never_read_as_an_empty_store() {
    let host = Fixture::new();
    let database = host.database_path();
    let bad: [(&str, &dyn Fn()); 3] = [
        ("no table", &|| {
            fs::remove_file(&database).unwrap();
            let other = Connection::open(&database).unwrap();
            other.execute_batch("CREATE TABLE other (x)").unwrap();
        }),
        ("not a database", &|| {
            fs::write(&database, [7; 5000]).unwrap()
        }),
        ("the file is empty", &|| fs::write(&database, "").unwrap()),
    ];
    for (cause, spoil) in bad {
        spoil();
        for args in READS_THE_STORE {
            let message = host.run(args).message(1);
            has(&message, &["db.sqlite", cause, "nothing is deleted"]);
        }
    }
    fs::remove_file(&database).unwrap();
    for args in READS_THE_STORE {
        has(&host.run(args).message(1), &["db.sqlite", "--root"]);
    }
}

#[test]
fn a_configuration_with_anything_wrong_in_it_is_refused_as_a_whole() {
    let host = Fixture::new();
    for (text, parts) in [
        ("[gc]\ntriger = \"5%\"\n", &["triger", "trigger"][..]),
        ("[gc]\ntrigger = \"5 parsecs\"\n", &["5 parsecs"]),
        (
            "[gc]\ntrigger = \"20%\"\ntarget = \"10%\"\n",
            &["gc.trigger", "below", "gc.target"],
        ),
        // More than any disk, which only the host can tell.
        (
            "[gc]\ntrigger = \"9000TiB\"\n",
            &["gc.trigger", "8.7 PiB", "below"],
        ),
        // So is this.
        (
            "[gc]\nmode = \"act\"\nballast = \"9000TiB\"\n",
            &["gc.ballast", "a 5th", "\"0B\" for none"],
        ),
        ("[gc]\ndeadline = \"0s\"\n", &["gc.deadline", "at least 1s"]),
        ("[gc]\nmode = \"yolo\"\n", &["yolo", "observe"]),
        ("[exporter]\nlisten = 7\n", &["listen"]),
        (
            "[watchdog]\ninterval = \"1h\"\n",
            &["watchdog.interval", "2m"],
        ),
        ("= 3", &["TOML"]),
    ] {
        let config = host.beside("snowguard.toml", text);
        let message = host.run(&["--config", &config, "check-config"]).message(2);
        has(&message, &["cannot use the configuration"]);
        has(&message, parts);
    }
    let missing = host
        .run(&["check-config", "--config", "/no/such.toml"])
        .message(2);
    has(&missing, &["/no/such.toml", "No such file"]);
    let config = host.beside("snowguard.toml", "[gc]\ntriger = 1\n");
    for command in [&["status"][..], &["plan", "gc"], &["history"]] {
        let args = [command, &["--config", config.as_str()]].concat();
        has(&host.run(&args).message(2), &[&config, "triger"]);
    }
    let ran = host.run(&["watch", "--config", &config]);
    assert_eq!(ran.code, 2);
    has(&ran.err, &["level=ERROR", "triger"]);
}

#[test]
fn a_rule_that_cannot_be_used_is_refused_by_name() {
    let host = Fixture::new();
    let config = host.beside(
        "snowguard.toml",
        "[rules]\nfiles = [\"/etc/x.rules.yaml\"]\n",
    );
    let rule = |expr: &str, labels: &str| {
        format!("groups:\n- name: g\n  rules:\n  - alert: Named\n    expr: {expr}\n{labels}")
    };
    for (text, parts) in [
        ("{ this is: [not".to_owned(), &["x.rules.yaml"][..]),
        (rule("frobnicate(x) > 1", ""), &["Named", "frobnicate"]),
        (
            rule("x > 1", "    labels: {remedy: reboot}\n"),
            &["Named", "reboot"],
        ),
    ] {
        host.write("etc/x.rules.yaml", &text);
        has(
            &host.run(&["--config", &config, "check-config"]).message(2),
            parts,
        );
    }
    host.write(
        "etc/x.rules.yaml",
        &rule("x > 1", "    labels: {remedy: gc}\n"),
    );
    let text = host.run(&["--config", &config, "check-config"]).clean();
    has(
        &text,
        &["OK: ", "1 alert, 1 of them ask for a remedy", "gc.trigger"],
    );
}

#[test]
fn a_command_line_that_says_nothing_clear_is_refused() {
    let host = Fixture::new();
    for args in [
        &["frob"][..],
        &[],
        &["plan", "gc", "--free", "20"],
        &["store", "--dead", "--frob"],
    ] {
        let ran = host.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}");
    }
    let help = host.run(&["--help"]).clean();
    has(&help, &["Exit codes:", "3  refused", "check-config"]);
}

#[test]
fn a_state_that_the_watchdog_did_not_write_is_no_beginning() {
    let host = Fixture::new();
    host.write("var/lib/snowguard/rollback.json", "{}");
    for args in [&["plan", "gc", "--free", "1KiB"][..], &["release"]] {
        has(&host.run(args).message(1), &["rollback.json", "begin anew"]);
    }
}

#[test]
fn a_log_without_its_index_is_no_old_store_to_a_user_who_cannot_rebuild_it() {
    let host = Fixture::new();
    let (database, wal) = (host.database_path(), host.root().join("wal"));
    let beside = database.with_file_name("db.sqlite-wal");
    {
        let writer = Connection::open(&database).unwrap();
        writer.pragma_update(None, "journal_mode", "wal").unwrap();
        writer.execute_batch("CREATE TABLE later (x)").unwrap();
        // As after a crash: what the last connection would clean up when it closes is put back.
        fs::copy(&beside, &wal).unwrap();
    }
    // Makes nobody's copy of the program, which takes a while.
    let _ = host.run_as_nobody(&["--version"]);
    // Only a log that was written a moment ago is left to SQLite.
    fs::write(&beside, fs::read(wal).unwrap()).unwrap();
    let message = host.run_as_nobody(&["store"]).message(1);
    has(&message, &["db.sqlite", "write-ahead log", "as root"]);
}

#[test]
fn a_database_that_somebody_holds_is_busy_and_not_broken() {
    let host = Fixture::new();
    let writer = Connection::open(host.database_path()).unwrap();
    writer.pragma_update(None, "journal_mode", "wal").unwrap();
    writer
        .pragma_update(None, "locking_mode", "exclusive")
        .unwrap();
    writer.execute_batch("CREATE TABLE later (x)").unwrap();
    let message = host.run(&["store"]).message(1);
    has(&message, &["db.sqlite", "locked", "holds the database"]);
}
