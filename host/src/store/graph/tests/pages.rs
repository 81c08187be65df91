//! The reader of pages against SQLite: the same graph, whatever the file looks like inside.

use proptest::{prelude::*, sample::select};
use rusqlite::Connection;

use super::*;
use crate::store::fixture::row;

fn by_pages(store: &Store) -> Option<Graph> {
    store.rest();
    Snapshot::pages(&store.layout(), super::super::decode::graph)
}

fn by_sqlite(store: &Store) -> Graph {
    Snapshot::with(&store.layout(), |snapshot| {
        Graph::of(&store.layout(), snapshot)
    })
    .unwrap()
}

/// One change of a database.
#[derive(Debug, Clone)]
enum Change {
    /// A path, the length of its name and of its signatures, and what it says it was built by.
    Add(usize, usize, Option<u8>),
    Refer(u8, u8),
    Output(u8, u8),
    Delete(u8),
    Unsize(u8),
    Vacuum,
    Checkpoint,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => (1..150usize, prop_oneof![4 => 0..200usize, 1 => 0..9000usize], any::<Option<u8>>())
            .prop_map(|(name, signatures, deriver)| Change::Add(name, signatures, deriver)),
        6 => any::<(u8, u8)>().prop_map(|(from, to)| Change::Refer(from, to)),
        2 => any::<(u8, u8)>().prop_map(|(drv, path)| Change::Output(drv, path)),
        2 => any::<u8>().prop_map(Change::Delete),
        1 => any::<u8>().prop_map(Change::Unsize),
        1 => Just(Change::Vacuum),
        1 => Just(Change::Checkpoint),
    ]
}

fn apply(db: &Connection, change: &Change, number: usize) {
    let id = |n: u8| {
        let query = "SELECT id FROM ValidPaths ORDER BY id LIMIT 1 OFFSET \
                     ?1 % (SELECT max(1, count(*)) FROM ValidPaths)";
        db.query_row(query, [n], |row| row.get::<_, i64>(0)).ok()
    };
    let full = |n: usize, length: usize| {
        format!(
            "/nix/store/{:032}-{}.drv",
            n * 7919 % 1009,
            "x".repeat(length)
        )
    };
    match change {
        Change::Add(length, signatures, deriver) => {
            let deriver = deriver.map(|n| full(usize::from(n), 1 + usize::from(n) % 150));
            db.execute(
                "INSERT OR IGNORE INTO ValidPaths \
                 (path, hash, registrationTime, deriver, narSize, sigs) \
                 VALUES (?1, 'sha256:0', 1, ?2, ?3, ?4)",
                (
                    full(number, *length),
                    deriver,
                    // Every width that an integer is stored in.
                    (1i64 << (number % 60)) - 1,
                    "s".repeat(*signatures),
                ),
            )
            .unwrap();
        }
        Change::Refer(from, to) => {
            if let (Some(from), Some(to)) = (id(*from), id(*to)) {
                let insert = "INSERT OR IGNORE INTO Refs VALUES (?1, ?2)";
                db.execute(insert, [from, to]).unwrap();
            }
        }
        Change::Output(drv, path) => {
            if let (Some(drv), Some(path)) = (id(*drv), id(*path)) {
                db.execute(
                    "INSERT INTO DerivationOutputs SELECT ?1, ?3, path FROM ValidPaths WHERE id = ?2",
                    (drv, path, format!("out{number}")),
                )
                .unwrap();
            }
        }
        Change::Delete(n) => {
            if let Some(id) = id(*n) {
                for delete in [
                    "DELETE FROM Refs WHERE referrer = ?1 OR reference = ?1",
                    "DELETE FROM DerivationOutputs WHERE drv = ?1",
                    "DELETE FROM ValidPaths WHERE id = ?1",
                ] {
                    db.execute(delete, [id]).unwrap();
                }
            }
        }
        Change::Unsize(n) => {
            if let Some(id) = id(*n) {
                let update = "UPDATE ValidPaths SET narSize = NULL WHERE id = ?1";
                db.execute(update, [id]).unwrap();
            }
        }
        Change::Vacuum => db.execute_batch("VACUUM").unwrap(),
        Change::Checkpoint => drop(db.execute_batch("PRAGMA wal_checkpoint(PASSIVE)")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn pages_give_the_graph_that_sqlite_gives(
        page_size in select(vec![512, 1024, 4096, 65536]),
        auto_vacuum in 0..3u8,
        has_log in any::<bool>(),
        is_newer_nix in any::<bool>(),
        changes in proptest::collection::vec(change(), 0..250),
    ) {
        let store = Store::new();
        let db = store.connect();
        db.execute_batch(&format!(
            "PRAGMA page_size = {page_size}; PRAGMA auto_vacuum = {auto_vacuum}; VACUUM;
             PRAGMA synchronous = off"
        )).unwrap();
        if is_newer_nix {
            // Nix >= 2.35 drops the index, and brings tables of its own.
            db.execute_batch("DROP INDEX IndexReferrer; CREATE TABLE BuildTraceV3 (id INTEGER, x);
                              CREATE TABLE SchemaMigrations (migration TEXT PRIMARY KEY)").unwrap();
        }
        if has_log {
            db.execute_batch("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0").unwrap();
        }
        for (number, change) in changes.iter().enumerate() {
            apply(&db, change, number);
        }
        let by_pages = by_pages(&store).expect("a database that the reader knows");
        prop_assert_eq!(&by_pages, &by_sqlite(&store));
        let count: i64 = db.query_row("SELECT count(*) FROM ValidPaths", [], |row| row.get(0)).unwrap();
        prop_assert_eq!(by_pages.len(), usize::try_from(count).unwrap());
    }
}

#[test]
fn a_transaction_that_is_not_committed_is_not_read_although_the_log_holds_its_pages() {
    let store = Store::new();
    let db = store.connect();
    db.execute_batch("PRAGMA journal_mode = wal; PRAGMA cache_size = 2")
        .unwrap();
    db.execute_batch(&row(&name('a', "x"))).unwrap();
    let log = store.path("nix/var/nix/db/db.sqlite-wal");
    let before = log.metadata().unwrap().len();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    for number in 0..300 {
        let row = row(&name('b', &format!("{number:0100}")));
        db.execute_batch(&row).unwrap();
    }
    assert!(
        log.metadata().unwrap().len() > before,
        "the cache held it all"
    );
    assert_eq!(by_pages(&store).unwrap().len(), 1);
    db.execute_batch("COMMIT").unwrap();
    assert_eq!(by_pages(&store).unwrap().len(), 301);
}

#[test]
fn a_frame_whose_checksum_is_wrong_ends_the_log_as_it_does_for_sqlite() {
    let store = Store::new();
    let db = store.connect();
    db.execute_batch("PRAGMA journal_mode = wal").unwrap();
    db.execute_batch(&row(&name('a', "x"))).unwrap();
    let log = store.path("nix/var/nix/db/db.sqlite-wal");
    let whole = std::fs::read(&log).unwrap();
    db.execute_batch(&row(&name('b', "x"))).unwrap();
    let mut torn = std::fs::read(&log).unwrap();
    assert!(torn.len() > whole.len());
    *torn.last_mut().unwrap() ^= 1;
    std::fs::write(&log, torn).unwrap();
    assert_eq!(by_pages(&store).unwrap().len(), 1);
}

#[test]
fn a_database_that_was_just_written_is_left_to_sqlite() {
    let store = Store::new();
    store.register(&name('a', "x"));
    assert!(Snapshot::pages(&store.layout(), super::super::decode::graph).is_none());
    assert_eq!(Graph::read(&store.layout()).unwrap().len(), 1);
}

#[test]
fn a_database_that_changes_under_the_reader_is_not_believed() {
    let store = Store::new();
    store.register(&name('a', "x"));
    store.rest();
    let read = Snapshot::pages(&store.layout(), |pages| {
        let graph = super::super::decode::graph(pages);
        store.register(&name('b', "x"));
        graph
    });
    assert!(read.is_none());
}

#[test]
fn what_the_reader_does_not_know_is_left_to_sqlite() {
    for odd in [
        "DROP TABLE Refs; CREATE TABLE Refs (reference INTEGER, referrer INTEGER, \
         PRIMARY KEY (reference, referrer))",
        "DROP TABLE Refs; CREATE TABLE Refs (referrer INTEGER, reference INTEGER, \
         PRIMARY KEY (referrer, reference)) WITHOUT ROWID",
        "DROP TABLE Refs; CREATE TABLE Refs (referrer INTEGER, reference INTEGER, \
         PRIMARY KEY (referrer DESC, reference))",
        "ALTER TABLE ValidPaths DROP COLUMN narSize",
        "UPDATE ValidPaths SET narSize = 1.5",
        "UPDATE ValidPaths SET narSize = -1",
        "INSERT INTO Refs VALUES (1, 99)",
        "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET rootpage = 1 WHERE name = 'Refs'",
    ] {
        let store = Store::new();
        store.register(&name('a', "x"));
        assert!(by_pages(&store).is_some());
        store.sql(odd);
        let is_refused = by_pages(&store).is_none();
        assert!(is_refused || odd.contains("writable_schema"), "{odd}");
    }
}

/// A newer Nix might declare them so: the rows would be read from left to right past what is meant.
#[test]
fn columns_in_another_order_are_left_to_sqlite_which_reads_them_by_name() {
    let (drv, out) = (name('a', "x.drv"), name('b', "x"));
    for declared in [
        "DROP TABLE ValidPaths; CREATE TABLE ValidPaths (
            id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, path TEXT UNIQUE NOT NULL,
            hash TEXT NOT NULL, registrationTime INTEGER NOT NULL, narSize INTEGER, deriver TEXT,
            ultimate INTEGER, sigs TEXT, ca TEXT)",
        "DROP TABLE DerivationOutputs; CREATE TABLE DerivationOutputs (
            path TEXT NOT NULL, id TEXT NOT NULL, drv INTEGER NOT NULL, PRIMARY KEY (drv, id))",
    ] {
        let store = Store::new();
        store.sql(declared);
        store.register(&drv);
        store.register(&out);
        store.sql(&format!(
            "INSERT INTO DerivationOutputs (drv, id, path) VALUES (1, 'out', '/nix/store/{out}')"
        ));
        assert!(by_pages(&store).is_none(), "{declared}");
        let graph = Graph::read(&store.layout()).unwrap();
        let (drv, out) = (graph.find(&drv).unwrap(), graph.find(&out).unwrap());
        assert_eq!(graph.outputs(drv), [out]);
        assert_eq!(graph.nar_bytes(out), 100);
    }
}

#[test]
fn bytes_turned_at_random_end_in_the_graph_of_sqlite_or_in_a_refusal() {
    let store = Store::new();
    for letter in 'a'..='z' {
        store.register(&name(letter, &"x".repeat(100)));
    }
    store.sql(
        "INSERT INTO Refs SELECT a.id, b.id FROM ValidPaths a, ValidPaths b WHERE b.id <= a.id",
    );
    let whole = std::fs::read(store.layout().database()).unwrap();
    let mut seed = 1u64;
    let mut refused = 0;
    for _ in 0..500 {
        let mut torn = whole.clone();
        for _ in 0..3 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let at = (seed >> 33) as usize % torn.len();
            torn[at] = seed.to_le_bytes()[3];
        }
        std::fs::write(store.layout().database(), torn).unwrap();
        // No panic, no endless loop; what a wrong byte in a name makes of it is the name's matter.
        refused += usize::from(by_pages(&store).is_none());
    }
    assert!(refused > 0);
}
