//! Promise 8: "What cannot be read is reported, not assumed."

use std::{
    cell::Cell,
    collections::BTreeSet,
    ffi::OsString,
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
};

use super::*;
use crate::store::fixture::{Store, name, row};

fn count(snapshot: &Snapshot) -> Result<i64> {
    snapshot
        .connection()
        // `hash` is in no index, so the table itself is read.
        .query_row("SELECT count(hash) FROM ValidPaths", [], |row| row.get(0))
        .map_err(|source| snapshot.error(&source))
}

fn read(store: &Store) -> Result<i64> {
    Snapshot::with(&store.layout(), count)
}

/// The error, which must name the database and the cure.
fn error(store: &Store) -> FactError {
    let error = read(store).unwrap_err();
    assert_eq!(error.path, store.layout().database());
    assert!(!error.cure.is_empty(), "{error}");
    error
}

fn listing(store: &Store) -> BTreeSet<OsString> {
    fs::read_dir(store.path("nix/var/nix/db"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect()
}

#[test]
fn a_missing_database_is_an_error_that_names_it() {
    let store = Store::new();
    fs::remove_file(store.layout().database()).unwrap();
    assert_eq!(error(&store).kind, Kind::Missing);
}

#[test]
fn a_missing_state_directory_is_an_error_that_names_the_database() {
    let store = Store::new();
    fs::remove_dir_all(store.path("nix/var")).unwrap();
    let error = error(&store);
    assert_eq!(error.kind, Kind::Missing);
    assert!(error.cure.contains("--root"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_malformed() {
    let store = Store::new();
    fs::write(store.layout().database(), "not a database ".repeat(100)).unwrap();
    assert_eq!(error(&store).kind, Kind::Malformed);
}

#[test]
fn an_empty_file_is_no_store_rather_than_an_empty_store() {
    let store = Store::new();
    File::create(store.layout().database()).unwrap();
    let error = error(&store);
    assert_eq!(error.kind, Kind::Malformed);
    assert!(error.cause.contains("empty"), "{error}");
}

#[test]
fn a_directory_in_place_of_the_database_is_malformed() {
    let store = Store::new();
    fs::remove_file(store.layout().database()).unwrap();
    fs::create_dir(store.layout().database()).unwrap();
    assert_eq!(error(&store).kind, Kind::Malformed);
}

#[test]
fn a_database_that_ends_too_early_is_malformed() {
    let store = Store::new();
    for number in 0..200 {
        store.register(&name('a', &format!("{number:0100}")));
    }
    let file = OpenOptions::new()
        .write(true)
        .open(store.layout().database())
        .unwrap();
    file.set_len(3 * 4096).unwrap();
    assert_eq!(error(&store).kind, Kind::Malformed);
}

#[test]
fn a_database_with_an_overwritten_page_is_malformed() {
    let store = Store::new();
    store.register(&name('a', "x"));
    let file = OpenOptions::new()
        .write(true)
        .open(store.layout().database())
        .unwrap();
    file.write_all_at(&[0x5a; 4096], 4096).unwrap();
    assert_eq!(error(&store).kind, Kind::Malformed);
}

#[test]
fn a_database_without_one_of_the_tables_is_malformed_and_the_table_named() {
    for table in ["ValidPaths", "Refs", "DerivationOutputs"] {
        let store = Store::new();
        store.sql(&format!("DROP TABLE {table}"));
        let error = error(&store);
        assert_eq!(error.kind, Kind::Malformed);
        assert!(error.cause.contains(table), "{error}");
    }
}

#[test]
fn a_database_with_another_schema_is_malformed() {
    let store = Store::new();
    store.sql("DROP TABLE ValidPaths; CREATE TABLE ValidPaths (x)");
    let outcome = Snapshot::with(&store.layout(), |snapshot| {
        crate::store::Graph::of(&store.layout(), snapshot)
    });
    let error = outcome.unwrap_err();
    assert_eq!(error.path, store.layout().database());
}

#[test]
fn a_lock_without_a_change_does_not_hide_what_is_committed() {
    let store = Store::new();
    store.register(&name('a', "x"));
    let other = store.connect();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(read(&store).unwrap(), 1);
}

#[test]
fn a_database_that_a_transaction_is_being_written_into_is_busy() {
    let store = Store::new();
    let other = store.connect();
    // A small cache puts pages into the file before they are committed.
    other
        .execute_batch("PRAGMA journal_mode = truncate; PRAGMA cache_size = 2; BEGIN EXCLUSIVE")
        .unwrap();
    for number in 0..200 {
        let name = name('a', &format!("{number:0100}"));
        other.execute_batch(&row(&name)).unwrap();
    }
    assert_eq!(error(&store).kind, Kind::Busy);
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(read(&store).unwrap(), 200);
}

#[test]
fn the_lock_of_nix_without_a_write_ahead_log_is_seen() {
    let store = Store::new();
    let lock = store.path("nix/var/nix/db/db.sqlite.lock");
    fs::create_dir(&lock).unwrap();
    assert_eq!(error(&store).kind, Kind::Busy);
    fs::remove_dir(lock).unwrap();
    assert_eq!(read(&store).unwrap(), 0);
}

#[test]
fn a_row_that_only_the_write_ahead_log_has_is_read() {
    let store = Store::new();
    let nix = store.connect();
    nix.execute_batch("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0")
        .unwrap();
    nix.execute_batch(&row(&name('a', "x"))).unwrap();
    assert_eq!(read(&store).unwrap(), 1);
}

#[test]
fn reading_while_nix_writes_takes_no_part_of_what_is_not_committed() {
    let store = Store::new();
    let nix = store.connect();
    nix.execute_batch("PRAGMA journal_mode = wal").unwrap();
    nix.execute_batch(&row(&name('a', "x"))).unwrap();
    nix.execute_batch("BEGIN IMMEDIATE").unwrap();
    nix.execute_batch(&row(&name('b', "x"))).unwrap();
    assert_eq!(read(&store).unwrap(), 1);
    nix.execute_batch("COMMIT").unwrap();
    assert_eq!(read(&store).unwrap(), 2);
}

#[test]
fn reading_an_idle_store_leaves_no_file_behind() {
    let store = Store::new();
    let nix = store.connect();
    nix.execute_batch("PRAGMA journal_mode = wal").unwrap();
    nix.execute_batch(&row(&name('a', "x"))).unwrap();
    drop(nix);
    let before = listing(&store);
    assert_eq!(before.len(), 1, "{before:?}");
    assert_eq!(read(&store).unwrap(), 1);
    assert_eq!(listing(&store), before);
}

#[test]
fn reading_beside_the_empty_log_that_newer_nix_leaves_changes_nothing() {
    let store = Store::new();
    store.sql("PRAGMA journal_mode = wal");
    store.register(&name('a', "x"));
    let log = store.path("nix/var/nix/db/db.sqlite-wal");
    File::create(&log).unwrap();
    let before = (
        listing(&store),
        fs::metadata(&log).unwrap().modified().unwrap(),
    );
    assert_eq!(read(&store).unwrap(), 1);
    let after = (
        listing(&store),
        fs::metadata(&log).unwrap().modified().unwrap(),
    );
    assert_eq!(after, before);
}

#[test]
fn a_database_that_changes_under_the_reader_is_read_again() {
    let store = Store::new();
    store.sql("PRAGMA journal_mode = wal");
    store.register(&name('a', "x"));
    let rounds = Cell::new(0);
    let seen = Snapshot::with(&store.layout(), |snapshot| {
        rounds.set(rounds.get() + 1);
        if rounds.get() == 1 {
            // Closing the last connection puts the log into the database.
            store.register(&name('b', "x"));
        }
        count(snapshot)
    });
    assert_eq!(seen.unwrap(), 2);
    assert!(rounds.get() > 1);
}

#[test]
fn a_database_that_never_rests_is_busy_rather_than_half_read() {
    let store = Store::new();
    let rounds = Cell::new(0);
    let outcome = Snapshot::with(&store.layout(), |snapshot| {
        rounds.set(rounds.get() + 1);
        store.register(&name('a', &rounds.get().to_string()));
        count(snapshot)
    });
    assert_eq!(outcome.unwrap_err().kind, Kind::Busy);
}

#[test]
fn a_log_that_vanishes_before_it_is_opened_is_looked_for_again_and_not_made() {
    let store = Store::new();
    store.sql("PRAGMA journal_mode = wal");
    store.register(&name('a', "x"));
    let before = listing(&store);
    // What a reader finds that saw the log of a command of Nix which has ended since.
    let opened = Snapshot::open(&store.layout().database(), false);
    assert!(opened.unwrap().is_none());
    assert_eq!(listing(&store), before);
}

#[test]
fn a_database_that_never_rests_is_read_by_a_connection_while_it_has_a_log() {
    let store = Store::new();
    let nix = store.connect();
    nix.busy_timeout(Duration::ZERO).unwrap();
    nix.execute_batch("PRAGMA journal_mode = wal").unwrap();
    nix.execute_batch(&row(&name('a', "x"))).unwrap();
    // As a command that ends leaves it: the content of the log is in the database. While somebody
    // reads, the log keeps it.
    let empty = |nix: &rusqlite::Connection| {
        nix.query_row("PRAGMA wal_checkpoint(truncate)", [], |_| Ok(()))
            .unwrap();
    };
    empty(&nix);
    let before = listing(&store);
    let rounds = Cell::new(0);
    let seen = Snapshot::with(&store.layout(), |snapshot| {
        let count = count(snapshot);
        rounds.set(rounds.get() + 1);
        nix.execute_batch(&row(&name('b', &rounds.get().to_string())))
            .unwrap();
        empty(&nix);
        count
    });
    assert_eq!((seen.unwrap(), rounds.get()), (2, 2));
    assert_eq!(listing(&store), before);
}

#[test]
fn a_path_with_the_signs_of_a_uri_is_opened_as_it_is() {
    let store = Store::new();
    store.register(&name('a', "x"));
    let odd = store.path("a?mode=rw#b%20c");
    fs::create_dir(&odd).unwrap();
    fs::rename(store.path("nix"), odd.join("nix")).unwrap();
    assert_eq!(Snapshot::with(&Layout::new(&odd), count).unwrap(), 1);
}
