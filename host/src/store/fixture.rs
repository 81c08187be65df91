//! A store as Nix leaves it on disk, with the schema that it makes (`libstore/schema.sql`, the same
//! in 2.3 to 2.34), small enough to be written row by row.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rusqlite::Connection;
use tempfile::TempDir;

use crate::Layout;

const SCHEMA: &str = "
    CREATE TABLE ValidPaths (
        id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, path TEXT UNIQUE NOT NULL,
        hash TEXT NOT NULL, registrationTime INTEGER NOT NULL, deriver TEXT, narSize INTEGER,
        ultimate INTEGER, sigs TEXT, ca TEXT);
    CREATE TABLE Refs (
        referrer INTEGER NOT NULL, reference INTEGER NOT NULL, PRIMARY KEY (referrer, reference),
        FOREIGN KEY (referrer) REFERENCES ValidPaths(id) ON DELETE CASCADE,
        FOREIGN KEY (reference) REFERENCES ValidPaths(id) ON DELETE RESTRICT);
    CREATE INDEX IndexReferrer ON Refs(referrer);
    CREATE INDEX IndexReference ON Refs(reference);
    CREATE TRIGGER DeleteSelfRefs BEFORE DELETE ON ValidPaths
        BEGIN DELETE FROM Refs WHERE referrer = old.id AND reference = old.id; END;
    CREATE TABLE DerivationOutputs (
        drv INTEGER NOT NULL, id TEXT NOT NULL, path TEXT NOT NULL, PRIMARY KEY (drv, id),
        FOREIGN KEY (drv) REFERENCES ValidPaths(id) ON DELETE CASCADE);
    CREATE INDEX IndexDerivationOutputs ON DerivationOutputs(path);
";

/// The store, removed at the end of the test.
pub(crate) struct Store {
    root: TempDir,
}

impl Store {
    /// An empty store, its database closed and without a write-ahead log.
    pub(crate) fn new() -> Self {
        let root = TempDir::new().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for sub in [
            "store",
            "var/nix/db",
            "var/nix/gcroots/auto",
            "var/nix/profiles",
        ] {
            fs::create_dir_all(root.path().join("nix").join(sub)).unwrap();
        }
        let store = Self { root };
        store.sql(SCHEMA);
        store
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::new(self.root.path())
    }

    pub(crate) fn path(&self, sub: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(sub)
    }

    /// A connection such as Nix has to the database.
    pub(crate) fn connect(&self) -> Connection {
        let connection = Connection::open(self.path("nix/var/nix/db/db.sqlite")).unwrap();
        // A reference to nothing is what a damaged database has.
        connection.execute_batch("PRAGMA foreign_keys = 0").unwrap();
        connection
    }

    pub(crate) fn sql(&self, statements: &str) {
        self.connect().execute_batch(statements).unwrap();
    }

    /// Makes the database and its log look as if nobody had written to them for a while.
    pub(crate) fn rest(&self) {
        for suffix in ["", "-wal"] {
            let file = self.path(format!("nix/var/nix/db/db.sqlite{suffix}"));
            if file.exists() {
                let file = fs::File::options().write(true).open(file).unwrap();
                let before = SystemTime::now() - Duration::from_secs(60);
                file.set_modified(before).unwrap();
            }
        }
    }

    /// Registers a path of 100 bytes by its base name.
    pub(crate) fn register(&self, name: &str) {
        self.sql(&row(name));
    }
}

/// The statement that registers a path.
pub(crate) fn row(name: &str) -> String {
    format!(
        "INSERT INTO ValidPaths (path, hash, registrationTime, narSize) \
         VALUES ('/nix/store/{name}', 'sha256:0', 1, 100);"
    )
}

/// A base name with a hash part made of one character.
pub(crate) fn name(hash: char, rest: &str) -> String {
    format!("{}-{rest}", hash.to_string().repeat(32))
}
