//! A host made of files: a store with its database, profiles, and the links of a NixOS system.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rusqlite::{Connection, params};
use serde_json::Value;
use tempfile::TempDir;

/// The tables of Nix's `schema.sql`, as far as a reader needs them.
const SCHEMA: &str = "
    CREATE TABLE ValidPaths (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
        path TEXT UNIQUE NOT NULL, hash TEXT NOT NULL, registrationTime INTEGER NOT NULL,
        deriver TEXT, narSize INTEGER, ultimate INTEGER, sigs TEXT, ca TEXT);
    CREATE TABLE Refs (referrer INTEGER NOT NULL, reference INTEGER NOT NULL,
        PRIMARY KEY (referrer, reference));
    CREATE TABLE DerivationOutputs (drv INTEGER NOT NULL, id TEXT NOT NULL, path TEXT NOT NULL,
        PRIMARY KEY (drv, id));";

pub(crate) struct Fixture {
    dir: TempDir,
    next: std::cell::Cell<u32>,
}

/// How the program ended, and what it said.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Standard output of a run that found nothing to complain of.
    pub(crate) fn clean(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        assert!(
            !self.out.contains('\x1b'),
            "colour where there is no terminal"
        );
        self.out
    }

    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.clean()).unwrap()
    }

    /// The one message of a run that failed with this exit code and printed no answer.
    pub(crate) fn message(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{}", self.err);
        let message = self.err.strip_prefix("snowguard: ").unwrap().trim_end();
        assert!(!message.contains("snowguard: "), "{message}");
        message.to_owned()
    }
}

impl Fixture {
    /// A host with an empty store, seen by any user.
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let host = Self {
            dir,
            next: std::cell::Cell::new(1),
        };
        for sub in ["store", "var/nix/db", "var/nix/profiles", "var/nix/gcroots"] {
            fs::create_dir_all(host.root().join("nix").join(sub)).unwrap();
        }
        symlink(
            "/nix/var/nix/profiles",
            host.root().join("nix/var/nix/gcroots/profiles"),
        )
        .unwrap();
        host.database().execute_batch(SCHEMA).unwrap();
        host
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("host")
    }

    pub(crate) fn database_path(&self) -> PathBuf {
        self.root().join("nix/var/nix/db/db.sqlite")
    }

    fn database(&self) -> Connection {
        Connection::open(self.database_path()).unwrap()
    }

    /// Adds a valid path with a file of so many bytes and returns it.
    pub(crate) fn path(&self, name: &str, bytes: usize) -> String {
        let number = self.next.get();
        self.next.set(number + 1);
        let path = format!("/nix/store/{number:0>32}-{name}");
        let place = self.root().join(&path[1..]);
        fs::create_dir(&place).unwrap();
        fs::write(place.join("data"), vec![b'x'; bytes]).unwrap();
        self.database()
            .execute(
                "INSERT INTO ValidPaths (path, hash, registrationTime, narSize) VALUES (?1, 'sha256:0', 1700000000, ?2)",
                params![path, i64::try_from(bytes).unwrap()],
            )
            .unwrap();
        path
    }

    /// Lets one path refer to another.
    pub(crate) fn refer(&self, from: &str, to: &str) {
        self.database()
            .execute(
                "INSERT INTO Refs SELECT a.id, b.id FROM ValidPaths a, ValidPaths b \
                 WHERE a.path = ?1 AND b.path = ?2",
                [from, to],
            )
            .unwrap();
    }

    /// Makes a link of the host, and the directories on the way to it.
    pub(crate) fn link(&self, link: &str, target: &str) {
        let link = self.root().join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target, link).unwrap();
    }

    /// Makes one generation of a profile.
    pub(crate) fn generation(&self, profile: &str, number: u64, path: &str) {
        self.link(
            &format!("nix/var/nix/profiles/{profile}-{number}-link"),
            path,
        );
    }

    /// Writes a file outside the host, such as a configuration, and returns its name.
    pub(crate) fn beside(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    /// Writes a file of the host.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The program, about to look at this host.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snowguard"));
        command.arg("--root").arg(self.root()).args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Runs the program as a user without any privilege.
    pub(crate) fn run_as_nobody(&self, args: &[&str]) -> Ran {
        // The program may lie where only its builder may go. It is copied by another process: a
        // file that this one has open for writing cannot be executed.
        let program = self.dir.path().join("snowguard");
        if !program.exists() {
            let mut copy = Command::new("cp");
            copy.arg(env!("CARGO_BIN_EXE_snowguard")).arg(&program);
            assert!(copy.status().unwrap().success());
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(program)
            .arg("--root")
            .arg(self.root())
            .args(args)
            .current_dir("/");
        Ran::of(command.output().unwrap())
    }

    /// Everything of the host that a change would show in.
    pub(crate) fn tree(&self) -> Vec<String> {
        let mut seen = Vec::new();
        look(&self.root(), &mut seen);
        seen.sort();
        seen
    }
}

fn look(path: &Path, seen: &mut Vec<String>) {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::symlink_metadata(path).unwrap();
    let changed = (meta.ctime(), meta.ctime_nsec());
    seen.push(format!(
        "{path:?} {} {} {changed:?}",
        meta.mode(),
        meta.len()
    ));
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            look(&entry.unwrap().path(), seen);
        }
    }
}
