//! Promise 8: "What cannot be read is reported, not assumed." What is kept between two looks is
//! what a fresh look would find.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::store::fixture::{Store, name, row};

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
    /// As the collector does: only what nothing refers to, whatever is asked for.
    deleted: Vec<u8>,
    /// By force, references and all, as a repair by hand may.
    torn_out: Option<u8>,
    deletes_first: bool,
    /// Then the pages are read, else SQLite is asked.
    rests: bool,
}

fn round() -> impl Strategy<Value = Round> {
    let pairs = || vec(any::<(u8, u8)>(), 0..8);
    let torn_out = prop_oneof![7 => Just(None), 1 => any::<u8>().prop_map(Some)];
    let deleted = prop_oneof![1 => Just(Vec::new()), 2 => vec(any::<u8>(), 0..8)];
    let some = vec(any::<u8>(), 0..6);
    (
        some,
        pairs(),
        pairs(),
        deleted,
        torn_out,
        any::<(bool, bool)>(),
    )
        .prop_map(
            |(added, references, outputs, deleted, torn_out, (deletes_first, rests))| Round {
                added,
                references,
                outputs,
                deleted,
                torn_out,
                deletes_first,
                rests,
            },
        )
}

fn base(number: u8) -> String {
    format!("{:032}-x", u32::from(number % 32) * 7)
}

fn play(store: &Store, round: &Round) {
    if round.deletes_first {
        collect(store, &round.deleted);
    }
    add(store, round);
    if !round.deletes_first {
        collect(store, &round.deleted);
    }
    if round.rests {
        store.rest();
    }
}

fn collect(store: &Store, numbers: &[u8]) {
    let db = store.connect();
    db.execute_batch("PRAGMA foreign_keys = 1").unwrap();
    for number in numbers {
        let delete = "DELETE FROM ValidPaths WHERE path = ?1";
        match db.execute(delete, [format!("/nix/store/{}", base(*number))]) {
            Ok(_) => {}
            Err(error) => assert!(error.to_string().contains("FOREIGN KEY"), "{error}"),
        }
    }
}

fn add(store: &Store, round: &Round) {
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
    if let Some(number) = round.torn_out {
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
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn what_is_kept_is_what_a_fresh_look_finds(rounds in vec(round(), 1..12)) {
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
fn what_is_added_is_read_alone_and_what_was_deleted_is_dropped() {
    let store = Store::new();
    let nix = wal(&store);
    store.register(&name('a', "x"));
    let resident = Resident::read(&store.layout(), NOW).unwrap();
    store.register(&name('b', "x"));
    let (resident, how) = refreshed(resident, &store);
    assert_eq!(
        how,
        Refreshed::Changed {
            added: 1,
            deleted: 0
        }
    );
    nix.execute_batch("DELETE FROM ValidPaths WHERE id = 1")
        .unwrap();
    // As many came as went: the count is the same.
    store.register(&name('c', "x"));
    let (resident, how) = refreshed(resident, &store);
    assert_eq!(how, ONE_EACH);
    assert_eq!(resident.graph(), &Graph::read(&store.layout()).unwrap());
    assert_eq!(resident.graph().registrations(), 3);
    // The same out of the pages, which are read when the files rest.
    nix.execute_batch("DELETE FROM ValidPaths WHERE id = 2")
        .unwrap();
    store.register(&name('d', "x"));
    store.rest();
    let (resident, how) = refreshed(resident, &store);
    assert_eq!(how, ONE_EACH);
    assert_eq!(resident.graph(), &Graph::read(&store.layout()).unwrap());
}

const ONE_EACH: Refreshed = Refreshed::Changed {
    added: 1,
    deleted: 1,
};

#[test]
fn a_derivation_and_an_output_that_went_and_came_back_are_each_others_again() {
    let store = Store::new();
    let nix = wal(&store);
    let (drv, out) = (name('a', "x.drv"), name('b', "x"));
    let derivation = format!(
        "{} INSERT INTO DerivationOutputs SELECT id, 'out', '/nix/store/{out}' FROM ValidPaths \
         WHERE path = '/nix/store/{drv}';",
        row(&drv)
    );
    let output = format!(
        "{} UPDATE ValidPaths SET deriver = '/nix/store/{drv}' WHERE path = '/nix/store/{out}';",
        row(&out)
    );
    let delete = |name: &str| format!("DELETE FROM ValidPaths WHERE path = '/nix/store/{name}';");
    let off = "PRAGMA foreign_keys = 1;".to_owned();
    nix.execute_batch(&[off, derivation.clone(), output.clone()].concat())
        .unwrap();
    let mut resident = Resident::read(&store.layout(), NOW).unwrap();
    // Back before anything was known to be gone; gone in one look and back in the next; then both
    // in one.
    for step in [
        delete(&out) + &output,
        delete(&drv),
        derivation.clone(),
        delete(&out),
        output.clone(),
        delete(&drv) + &derivation,
        delete(&out) + &output,
        delete(&drv) + &delete(&out) + &output,
        derivation.clone(),
    ] {
        nix.execute_batch(&step).unwrap();
        let (now, how) = refreshed(resident, &store);
        assert!(matches!(how, Refreshed::Changed { .. }), "{how:?}: {step}");
        let fresh = Graph::read(&store.layout()).unwrap();
        assert_eq!(now.graph(), &fresh, "{step}");
        resident = now;
    }
    let graph = resident.graph();
    let [drv, out] = [drv, out].map(|name| graph.find(&name).unwrap());
    assert_eq!(graph.outputs(drv), [out]);
    assert_eq!(graph.deriver(out), Some(drv));
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
