use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use super::{StateFile, StateFileError};
use crate::sample::{Family, Kind};
use proptest::prelude::{any, prop_assert_eq, proptest};

fn state() -> StateFile {
    StateFile {
        written_at: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        tick: Duration::from_secs(15),
        families: vec![
            Family::of(Kind::Gauge, "snowguard_remedy_mode", "help \"q\" \\ \n end")
                .with(vec![("remedy", "g\"c\n".to_owned())], f64::INFINITY)
                .with(vec![("remedy", "rollback".to_owned())], -0.5),
            Family::counter("snowguard_acts_total", "acts", 3.0),
        ],
    }
}

fn refusal(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.json");
    fs::write(&path, text).unwrap();
    match StateFile::read(&path) {
        Err(error @ StateFileError::Malformed { .. }) => error.to_string(),
        other => panic!("{text}: {other:?}"),
    }
}

fn with_family(family: &str) -> String {
    format!(r#"{{"version":1,"written_at_ms":1,"tick_seconds":15,"families":[{family}]}}"#)
}

#[test]
fn what_the_watchdog_writes_is_what_the_exporter_reads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.json");
    state().write_atomically(&path).unwrap();
    assert_eq!(StateFile::read(&path).unwrap(), state());
}

#[test]
fn the_file_is_replaced_whole_and_any_user_may_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.json");
    // Left by a killed writer, under a umask that keeps others out.
    let left = dir.path().join("state.json.new");
    fs::write(&left, "half").unwrap();
    fs::set_permissions(&left, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    state().write_atomically(&path).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o644
    );
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "the temporary file is gone: {names:?}");
}

#[test]
fn a_write_that_fails_names_the_file_and_leaves_the_old_one() {
    let missing = Path::new("/nonexistent/state.json");
    let error = state().write_atomically(missing).unwrap_err().to_string();
    assert!(error.contains("write the watchdog's state file"), "{error}");
    assert!(error.contains("/nonexistent/state.json"), "{error}");
}

#[test]
fn a_missing_file_is_told_from_an_unreadable_one() {
    let missing = StateFile::read(Path::new("/nonexistent/state.json")).unwrap_err();
    assert!(missing.is_missing());
    let directory = StateFile::read(Path::new("/tmp")).unwrap_err();
    assert!(!directory.is_missing());
}

#[test]
fn a_file_that_the_watchdog_did_not_write_is_refused_as_a_whole() {
    assert!(refusal("").contains("not a state file"));
    assert!(refusal(r#"{"version":2,"new":1}"#).contains("of version 2, this program reads 1"));
    assert!(
        refusal(r#"{"version":1,"written_at_ms":1,"tick_seconds":0,"families":[]}"#)
            .contains("tick_seconds is 0")
    );
    let cases = [
        (
            r#"{"name":"up","help":"","kind":"gauge","samples":[]}"#,
            "must begin with",
        ),
        (
            r#"{"name":"nix_a b","help":"","kind":"gauge","samples":[]}"#,
            "must begin with",
        ),
        (
            r#"{"name":"nix_a_total","help":"","kind":"gauge","samples":[]}"#,
            "does not fit",
        ),
        (
            r#"{"name":"nix_a","help":"","kind":"info","samples":[]}"#,
            "does not fit",
        ),
        (
            r#"{"name":"nix_a_sum","help":"","kind":"gauge","samples":[]}"#,
            "reserves",
        ),
        (
            r#"{"name":"nix_a","help":"","kind":"gauge","samples":[{"labels":{"a-b":""},"value":1}]}"#,
            "may not be called",
        ),
        (
            r#"{"name":"nix_a","help":"","kind":"gauge","samples":[{"labels":{"__name__":""},"value":1}]}"#,
            "may not be called",
        ),
        (
            r#"{"name":"nix_a","help":"","kind":"gauge","samples":[{"labels":{},"value":1},{"labels":{},"value":2}]}"#,
            "same labels",
        ),
        (
            r#"{"name":"nix_a","help":"","kind":"gauge","samples":[{"labels":{},"value":null}]}"#,
            "not a state file",
        ),
        (
            r#"{"name":"nix_a_info","help":"","kind":"info","samples":[{"labels":{},"value":2}]}"#,
            "not 1",
        ),
        (
            r#"{"name":"nix_a","help":"","kind":"gauge","samples":[]},{"name":"nix_a_total","help":"","kind":"counter","samples":[]}"#,
            "there twice",
        ),
    ];
    for (family, cause) in cases {
        let message = refusal(&with_family(family));
        assert!(message.contains(cause), "{family}: {message}");
    }
}

#[test]
fn what_is_three_ticks_old_or_from_the_future_is_stale() {
    let state = state();
    let at = |seconds| state.written_at + Duration::from_secs(seconds);
    assert!(!state.is_stale(at(45)));
    assert!(state.is_stale(at(46)));
    assert!(!state.is_stale(state.written_at - Duration::from_secs(45)));
    assert!(state.is_stale(state.written_at - Duration::from_secs(46)));
}

proptest! {
    #[test]
    fn any_value_and_any_label_survive_the_file(value in any::<f64>(), label in "[^\0]*") {
        let mut written = state();
        written.families = vec![
            Family::of(Kind::Gauge, "nix_x", "x").with(vec![("label", label)], value),
        ];
        let text = super::wire::text(&written).unwrap();
        let read = super::wire::parse(&text).unwrap();
        let (was, is) = (&written.families[0].samples[0], &read.families[0].samples[0]);
        prop_assert_eq!(&was.labels, &is.labels);
        // NaN is not equal to itself; its bits are a NaN's after the way as before it.
        prop_assert_eq!(was.value.is_nan(), is.value.is_nan());
        if !was.value.is_nan() {
            prop_assert_eq!(was.value, is.value);
        }
    }
}
