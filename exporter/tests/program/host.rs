//! A fixture tree: the parts of a NixOS host that the exporter reads.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use tempfile::TempDir;

/// `schema.sql` of Nix 2.34, without the triggers.
const SCHEMA: &str = "
    CREATE TABLE ValidPaths (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, path TEXT UNIQUE NOT NULL,
        hash TEXT NOT NULL, registrationTime INTEGER NOT NULL, deriver TEXT, narSize INTEGER,
        ultimate INTEGER, sigs TEXT, ca TEXT);
    CREATE TABLE Refs (referrer INTEGER NOT NULL, reference INTEGER NOT NULL,
        PRIMARY KEY (referrer, reference));
    CREATE TABLE DerivationOutputs (drv INTEGER NOT NULL, id TEXT NOT NULL, path TEXT NOT NULL,
        PRIMARY KEY (drv, id));";

/// The host; it is deleted at the end.
pub(crate) struct Host {
    pub(crate) dir: TempDir,
}

/// Store names with a valid hash part.
pub(crate) fn name(letter: char, rest: &str) -> String {
    format!("{}-{rest}", letter.to_string().repeat(32))
}

impl Host {
    /// Two systems, of which the older was booted; a dead library; a build user that is busy.
    pub(crate) fn new() -> Self {
        let host = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        // Readable to the unprivileged user that some tests run the program as.
        fs::set_permissions(host.dir.path(), Permissions::from_mode(0o755)).unwrap();
        for dir in [
            "nix/store",
            "nix/var/nix/db",
            "nix/var/nix/gcroots",
            "etc/nix",
            "run",
        ] {
            fs::create_dir_all(host.root().join(dir)).unwrap();
        }
        host.store();
        host.profiles();
        host.build_users();
        host.surroundings();
        host
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(crate) fn proc_dir(&self) -> PathBuf {
        self.dir.path().join("proc")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root().join("nix/var/nix/db/db.sqlite")
    }

    fn store(&self) {
        let old = name('1', "nixos-system-old");
        let new = name('2', "nixos-system-new");
        let library = name('3', "library");
        let dead = name('4', "dead");
        let db = Connection::open(self.database()).unwrap();
        db.execute_batch(SCHEMA).unwrap();
        for (path, size) in [(&old, 1000), (&new, 2000), (&library, 300), (&dead, 40)] {
            fs::create_dir(self.root().join("nix/store").join(path)).unwrap();
            db.execute(
                "INSERT INTO ValidPaths (path, hash, registrationTime, narSize, ultimate)
                 VALUES ('/nix/store/' || ?1, 'sha256:0', 1, ?2, 1)",
                (path, size),
            )
            .unwrap();
        }
        db.execute_batch("INSERT INTO Refs VALUES (2, 3), (4, 3)")
            .unwrap();
        fs::write(
            self.root().join("nix/store").join(name('5', "stray.lock")),
            "",
        )
        .unwrap();
        for (system, kernel) in [(&old, "k1"), (&new, "k2")] {
            for part in ["kernel", "initrd", "kernel-modules"] {
                let link = self.root().join("nix/store").join(system).join(part);
                symlink(format!("/nix/store/{kernel}"), link).unwrap();
            }
        }
    }

    fn profiles(&self) {
        let profiles = self.root().join("nix/var/nix/profiles");
        fs::create_dir_all(profiles.join("per-user/root")).unwrap();
        let generation = |profile: &str, number: u32, target: &str| {
            let link = profiles.join(format!("{profile}-{number}-link"));
            symlink(format!("/nix/store/{target}"), link).unwrap();
        };
        let (old, new) = (name('1', "nixos-system-old"), name('2', "nixos-system-new"));
        generation("system", 3, &old);
        generation("system", 4, &new);
        symlink("system-4-link", profiles.join("system")).unwrap();
        generation("per-user/root/profile", 1, &name('3', "library"));
        symlink("profile-1-link", profiles.join("per-user/root/profile")).unwrap();
        // A profile whose name needs escaping.
        generation("od\"d\n", 1, &name('3', "library"));
        symlink("od\"d\n-1-link", profiles.join("od\"d\n")).unwrap();
        for (link, system) in [("booted-system", &old), ("current-system", &new)] {
            symlink(
                format!("/nix/store/{system}"),
                self.root().join("run").join(link),
            )
            .unwrap();
        }
    }

    /// Room for kernels, the flake that the system is made of, and the daemon's control group.
    fn surroundings(&self) {
        let root = self.root();
        fs::create_dir(root.join("boot")).unwrap();
        write(
            &root.join("etc/nixos/flake.lock"),
            r#"{"version": 7, "root": "root", "nodes": {
                "root": {"inputs": {"nixpkgs": "nixpkgs"}},
                "nixpkgs": {"locked": {"lastModified": 1700000000}}}}"#,
        );
        let group = root.join("sys/fs/cgroup/system.slice/nix-daemon.service");
        for (resource, total) in [("cpu", 4_000_000), ("io", 3_000_000), ("memory", 2_500_000)] {
            let line = |kind| format!("{kind} avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n");
            let text = [line("some"), line("full")].concat();
            write(&group.join(format!("{resource}.pressure")), &text);
        }
        write(&group.join("memory.current"), "1048576\n");
        write(&group.join("memory.max"), "8388608\n");
    }

    fn build_users(&self) {
        let root = self.root();
        fs::write(
            root.join("etc/group"),
            "root:x:0:\nnixbld:x:30000:nixbld1,nixbld2\n",
        )
        .unwrap();
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\n\
             nixbld1:x:30001:30000::/var/empty:/bin/false\n\
             nixbld2:x:30002:30000::/var/empty:/bin/false\n",
        )
        .unwrap();
        let pool = root.join("nix/var/nix/userpool");
        fs::create_dir(&pool).unwrap();
        for uid in [30001, 30002] {
            fs::write(pool.join(uid.to_string()), "").unwrap();
        }
        let proc_dir = self.proc_dir();
        fs::create_dir_all(proc_dir.join("self")).unwrap();
        fs::create_dir_all(proc_dir.join("4242/fd")).unwrap();
        let meta = fs::metadata(pool.join("30001")).unwrap();
        let (major, minor) = (
            nix::sys::stat::major(meta.dev()),
            nix::sys::stat::minor(meta.dev()),
        );
        let inode = meta.ino();
        fs::write(
            proc_dir.join("locks"),
            format!("1: FLOCK  ADVISORY  WRITE 4242 {major:02x}:{minor:02x}:{inode} 0 EOF\n"),
        )
        .unwrap();
        fs::write(
            proc_dir.join("self/mountinfo"),
            format!("1 1 {major}:{minor} / / rw - ext4 /dev/x rw\n"),
        )
        .unwrap();
        fs::write(proc_dir.join("stat"), "cpu 0\nbtime 1700000000\n").unwrap();
    }
}

/// Writes a file, with the directories above it.
pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
