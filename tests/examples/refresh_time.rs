//! What it costs to bring a kept graph up to date, beside a full analysis, in one run:
//! `refresh_time ROOT`. The database of ROOT is changed: give a copy.

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use rusqlite::Connection;
use snowguard_host::{
    Layout, NixConf,
    store::{Analysis, Graph, Refreshed, Resident},
};

const RUNS: usize = 7;

fn time<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let what = run();
    (begun.elapsed(), what)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Longer than it takes until the files count as resting.
fn rest() {
    std::thread::sleep(Duration::from_millis(150));
}

fn add(db: &mut Connection, run: usize, paths: usize) {
    let tx = db.transaction().unwrap();
    for number in 0..paths {
        tx.execute(
            "INSERT INTO ValidPaths (path, hash, registrationTime, narSize) \
             VALUES ('/nix/store/' || ?1, 'sha256:0', 1, 4096)",
            [format!("{run:04}{number:028}-new")],
        )
        .unwrap();
        let id = tx.last_insert_rowid();
        // About as many references as the paths of such a store have, to older ones.
        tx.execute(
            "INSERT OR IGNORE INTO Refs \
             SELECT ?1, id FROM (SELECT id FROM ValidPaths WHERE id > ?2 % 100000 LIMIT 8)",
            [id, id * 7919],
        )
        .unwrap();
    }
    tx.commit().unwrap();
}

/// Deletes so many paths that nothing refers to, or that nothing refers to any more.
fn delete(db: &Connection, paths: usize) {
    db.execute_batch("PRAGMA foreign_keys = 1; BEGIN").unwrap();
    let mut left = paths;
    while left > 0 {
        let deleted = db
            .execute(
                "DELETE FROM ValidPaths WHERE id IN (SELECT id FROM ValidPaths p WHERE NOT EXISTS \
                 (SELECT 1 FROM Refs WHERE reference = p.id AND referrer != p.id) LIMIT ?1)",
                [i64::try_from(left).unwrap()],
            )
            .unwrap();
        assert!(deleted > 0, "nothing is left to delete");
        left -= deleted;
    }
    db.execute_batch("COMMIT").unwrap();
}

fn main() {
    let root = std::env::args_os().nth(1).expect("a root directory");
    let layout = Layout::at(Path::new(&root));
    let conf = NixConf::default();
    let now = SystemTime::now();
    let mut db = Connection::open(layout.database()).expect("the database");
    rest();
    let mut times: [Vec<Duration>; 4] = Default::default();
    let mut kept = Resident::read(&layout, now).unwrap();
    println!("{} paths", kept.graph().len());
    for run in 0..RUNS {
        let (whole, analysis) = time(|| Analysis::read(&layout, &conf).unwrap());
        drop(analysis);
        let (graph, _) = time(|| Graph::read(&layout).unwrap());
        add(&mut db, run, 1000);
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        rest();
        let (after_adding, (resident, how)) = time(|| kept.refresh(&layout, now).unwrap());
        let added = Refreshed::Changed {
            added: 1000,
            deleted: 0,
        };
        assert_eq!(how, added);
        delete(&db, 5000);
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        rest();
        let (after_deleting, (resident, how)) = time(|| resident.refresh(&layout, now).unwrap());
        let deleted = Refreshed::Changed {
            added: 0,
            deleted: 5000,
        };
        assert_eq!(how, deleted);
        kept = resident;
        for (times, one) in times
            .iter_mut()
            .zip([whole, graph, after_adding, after_deleting])
        {
            times.push(one);
        }
    }
    assert_eq!(kept.graph(), &Graph::read(&layout).unwrap());
    let whole = median(&mut times[0]);
    println!();
    println!("| what | milliseconds | of a full analysis |");
    println!("|---|---|---|");
    for (what, times) in [
        "full analysis",
        "reading the graph alone",
        "refresh after 1000 new paths",
        "refresh after 5000 deleted paths",
    ]
    .iter()
    .zip(&mut times)
    {
        let one = median(times);
        println!(
            "| {what} | {:.1} | {:.1} % |",
            1e3 * one.as_secs_f64(),
            100.0 * one.as_secs_f64() / whole.as_secs_f64()
        );
    }
}
