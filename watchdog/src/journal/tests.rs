//! Promise 6: "Each decision, act or refusal, is in the journal and in a metric, with its
//! reason."

use std::fs;

use super::*;
use crate::record::{Mode, Remedy};

fn record(message: &str) -> Record {
    Record {
        at_ms: 1,
        incident: "gc-1".to_owned(),
        remedy: Remedy::Gc,
        mode: Mode::Observe,
        step: Step::Refused,
        reason: "cannot_help".to_owned(),
        message: message.to_owned(),
        facts: serde_json::Value::Null,
    }
}

#[test]
fn what_was_recorded_is_read_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::at(dir.path(), &dir.path().join("run"));
    journal.record(record("one"));
    journal.record(record("two\nwith a newline"));
    let (read, unreadable) = read(&path_in(dir.path())).unwrap();
    assert_eq!(read, [record("one"), record("two\nwith a newline")]);
    assert_eq!(unreadable, 0);
}

#[test]
fn a_line_torn_by_a_crash_spoils_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    Journal::at(dir.path(), &dir.path().join("run")).record(record("before"));
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"at_ms\":2,\"inci");
    fs::write(&path, text).unwrap();
    Journal::at(dir.path(), &dir.path().join("run")).record(record("after"));
    let (read, unreadable) = read(&path).unwrap();
    assert_eq!(read, [record("before"), record("after")]);
    assert_eq!(unreadable, 1);
}

#[test]
fn records_that_cannot_be_written_wait_and_are_written_later() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    // A file where the directory should be: no write can succeed, whoever runs this.
    fs::write(&state, "").unwrap();
    let mut journal = Journal::at(&state, &dir.path().join("run"));
    journal.record(record("one"));
    journal.record(record("two"));
    assert_eq!(journal.waiting(), 2);
    fs::remove_file(&state).unwrap();
    journal.record(record("three"));
    assert_eq!(journal.waiting(), 0);
    let messages: Vec<String> = read(&path_in(&state))
        .unwrap()
        .0
        .into_iter()
        .map(|record| record.message)
        .collect();
    assert_eq!(messages, ["one", "two", "three"]);
}

#[test]
fn records_of_a_full_disk_outlive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let (state, run) = (dir.path().join("state"), dir.path().join("run"));
    fs::write(&state, "").unwrap();
    let mut journal = Journal::at(&state, &run);
    journal.record(record("one"));
    drop(journal);
    let mut again = Journal::at(&state, &run);
    assert_eq!(again.waiting(), 1);
    again.record(record("two"));
    fs::remove_file(&state).unwrap();
    again.flush();
    let messages: Vec<String> = read(&path_in(&state))
        .unwrap()
        .0
        .into_iter()
        .map(|record| record.message)
        .collect();
    assert_eq!(messages, ["one", "two"]);
    assert!(!path_in(&run).exists());
}
