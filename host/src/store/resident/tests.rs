//! Promise 8: "What cannot be read is reported, not assumed." What is kept between two looks is
//! what a fresh look would find.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::store::fixture::{Store, name};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn refreshed(resident: Resident, store: &Store) -> (Resident, Refreshed) {
    resident.refresh(&store.layout(), NOW).unwrap()
}

/// What Nix does to a database: some paths come, with edges among themselves and to older ones,
/// and some go.
#[derive(Debug, Clone)]
struct Round {
    added: Vec<u8>,
    references: Vec<(u8, u8)>,
    outputs: Vec<(u8, u8)>,
    deleted: Option<u8>,
}

fn round() -> impl Strategy<Value = Round> {
    let pairs = || vec(any::<(u8, u8)>(), 0..8);
    let deleted = prop_oneof![3 => Just(None), 1 => any::<u8>().prop_map(Some)];
    (vec(any::<u8>(), 0..6), pairs(), pairs(), deleted).prop_map(
        |(added, references, outputs, deleted)| Round {
            added,
            references,
            outputs,
            deleted,
        },
    )
}

fn base(number: u8) -> String {
    format!("{:032}-x", u32::from(number % 32) * 7)
}

fn play(store: &Store, round: &Round) {
    let db = store.connect();
    let last: i64 = db
        .query_row("SELECT coalesce(max(id), 0) FROM ValidPaths", [], |row| {
            row.get(0)
        })
        .unwrap();
    for number in &round.added {
        // Half of the derivers are valid, or become so later.
        db.execute(
            "INSERT OR IGNORE INTO ValidPaths (path, hash, registrationTime, narSize, deriver) \
             VALUES ('/nix/store/' || ?1, 'sha256:0', 1, ?2, '/nix/store/' || ?3)",
            (base(*number), number, base(number.wrapping_mul(37))),
        )
        .unwrap();
    }
    // Only a new path gets references, but to any; a derivation says its outputs when it comes,
    // which may be before they do.
    for (from, to) in &round.references {
        db.execute(
            "INSERT OR IGNORE INTO Refs SELECT a.id, b.id FROM ValidPaths a, ValidPaths b \
             WHERE a.path = '/nix/store/' || ?1 AND b.path = '/nix/store/' || ?2 AND a.id > ?3",
            (base(*from), base(*to), last),
        )
        .unwrap();
    }
    for (drv, output) in &round.outputs {
        db.execute(
            "INSERT OR IGNORE INTO DerivationOutputs SELECT id, 'o' || ?2, '/nix/store/' || ?2 \
             FROM ValidPaths WHERE path = '/nix/store/' || ?1 AND id > ?3",
            (base(*drv), base(*output), last),
        )
        .unwrap();
    }
    if let Some(number) = round.deleted {
        for delete in [
            "DELETE FROM Refs WHERE reference = (SELECT id FROM ValidPaths WHERE path = ?1) \
             OR referrer = (SELECT id FROM ValidPaths WHERE path = ?1)",
            "DELETE FROM DerivationOutputs WHERE drv = (SELECT id FROM ValidPaths WHERE path = ?1)",
            "DELETE FROM ValidPaths WHERE path = ?1",
        ] {
            db.execute(delete, [format!("/nix/store/{}", base(number))])
                .unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn what_is_kept_is_what_a_fresh_look_finds(rounds in vec(round(), 1..8)) {
        let store = Store::new();
        // With the log open there is no wait for the files to rest.
        let _nix = store.connect();
        store.sql("PRAGMA journal_mode = wal");
        let nix = store.connect();
        nix.execute_batch("SELECT count(*) FROM ValidPaths").unwrap();
        let mut resident = Resident::read(&store.layout(), NOW).unwrap();
        for round in &rounds {
            play(&store, round);
            resident = refreshed(resident, &store).0;
            let fresh = Graph::read(&store.layout()).unwrap();
            prop_assert_eq!(resident.graph(), &fresh);
        }
    }
}

fn wal(store: &Store) -> rusqlite::Connection {
    let nix = store.connect();
    nix.execute_batch("PRAGMA journal_mode = wal").unwrap();
    store.sql("SELECT 1 FROM ValidPaths");
    nix
}

#[test]
fn what_is_added_is_read_alone_and_what_was_deleted_makes_the_graph_be_read_anew() {
    let store = Store::new();
    let nix = wal(&store);
    store.register(&name('a', "x"));
    let resident = Resident::read(&store.layout(), NOW).unwrap();
    store.register(&name('b', "x"));
    let (resident, how) = refreshed(resident, &store);
    assert_eq!(how, Refreshed::Added(1));
    nix.execute_batch("DELETE FROM ValidPaths WHERE id = 1")
        .unwrap();
    // As many came as went: the count is the same.
    store.register(&name('c', "x"));
    let (resident, how) = refreshed(resident, &store);
    assert_eq!(how, Refreshed::Anew);
    assert_eq!(resident.graph(), &Graph::read(&store.layout()).unwrap());
    assert_eq!(resident.graph().registrations(), 3);
}

#[test]
fn files_that_rest_are_not_read_again_until_it_is_time_to_heal() {
    let store = Store::new();
    store.register(&name('a', "x"));
    store.rest();
    let resident = Resident::read(&store.layout(), NOW).unwrap();
    let (resident, how) = refreshed(resident, &store);
    assert_eq!(how, Refreshed::Unchanged);
    let later = NOW + Resident::HEALED_AFTER;
    let (resident, how) = resident.refresh(&store.layout(), later).unwrap();
    assert_eq!(how, Refreshed::Anew);
    // So does a clock that went back.
    let (_, how) = resident.refresh(&store.layout(), NOW).unwrap();
    assert_eq!(how, Refreshed::Anew);
}
