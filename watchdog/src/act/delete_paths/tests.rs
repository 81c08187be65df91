//! With a script in the place of `nix-store`.

use std::{
    ffi::OsString,
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use snowguard_host::{FactError, Layout};
use tempfile::TempDir;

use super::{DeletePaths, Deleted, Stop, program::TAIL};

struct Lab {
    root: TempDir,
}

impl Lab {
    /// The script is written by another process: a thread that forks while this one still has it
    /// open for writing would make it "busy" for whoever runs it.
    fn new(script: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod 755 \"$2\"";
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", write, "sh", script])
            .arg(root.path().join("nix-store"));
        assert!(shell.status().unwrap().success());
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn verb(&self, deadline: Duration) -> DeletePaths {
        let layout = Layout::new(self.root.path());
        DeletePaths::new(&layout, self.path("nix-store"), deadline, Stop::new())
    }

    fn delete(&self, deadline: Duration) -> Result<Deleted, FactError> {
        self.verb(deadline).run(&entries(), &mut || {})
    }

    /// What the script has written beside itself, line by line.
    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn entries() -> Vec<OsString> {
    ["aaa-one", "bbb-two"].map(OsString::from).to_vec()
}

const LONG: Duration = Duration::from_secs(60);
const WRITE_ARGS: &str = "printf '%s\\n' \"$@\" > \"${0%/*}/args\"";

#[test]
fn nix_is_asked_for_exactly_these_paths_of_this_store() {
    let lab = Lab::new(WRITE_ARGS);
    lab.delete(LONG).unwrap();
    let root = lab.root.path().to_str().unwrap();
    let paths = ["/nix/store/aaa-one", "/nix/store/bbb-two"];
    assert_eq!(
        lab.lines("args"),
        [
            "--delete",
            "--store",
            root,
            "--option",
            "gc-reserved-space",
            "0",
            paths[0],
            paths[1]
        ]
    );
}

#[test]
fn the_store_of_the_live_host_is_opened_itself_whatever_the_environment_says() {
    let layout = Layout::new("/");
    let verb = DeletePaths::new(&layout, "nix-store".into(), LONG, Stop::new());
    assert_eq!(verb.store(), ["--store", "local"]);
}

#[test]
fn nix_sees_the_configuration_of_its_host_and_nothing_of_our_environment() {
    let lab = Lab::new("env > \"${0%/*}/env\"");
    let spare = lab.path("run/snowguard");
    fs::create_dir_all(&spare).unwrap();
    lab.delete(LONG).unwrap();
    let env = lab.lines("env");
    let conf = format!("NIX_CONF_DIR={}", lab.path("etc/nix").display());
    assert!(env.contains(&conf), "{env:?}");
    // On a disk that is full, not even what Nix writes by the way may need it.
    for name in ["SQLITE_TMPDIR", "TMPDIR", "HOME"] {
        let line = format!("{name}={}", spare.display());
        assert!(env.contains(&line), "{line} not in {env:?}");
    }
    // The shell adds PWD, SHLVL and _ by itself.
    let known = [
        "PATH",
        "HOME",
        "NIX_CONF_DIR",
        "SQLITE_TMPDIR",
        "TMPDIR",
        "XDG_CACHE_HOME",
        "XDG_STATE_HOME",
        "PWD",
        "SHLVL",
        "_",
        "OLDPWD",
    ];
    for line in env {
        let name = line.split('=').next().unwrap();
        assert!(known.contains(&name), "{line}");
    }
}

#[test]
fn what_nix_says_last_is_in_the_error_and_no_more_than_that() {
    let script = "i=0; while [ $i -lt 300 ]; do echo 'deleting something' >&2; i=$((i+1)); done
        echo \"error: Cannot delete path 'x' since it is still alive\" >&2; exit 1";
    let error = Lab::new(script).delete(LONG).unwrap_err();
    assert!(error.cause.ends_with("since it is still alive"), "{error}");
    assert!(error.cause.len() <= TAIL, "{} bytes", error.cause.len());
    assert_eq!(error.attempt, "delete dead paths");
}

#[test]
fn a_call_that_dies_without_a_word_has_its_status_for_a_cause() {
    for (script, status) in [
        ("kill -9 $$", "signal: 9"),
        ("exit 7", "exit status: 7"),
        (
            "echo \"path '/nix/store/aaa-one' is still alive\" >&2; kill -9 $$",
            "still alive",
        ),
    ] {
        let error = Lab::new(script).delete(LONG).unwrap_err();
        assert!(error.cause.contains(status), "{error}");
        assert!(error.cause.contains("nix-store"), "{error}");
    }
}

#[test]
fn a_call_that_takes_too_long_is_asked_to_end_and_reported() {
    let lab = Lab::new("echo waiting >&2; exec sleep 600");
    let error = lab.delete(Duration::from_millis(300)).unwrap_err();
    assert!(
        error
            .cause
            .starts_with("it was not done in time: signal: 15"),
        "{error}"
    );
}

#[test]
fn a_call_that_does_not_heed_being_asked_is_killed() {
    let script = "trap '' TERM; echo deaf >&2; while :; do sleep 1; done";
    let error = Lab::new(script)
        .delete(Duration::from_millis(300))
        .unwrap_err();
    assert!(
        error
            .cause
            .starts_with("it was not done in time: signal: 9"),
        "{error}"
    );
    assert!(error.cause.contains("deaf"), "{error}");
}

#[test]
fn a_call_that_nothing_ends_is_left_behind_with_its_name() {
    let begun = Instant::now();
    let lab = Lab::new("exec sleep 120");
    let mut verb = lab.verb(Duration::from_millis(300));
    // As for a process that hangs in the kernel.
    verb.signal = |_, _| {};
    let error = verb.run(&entries(), &mut || {}).unwrap_err();
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
    let words: Vec<&str> = error.cause.split(' ').collect();
    let at = words.iter().position(|word| *word == "process").unwrap();
    let pid = words[at + 1].parse().unwrap();
    killpg(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

#[test]
fn a_call_has_no_more_time_than_the_collection_has_left() {
    let begun = Instant::now();
    let lab = Lab::new("exec sleep 600");
    let mut verb = lab.verb(LONG * 10);
    verb.ends = Some(begun + Duration::from_millis(300));
    let error = verb.run(&entries(), &mut || {}).unwrap_err();
    assert!(error.cause.contains("not done in time"), "{error}");
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
}

#[test]
fn whoever_holds_what_nix_writes_to_after_its_end_is_not_waited_for() {
    let begun = Instant::now();
    let script = "setsid sleep 60 & echo said >&2; exit 1";
    let error = Lab::new(script).delete(LONG).unwrap_err();
    assert_eq!(error.cause, "said");
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
}

#[test]
fn a_call_that_is_to_stop_is_asked_to_end_at_once() {
    let lab = Lab::new("exec sleep 600");
    let mut verb = lab.verb(LONG);
    verb.stop.ask();
    let error = verb.run(&entries(), &mut || {}).unwrap_err();
    assert!(error.cause.contains("asked to stop"), "{error}");
}

#[test]
fn a_path_that_nix_refuses_costs_no_other_path_its_deletion() {
    let script = "case \"$*\" in *aaa-one*)
            echo \"error: Cannot delete path '/nix/store/aaa-one' since it is still alive.\" >&2
            exit 1;; esac
        printf '%s\\n' \"$@\" > \"${0%/*}/args\"";
    let lab = Lab::new(script);
    let deleted = lab.delete(LONG).unwrap();
    assert_eq!(deleted.refused, ["aaa-one"]);
    assert_eq!(lab.lines("args").last().unwrap(), "/nix/store/bbb-two");
    assert!(!lab.lines("args").contains(&"/nix/store/aaa-one".to_owned()));
}

#[test]
fn what_nix_was_not_asked_for_without_too_many_that_are_alive_is_told_as_left() {
    // Whatever comes first is alive.
    let script = "for path; do case $path in /nix/store/*) break;; esac; done
        echo \"error: Cannot delete path '$path' since it is still alive.\" >&2; exit 1";
    let lab = Lab::new(script);
    let entries: Vec<OsString> = (0..9).map(|n| format!("aaa-{n}").into()).collect();
    fs::create_dir_all(lab.path("nix/store")).unwrap();
    // One of them is gone by another's hand.
    for entry in entries.iter().skip(1) {
        fs::write(lab.path("nix/store").join(entry), "").unwrap();
    }
    fs::remove_file(lab.path("nix/store/aaa-8")).unwrap();
    let deleted = lab.verb(LONG).run(&entries, &mut || {}).unwrap();
    assert_eq!(deleted.refused.len(), 5);
    assert_eq!(deleted.left, 3);
}

#[test]
fn a_program_that_is_not_there_is_named_with_its_path() {
    let lab = Lab::new("");
    fs::remove_file(lab.path("nix-store")).unwrap();
    let error = lab.delete(LONG).unwrap_err();
    let program = lab.path("nix-store").display().to_string();
    assert!(error.cause.contains(&program), "{error}");
}

#[test]
fn a_socket_that_nobody_listens_at_is_told_once_and_nix_opens_the_store_itself() {
    let lab = Lab::new(WRITE_ARGS);
    let socket = lab.path("nix/var/nix/daemon-socket/socket");
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let mut verb = lab.verb(LONG);
    let note = verb.run(&entries(), &mut || {}).unwrap().note.unwrap();
    assert!(note.contains("does not answer"), "{note}");
    assert!(lab.lines("args").contains(&"/nix/store/aaa-one".to_owned()));
    assert_eq!(verb.run(&entries(), &mut || {}).unwrap().note, None);
}
