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

/// What a reader of the state directory is told, oldest first.
fn messages(state: &Path) -> Vec<String> {
    let records = read(&path_in(state)).unwrap().records.into_iter();
    records.map(|record| record.message).collect()
}

/// Room for two records of [`record`].
fn small() -> Rotation {
    let line = serde_json::to_string(&record("00")).unwrap();
    Rotation {
        max_bytes: 2 * (line.len() as u64 + 1),
        older_files: 2,
    }
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!("{number:02}")).collect()
}

#[test]
fn what_was_recorded_is_read_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::at(dir.path(), &dir.path().join("run"));
    journal.record(record("one"));
    journal.record(record("two\nwith a newline"));
    let Contents {
        records,
        unreadable,
    } = read(&path_in(dir.path())).unwrap();
    assert_eq!(records, [record("one"), record("two\nwith a newline")]);
    assert_eq!(unreadable, []);
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
    let Contents {
        records,
        unreadable,
    } = read(&path).unwrap();
    assert_eq!(records, [record("before"), record("after")]);
    let [torn] = unreadable.as_slice() else {
        panic!("{unreadable:?}");
    };
    assert_eq!((&torn.path, torn.line), (&path, 2));
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
    assert_eq!(messages(&state), ["one", "two", "three"]);
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
    assert_eq!(messages(&state), ["one", "two"]);
    assert!(!path_in(&run).exists());
}

#[test]
fn a_journal_at_its_limit_puts_the_newest_lines_into_a_new_file_and_forgets_the_oldest_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::at(dir.path(), &dir.path().join("run")).rotated(small());
    for message in numbers(0..5) {
        journal.record(record(&message));
    }
    assert_eq!(messages(dir.path()), numbers(0..5));
    for message in numbers(5..10) {
        journal.record(record(&message));
    }
    // Three files of two lines.
    assert_eq!(messages(dir.path()), numbers(4..10));
    for entry in fs::read_dir(dir.path()).unwrap() {
        assert!(entry.unwrap().metadata().unwrap().len() <= small().max_bytes);
    }
}

#[test]
fn a_kill_in_mid_rotation_loses_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let begin = || Journal::at(dir.path(), &dir.path().join("run")).rotated(small());
    let mut journal = begin();
    for message in numbers(0..4) {
        journal.record(record(&message));
    }
    // As if killed after the first of two renames.
    let name = |name: &str| dir.path().join(name);
    fs::rename(name("journal.jsonl.1"), name("journal.jsonl.2")).unwrap();
    assert_eq!(messages(dir.path()), numbers(0..4));
    let mut journal = begin();
    journal.record(record("04"));
    assert_eq!(messages(dir.path()), numbers(0..5));
    // And after the last one, before anything was written.
    journal.record(record("05"));
    fs::rename(name("journal.jsonl"), name("journal.jsonl.1")).unwrap();
    assert_eq!(messages(dir.path()).last().unwrap(), "05");
    begin().record(record("06"));
    assert_eq!(messages(dir.path()).last().unwrap(), "06");
}

#[test]
fn a_journal_that_cannot_be_rotated_grows_on() {
    let dir = tempfile::tempdir().unwrap();
    // A directory with content in the way of the rename, whoever runs this.
    fs::create_dir_all(dir.path().join("journal.jsonl.1/full")).unwrap();
    let rotation = Rotation {
        older_files: 1,
        ..small()
    };
    let mut journal = Journal::at(dir.path(), &dir.path().join("run")).rotated(rotation);
    for message in numbers(0..5) {
        journal.record(record(&message));
    }
    assert_eq!(journal.waiting(), 0);
    let text = fs::read_to_string(path_in(dir.path())).unwrap();
    assert_eq!(text.lines().count(), 5);
}

#[test]
fn a_line_that_is_no_record_is_named_and_the_others_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    let good = serde_json::to_string(&record("good")).unwrap();
    fs::write(
        &path,
        [good.as_bytes(), b"\n\xff\xfe\n{}\n", good.as_bytes(), b"\n"].concat(),
    )
    .unwrap();
    let Contents {
        records,
        unreadable,
    } = read(&path).unwrap();
    assert_eq!(records.len(), 2);
    let lines: Vec<usize> = unreadable.iter().map(|bad| bad.line).collect();
    assert_eq!(lines, [2, 3]);
    assert!(
        unreadable[1].to_string().contains("line 3 of"),
        "{}",
        unreadable[1]
    );
}

#[test]
fn a_waiting_line_that_is_no_text_takes_no_other_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (state, run) = (dir.path().join("state"), dir.path().join("run"));
    let line = |message: &str| serde_json::to_string(&record(message)).unwrap();
    fs::create_dir(&run).unwrap();
    let spill = [line("one").as_bytes(), b"\n\xff{\n", line("two").as_bytes()].concat();
    fs::write(path_in(&run), spill).unwrap();
    let mut journal = Journal::at(&state, &run);
    assert_eq!(journal.waiting(), 3);
    journal.flush();
    assert_eq!(messages(&state), ["one", "two"]);
}

#[test]
fn lines_that_wait_are_replaced_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (state, run) = (dir.path().join("state"), dir.path().join("run"));
    fs::write(&state, "").unwrap();
    let mut journal = Journal::at(&state, &run);
    journal.record(record("one"));
    // Whoever reads it now, after a kill at any point, reads all of it.
    let mut opened = fs::File::open(path_in(&run)).unwrap();
    journal.record(record("two"));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut opened, &mut text).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert_eq!(Journal::at(&state, &run).waiting(), 2);
}

#[test]
fn while_another_writer_is_at_it_no_file_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::at(dir.path(), &dir.path().join("run")).rotated(small());
    for message in numbers(0..2) {
        journal.record(record(&message));
    }
    let other = fs::File::open(dir.path()).unwrap();
    other.lock().unwrap();
    journal.record(record("02"));
    assert_eq!(journal.waiting(), 0);
    assert!(!dir.path().join("journal.jsonl.1").exists());
    other.unlock().unwrap();
    journal.record(record("03"));
    assert!(dir.path().join("journal.jsonl.1").exists());
    assert_eq!(messages(dir.path()), numbers(0..4));
}

#[test]
fn what_another_writer_appended_is_not_cut_off_with_what_a_full_disk_cut_short() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    fs::write(&path, "before\nhalf of o").unwrap();
    let file = fs::File::options().append(true).open(&path).unwrap();
    let (length, written) = (7, 9);
    fs::write(&path, "before\nhalf of oof another\n").unwrap();
    files::take_back(&file, length, written).unwrap();
    assert!(fs::read_to_string(&path).unwrap().ends_with("of another\n"));
    fs::write(&path, "before\nhalf of o").unwrap();
    files::take_back(&file, length, written).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "before\n");
}

#[test]
fn lines_of_a_collection_by_hand_outlive_the_next_boot() {
    let dir = tempfile::tempdir().unwrap();
    let (state, run) = (dir.path().join("state"), dir.path().join("run"));
    let by_hand = run.join("by-hand");
    // A file where the directory should be: no line can be written.
    fs::write(&state, "").unwrap();
    Journal::at(&state, &by_hand).record(record("by hand"));
    let mut journal = Journal::at(&state, &run);
    journal.take_up(&by_hand);
    assert_eq!(journal.waiting(), 1);
    journal.take_up(&by_hand);
    assert_eq!(journal.waiting(), 1, "taken once");
    fs::remove_file(&state).unwrap();
    journal.flush();
    assert_eq!(messages(&state), ["by hand"]);
    assert!(!path_in(&by_hand).exists());
}

#[test]
fn lines_that_the_watchdog_has_taken_up_are_not_written_by_whoever_left_them() {
    let dir = tempfile::tempdir().unwrap();
    let (state, run) = (dir.path().join("state"), dir.path().join("run"));
    let by_hand = run.join("by-hand");
    fs::write(&state, "").unwrap();
    let mut hand = Journal::at(&state, &by_hand).taken_up();
    hand.record(record("one"));
    let mut watchdog = Journal::at(&state, &run);
    watchdog.take_up(&by_hand);
    fs::remove_file(&state).unwrap();
    watchdog.flush();
    hand.record(record("two"));
    assert_eq!(messages(&state), ["one", "two"]);
}

#[test]
fn lines_that_can_go_nowhere_are_not_taken_up_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let (state, run) = (dir.path().join("state"), dir.path().join("run"));
    let by_hand = dir.path().join("by-hand");
    fs::write(&state, "").unwrap();
    Journal::at(&state, &by_hand).record(record("by hand"));
    fs::write(&run, "").unwrap();
    let mut journal = Journal::at(&state, &run);
    journal.take_up(&by_hand);
    journal.take_up(&by_hand);
    assert_eq!(journal.waiting(), 0);
    assert!(path_in(&by_hand).exists());
}
