//! Against a `systemctl` of the tests' own, which prints what systemd 257 prints.

use std::{fs, path::PathBuf, process::Command};

use super::*;

const TRIAL: Look = Look {
    first: false,
    counts_on: true,
    afresh: false,
};
const BEGUN: Look = Look {
    first: true,
    counts_on: false,
    afresh: false,
};
/// Outside of a trial, or the first since the activation.
const ANEW: Look = Look {
    first: false,
    counts_on: false,
    afresh: false,
};

struct Host {
    root: tempfile::TempDir,
    seen: BTreeMap<String, Restarts>,
}

impl Host {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("temporary directory");
        let program = "#!/bin/sh\ncase \"$2\" in *NFailedUnits) echo NFailedUnits=2;; \
                       *) /bin/cat \"$(/usr/bin/dirname \"$0\")/units\";; esac\n";
        // Written by another process: a thread that forks while this one still has it open for
        // writing would make it "busy" for whoever runs it.
        let mut shell = Command::new("/bin/sh");
        let write = "printf '%s' \"$1\" > \"$2\" && chmod 755 \"$2\"";
        shell.args(["-c", write, "sh", program]);
        let status = shell.arg(root.path().join("systemctl")).status();
        assert!(status.expect("shell").success());
        let seen = BTreeMap::new();
        Self { root, seen }
    }

    fn systemctl(&self) -> PathBuf {
        self.root.path().join("systemctl")
    }

    fn units(&self, blocks: &[String]) {
        fs::write(self.root.path().join("units"), blocks.join("\n")).expect("units");
    }

    fn check(&mut self, units: &[&str], look: Look) -> Result<String, String> {
        let units: Vec<String> = units.iter().map(|unit| (*unit).to_owned()).collect();
        let wanted = Wanted {
            units: &units,
            max_restarts: 2,
            max_failed: None,
        };
        let program = self.systemctl();
        let timeout = Duration::from_secs(20);
        check(&program, &wanted, &mut self.seen, look, timeout).map_err(|fault| fault.why)
    }
}

fn service(name: &str, active: &str, sub: &str, restarts: u64) -> String {
    format!(
        "Result=success\nNRestarts={restarts}\nId={name}\nNames={name} alias-of-{name}\n\
         LoadState=loaded\nActiveState={active}\nSubState={sub}\n"
    )
}

#[test]
fn every_unit_that_is_named_must_be_active() {
    let mut host = Host::new();
    host.units(&[
        service("web.service", "active", "running", 0),
        service("db.service", "failed", "failed", 0),
        "Id=gone.service\nNames=gone.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n"
            .to_owned(),
        "Id=in.socket\nNames=in.socket\nLoadState=loaded\nActiveState=active\nSubState=listening\n"
            .to_owned(),
    ]);
    assert!(host.check(&["web.service", "in.socket"], BEGUN).is_ok());
    assert!(host.check(&["alias-of-web.service"], BEGUN).is_ok());
    let why = host.check(&["web.service", "db.service"], BEGUN);
    assert!(why.expect_err("failed").contains("db.service is failed"));
    let why = host.check(&["gone.service"], BEGUN).expect_err("gone");
    assert!(why.contains("gone.service is not-found"), "{why}");
    let why = host.check(&["other.service"], BEGUN).expect_err("unknown");
    assert!(why.contains("says nothing of other.service"), "{why}");
}

/// "Health = … with restart counters, not one `is-active`": a unit that is up at each look.
#[test]
fn a_unit_that_is_active_at_every_look_and_restarts_in_between_is_found_out() {
    let mut host = Host::new();
    let mut look = |restarts, look| {
        host.units(&[service("web.service", "active", "running", restarts)]);
        host.check(&["web.service"], look).is_ok()
    };
    assert!(look(7, BEGUN), "what was before the watchdog counts not");
    assert!(look(9, ANEW));
    assert!(look(9, TRIAL), "two are borne");
    assert!(!look(10, TRIAL), "the third is one too many");
    assert!(!look(10, TRIAL), "and stays so for the trial");
    assert!(look(10, ANEW), "the next activation counts anew");
    assert!(look(1, TRIAL), "a unit started anew counts from 0");
    assert!(!look(3, TRIAL));
}

#[test]
fn what_restarted_before_a_switch_went_back_counts_for_nothing_after_it() {
    const AFRESH: Look = Look {
        afresh: true,
        ..ANEW
    };
    let mut host = Host::new();
    let web = |restarts| [service("web.service", "active", "running", restarts)];
    host.units(&web(10));
    host.check(&["web.service"], TRIAL).unwrap_err();
    host.units(&web(14));
    host.check(&["web.service"], AFRESH).unwrap();
    host.units(&web(16));
    host.check(&["web.service"], TRIAL).unwrap();
    host.units(&web(17));
    host.check(&["web.service"], TRIAL).unwrap_err();
}

#[test]
fn the_failed_units_of_the_whole_host_are_counted() {
    let host = Host::new();
    let check = |most| {
        let wanted = Wanted {
            units: &[],
            max_restarts: 0,
            max_failed: Some(most),
        };
        let mut seen = BTreeMap::new();
        let timeout = Duration::from_secs(20);
        check(&host.systemctl(), &wanted, &mut seen, BEGUN, timeout)
    };
    assert!(check(2).is_ok());
    assert!(
        check(1)
            .expect_err("two")
            .why
            .contains("2 units have failed")
    );
}

#[test]
fn a_systemctl_that_cannot_be_run_is_a_failure_with_its_name() {
    let wanted = Wanted {
        units: &[],
        max_restarts: 0,
        max_failed: Some(9),
    };
    let nowhere = Path::new("/nonexistent/systemctl");
    let (mut seen, timeout) = (BTreeMap::new(), Duration::from_secs(1));
    let why = check(nowhere, &wanted, &mut seen, BEGUN, timeout).expect_err("none");
    assert!(why.why.contains("/nonexistent/systemctl"), "{why:?}");
}
