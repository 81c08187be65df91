//! When a probe runs, and what its failures mean.

use super::*;

/// A probe that passes while a file is there, and counts its runs in another.
struct Switched {
    root: tempfile::TempDir,
    prober: Prober,
    start: Instant,
}

impl Switched {
    fn new(change: impl FnOnce(&mut ProbeConfig)) -> Self {
        let root = tempfile::tempdir().expect("temporary directory");
        let at = root.path().display();
        let line = format!("echo >> {at}/runs; test -e {at}/up");
        let mut probe = config(shell(&line), 20_000);
        change(&mut probe);
        Self {
            prober: Prober::new(BTreeMap::from([("p".to_owned(), probe)]), means()),
            root,
            start: Instant::now(),
        }
    }

    fn up(&self, is: bool) {
        let flag = self.root.path().join("up");
        if is {
            fs::write(flag, "").expect("flag");
        } else {
            fs::remove_file(flag).expect("flag");
        }
    }

    /// Whether it is `ok` and whether it `passed`, so many seconds after the start, on a trial
    /// that began so many seconds after the start.
    fn at(&mut self, seconds: u64, trial: Option<u64>) -> (bool, bool) {
        let now = self.start + Duration::from_secs(seconds);
        let trial = trial.map(|began| Duration::from_secs(seconds - began));
        let result = self.prober.run(now, trial).pop().expect("one result");
        (result.ok, result.passed)
    }

    fn runs(&self) -> usize {
        let runs = fs::read_to_string(self.root.path().join("runs"));
        runs.expect("runs").lines().count()
    }
}

const GOOD: (bool, bool) = (true, true);
/// The last run failed, which is not enough yet.
const SHAKY: (bool, bool) = (true, false);
const FAILED: (bool, bool) = (false, false);

#[test]
fn a_probe_counts_as_failed_after_its_failures_in_a_row_only() {
    let mut probe = Switched::new(|probe| (probe.failures, probe.of) = (3, 3));
    assert_eq!(probe.at(0, None), SHAKY);
    assert_eq!(probe.at(15, None), SHAKY);
    assert_eq!(probe.at(30, None), FAILED);
    probe.up(true);
    assert_eq!(probe.at(45, None), GOOD);
    probe.up(false);
    assert_eq!(probe.at(60, None), SHAKY);
}

#[test]
fn a_probe_that_flaps_counts_as_failed_by_its_last_runs() {
    let mut probe = Switched::new(|probe| (probe.failures, probe.of) = (2, 3));
    assert_eq!(probe.at(0, None), SHAKY);
    probe.up(true);
    assert_eq!(probe.at(15, None), GOOD);
    probe.up(false);
    assert_eq!(probe.at(30, None), FAILED, "two of three");
    probe.up(true);
    assert_eq!(probe.at(45, None), GOOD, "the oldest is forgotten");
}

#[test]
fn a_probe_runs_at_most_so_often_and_its_result_is_carried() {
    let mut probe = Switched::new(|probe| probe.interval = Duration::from_secs(60));
    probe.up(true);
    assert_eq!(probe.at(0, None), GOOD);
    probe.up(false);
    assert_eq!((probe.at(15, None), probe.runs()), (GOOD, 1));
    assert_eq!((probe.at(59, None), probe.runs()), (GOOD, 1));
    assert_eq!((probe.at(60, None), probe.runs()), (FAILED, 2));
}

#[test]
fn what_was_seen_before_an_activation_is_not_carried_into_its_trial() {
    let mut probe = Switched::new(|probe| probe.interval = Duration::from_secs(3600));
    probe.up(true);
    assert_eq!(probe.at(0, None), GOOD);
    probe.up(false);
    assert_eq!((probe.at(45, Some(30)), probe.runs()), (FAILED, 2));
    assert_eq!((probe.at(60, Some(30)), probe.runs()), (FAILED, 2));
}

#[test]
fn failures_from_before_an_activation_condemn_nothing_on_its_trial() {
    let mut probe = Switched::new(|probe| (probe.failures, probe.of) = (2, 30));
    assert_eq!(probe.at(0, None), SHAKY);
    assert_eq!(probe.at(15, None), FAILED);
    probe.up(true);
    for look in 2..10 {
        assert_eq!(probe.at(15 * look, Some(25)), GOOD, "{look}");
    }
    probe.up(false);
    assert_eq!(probe.at(150, Some(25)), SHAKY);
    assert_eq!(probe.at(165, Some(25)), FAILED, "of its own");
}

/// Units are stopped before the running system changes, which is what tells of a deploy.
#[test]
fn a_grace_begins_with_the_activation_and_not_when_it_is_known_of() {
    let mut probe = Switched::new(|probe| probe.grace = Duration::from_secs(60));
    probe.up(true);
    assert_eq!(probe.at(85, None), GOOD);
    probe.up(false);
    assert_eq!(probe.at(95, None), FAILED);
    assert_eq!(probe.at(105, None), FAILED);
    assert_eq!(probe.at(120, Some(90)), SHAKY);
    probe.up(true);
    assert_eq!(probe.at(135, Some(90)), GOOD);
    probe.up(false);
    assert_eq!(probe.at(160, Some(90)), FAILED, "it is over");
}

#[test]
fn a_failure_within_the_grace_after_an_activation_does_not_count() {
    let mut probe = Switched::new(|probe| probe.grace = Duration::from_secs(60));
    assert_eq!(probe.at(100, Some(90)), SHAKY);
    assert_eq!(probe.at(149, Some(90)), SHAKY);
    assert_eq!(probe.at(150, Some(90)), FAILED);
    let mut probe = Switched::new(|probe| probe.grace = Duration::from_secs(60));
    assert_eq!(probe.at(100, None), FAILED, "there is no trial");
}

#[test]
fn each_kind_is_run_by_its_name() {
    let here = tempfile::tempdir().expect("temporary directory");
    let directory = here.path().to_owned();
    assert!(run(Check::Writable { directory }, 20_000).passed);
    let local = Check::Dns {
        host: "localhost".to_owned(),
    };
    assert!(run(local, 20_000).passed);
    let units = Check::Systemd {
        units: Vec::new(),
        max_restarts: 0,
        max_failed: Some(0),
    };
    let systemd = run(units, 20_000);
    assert!(systemd.detail.contains("systemctl"), "{systemd:?}");
    let route = Check::DefaultRoute {
        family: RouteFamily::Any,
    };
    assert!(run(route, 20_000).detail.contains("default route"));
}
