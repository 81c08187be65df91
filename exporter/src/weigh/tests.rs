//! A scrape takes the latest answer along and never waits for the next.

use std::{fs, path::PathBuf, thread, time::Duration};

use snowguard_host::NixConf;

use super::*;

/// A store whose paths are all dead.
struct Store {
    dir: tempfile::TempDir,
}

const SCHEMA: &str = "
    CREATE TABLE ValidPaths (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, path TEXT UNIQUE NOT NULL,
        hash TEXT NOT NULL, registrationTime INTEGER NOT NULL, deriver TEXT, narSize INTEGER,
        ultimate INTEGER, sigs TEXT, ca TEXT);
    CREATE TABLE Refs (referrer INTEGER NOT NULL, reference INTEGER NOT NULL,
        PRIMARY KEY (referrer, reference));
    CREATE TABLE DerivationOutputs (drv INTEGER NOT NULL, id TEXT NOT NULL, path TEXT NOT NULL,
        PRIMARY KEY (drv, id));";

impl Store {
    fn new() -> Self {
        let store = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for dir in [
            "nix/store",
            "nix/var/nix/db",
            "nix/var/nix/gcroots",
            "nix/var/nix/profiles",
            "proc/self",
        ] {
            fs::create_dir_all(store.dir.path().join(dir)).unwrap();
        }
        for file in ["proc/locks", "proc/self/mountinfo"] {
            fs::write(store.dir.path().join(file), "").unwrap();
        }
        store.sql(SCHEMA);
        store
    }

    fn layout(&self) -> Layout {
        Layout::new(self.dir.path()).with_proc(self.dir.path().join("proc"))
    }

    fn sql(&self, text: &str) {
        let db = self.dir.path().join("nix/var/nix/db/db.sqlite");
        let db = rusqlite::Connection::open(db).unwrap();
        db.execute_batch(text).unwrap();
    }

    /// A dead path of so many KiB.
    fn add(&self, letter: char, kib: usize) -> PathBuf {
        let name = format!("{}-x", letter.to_string().repeat(32));
        self.sql(&format!(
            "INSERT INTO ValidPaths (path, hash, registrationTime, narSize) \
             VALUES ('/nix/store/{name}', 'sha256:0', 1, 100)"
        ));
        let path = self.dir.path().join("nix/store").join(name);
        fs::write(&path, vec![0x5a; kib * 1024]).unwrap();
        fs::File::open(&path).unwrap().sync_all().unwrap();
        path
    }

    fn look(&self, weigher: &mut Weigher, at: u64) -> Option<(u64, u64)> {
        let layout = self.layout();
        let analysis = Analysis::read(&layout, &NixConf::default()).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
        let answer = weigher.look(&layout, &analysis, now).unwrap()?;
        let at = answer.at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Some((answer.sum.files, at.as_secs()))
    }
}

fn beside() -> Weighing {
    Weighing::Beside(Share::percent(100).unwrap())
}

/// Looks at this moment until the answer is this one. Each look finds an answer or begins one.
fn until(store: &Store, weigher: &mut Weigher, at: u64, wanted: (u64, u64)) {
    for _ in 0..12_000 {
        if store.look(weigher, at) == Some(wanted) {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("{:?} and never {wanted:?}", store.look(weigher, at));
}

#[test]
fn there_is_no_answer_before_the_first_and_then_the_latest_until_the_next() {
    let store = Store::new();
    store.add('a', 4);
    let mut weigher = Weigher::new(beside());
    assert_eq!(store.look(&mut weigher, 10), None, "not zero");
    until(&store, &mut weigher, 20, (1, 20));
    // Nothing has changed: what was true is true now.
    assert_eq!(store.look(&mut weigher, 30), Some((1, 30)));
    // Something has: what is said is what was true then, until the new is known.
    store.add('b', 4);
    assert_eq!(store.look(&mut weigher, 40), Some((1, 30)));
    until(&store, &mut weigher, 50, (2, 50));
}

#[test]
fn the_answer_that_comes_is_about_the_moment_at_which_it_was_asked_for() {
    let store = Store::new();
    let mut weigher = Weigher::new(beside());
    store.add('a', 4);
    assert_eq!(store.look(&mut weigher, 10), None);
    // The thread has finished when it answers, and this second path was not in its question.
    store.add('b', 4);
    let first = (0..12_000).find_map(|_| {
        thread::sleep(Duration::from_millis(5));
        store.look(&mut weigher, 20)
    });
    assert_eq!(first, Some((1, 10)));
}

#[test]
fn a_store_may_be_weighed_within_the_collection_and_not_at_all() {
    let store = Store::new();
    store.add('a', 4);
    let look = |weighing| store.look(&mut Weigher::new(weighing), 10);
    assert_eq!(look(Weighing::Within), Some((1, 10)));
    assert_eq!(look(Weighing::Off), None);
}

#[test]
fn more_paths_than_are_handed_over_at_once_are_all_weighed() {
    let store = Store::new();
    let paths = BATCH + 10;
    let rows: String = (0..paths)
        .map(|n| format!("INSERT INTO ValidPaths (path, hash, registrationTime) VALUES ('/nix/store/{n:032}-x', '', 1);"))
        .collect();
    store.sql(&format!("BEGIN; {rows} COMMIT;"));
    let directory = store.dir.path().join("nix/store");
    for n in 0..paths {
        fs::write(directory.join(format!("{n:032}-x")), "").unwrap();
    }
    let mut weigher = Weigher::new(Weighing::Within);
    assert_eq!(store.look(&mut weigher, 10), Some((paths as u64, 10)));
}

#[test]
fn what_could_not_be_read_is_tried_again() {
    let store = Store::new();
    store.add('a', 4);
    // Root may read everything, but a name that no file can have.
    let bad = store.dir.path().join("nix/store").join(".links");
    fs::write(&bad, "no directory").unwrap();
    let mut weigher = Weigher::new(Weighing::Within);
    assert_eq!(store.look(&mut weigher, 10), Some((1, 10)));
    assert!(!weigher.answer.as_ref().unwrap().sum.unread.is_empty());
    fs::remove_file(&bad).unwrap();
    assert_eq!(store.look(&mut weigher, 20), Some((1, 20)));
    assert!(weigher.answer.as_ref().unwrap().sum.unread.is_empty());
}
