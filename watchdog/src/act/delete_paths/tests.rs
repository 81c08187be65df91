//! With a script in the place of `nix-store`.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use snowguard_host::{FactError, Layout};
use tempfile::TempDir;

use super::{DeletePaths, TAIL};

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

    fn delete_in(&self, root: &Path, deadline: Duration) -> Result<(), FactError> {
        let verb = DeletePaths {
            layout: Layout::new(root),
            program: self.path("nix-store"),
            deadline,
        };
        verb.run(&["aaa-one", "bbb-two"].map(OsString::from))
    }

    fn delete(&self, deadline: Duration) -> Result<(), FactError> {
        self.delete_in(self.root.path(), deadline)
    }

    /// What the script has written beside itself, line by line.
    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap();
        text.lines().map(str::to_owned).collect()
    }
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
        ["--delete", "--store", root, paths[0], paths[1]]
    );
}

#[test]
fn on_the_live_host_nix_is_asked_through_its_daemon_if_there_is_one() {
    let lab = Lab::new(WRITE_ARGS);
    lab.delete_in(Path::new("/"), LONG).unwrap();
    let mut expected = vec!["--delete"];
    if Path::new("/nix/var/nix/daemon-socket/socket").exists() {
        expected.extend(["--store", "daemon"]);
    }
    expected.extend(["/nix/store/aaa-one", "/nix/store/bbb-two"]);
    assert_eq!(lab.lines("args"), expected);
}

#[test]
fn nix_sees_the_configuration_of_its_host_and_nothing_of_our_environment() {
    let lab = Lab::new("env > \"${0%/*}/env\"");
    lab.delete(LONG).unwrap();
    let env = lab.lines("env");
    let conf = format!("NIX_CONF_DIR={}", lab.path("etc/nix").display());
    assert!(env.contains(&conf), "{env:?}");
    assert!(
        env.iter().any(|line| line == "SQLITE_TMPDIR=/run"),
        "{env:?}"
    );
    // The shell adds PWD, SHLVL and _ by itself.
    let known = [
        "PATH",
        "HOME",
        "NIX_CONF_DIR",
        "SQLITE_TMPDIR",
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
fn a_call_that_takes_too_long_is_asked_to_end_and_reported() {
    let lab = Lab::new("echo waiting >&2; exec sleep 600");
    let error = lab.delete(Duration::from_millis(300)).unwrap_err();
    assert!(
        error.cause.starts_with("not done after 0s: signal: 15"),
        "{error}"
    );
}

#[test]
fn a_program_that_is_not_there_is_named_with_its_path() {
    let lab = Lab::new("");
    fs::remove_file(lab.path("nix-store")).unwrap();
    let error = lab.delete(LONG).unwrap_err();
    assert_eq!(error.path, lab.path("nix-store"));
}
