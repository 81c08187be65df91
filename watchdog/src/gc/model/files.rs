//! The model on disk: a store with its database, profiles, roots and the links of a system.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use nix::sys::{
    stat::{UtimensatFlags, utimensat},
    time::TimeSpec,
};
use rusqlite::{Connection, params};
use snowguard_host::{Layout, provenance::Regret, store::Footprint};
use tempfile::TempDir;

use super::{BLOCK, FakeScales, World};
use crate::gc::facts::{Facts, Scales};

/// The tables of Nix's `schema.sql` (2.3 to 2.34), as far as a reader needs them.
const SCHEMA: &str = "
    CREATE TABLE ValidPaths (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
        path TEXT UNIQUE NOT NULL, hash TEXT NOT NULL, registrationTime INTEGER NOT NULL,
        deriver TEXT, narSize INTEGER, ultimate INTEGER, sigs TEXT, ca TEXT);
    CREATE TABLE Refs (referrer INTEGER NOT NULL, reference INTEGER NOT NULL,
        PRIMARY KEY (referrer, reference));
    CREATE TABLE DerivationOutputs (drv INTEGER NOT NULL, id TEXT NOT NULL, path TEXT NOT NULL,
        PRIMARY KEY (drv, id));";

/// A model written out, removed at the end of the test.
pub(crate) struct Files {
    root: TempDir,
    good: Vec<PathBuf>,
    regrets: BTreeMap<String, Regret>,
    scales: FakeScales,
}

impl Files {
    pub(crate) fn layout(&self) -> Layout {
        Layout::new(self.root.path()).with_proc(self.root.path().join("proc"))
    }

    pub(crate) fn path(&self, sub: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(sub)
    }

    pub(crate) fn facts(&self) -> Facts {
        let mut facts = Facts::read(&self.layout(), &self.good, super::at(super::NOW)).unwrap();
        assert!(facts.regrets.unreadable.is_empty());
        for (name, regret) in &self.regrets {
            if let Some(id) = facts.analysis.graph.find(name) {
                facts.regrets = facts.regrets.with(id, *regret);
            }
        }
        facts
    }

    pub(crate) fn scales(&self) -> &FakeScales {
        &self.scales
    }

    pub(crate) fn of(world: &World) -> Self {
        // Thousands of small files, and nothing that a disk is needed for.
        let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let root = root.unwrap();
        for sub in [
            "nix/store/.links",
            "nix/var/nix/db",
            "nix/var/nix/gcroots",
            "nix/var/nix/profiles",
            "etc/nix",
            "proc/self",
            "outside",
        ] {
            fs::create_dir_all(root.path().join(sub)).unwrap();
        }
        fs::write(root.path().join("proc/locks"), "").unwrap();
        fs::write(root.path().join("proc/self/mountinfo"), "").unwrap();
        let (outputs, derivations) = (world.keep.outputs, world.keep.derivations);
        let conf = format!("keep-outputs = {outputs}\nkeep-derivations = {derivations}\n");
        fs::write(root.path().join("etc/nix/nix.conf"), conf).unwrap();
        let good = world
            .good
            .iter()
            .map(|name| PathBuf::from(store_path(name)));
        let mut files = Self {
            good: good.collect(),
            regrets: world.regrets.clone(),
            root,
            scales: FakeScales {
                weights: BTreeMap::new(),
                arrived: (world.recent.iter())
                    .map(|name| (OsString::from(name), super::NOW - 10))
                    .collect(),
                left: world.left_overs(),
                made: world.made(),
            },
        };
        files.database(world);
        files.store(world);
        files.links(world);
        files
    }

    fn database(&self, world: &World) {
        let path = self.path("nix/var/nix/db/db.sqlite");
        let db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN")
            .unwrap();
        db.execute_batch(SCHEMA).unwrap();
        let mut ids = BTreeMap::new();
        for (name, entry) in &world.entries {
            let insert = "INSERT INTO ValidPaths (path, hash, registrationTime, deriver, narSize) \
                          VALUES (?1, 'sha256:0', 1, ?2, 100)";
            let deriver = entry.deriver.as_deref().map(store_path);
            db.execute(insert, params![store_path(name), deriver])
                .unwrap();
            ids.insert(name, db.last_insert_rowid());
        }
        for (name, entry) in &world.entries {
            for reference in &entry.references {
                let insert = "INSERT INTO Refs VALUES (?1, ?2)";
                db.execute(insert, [ids[name], ids[reference]]).unwrap();
            }
            for output in &entry.outputs {
                let insert = "INSERT INTO DerivationOutputs VALUES (?1, ?2, ?2)";
                db.execute(insert, params![ids[name], store_path(output)])
                    .unwrap();
            }
        }
        db.execute_batch("COMMIT").unwrap();
        drop(db);
        // A database that was written only now would be read a moment later.
        let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
        let file = fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(an_hour_ago).unwrap();
    }

    fn store(&mut self, world: &World) {
        let there = world.entries.iter().filter(|(_, entry)| entry.on_disk);
        let names = there.map(|(name, _)| name).chain(world.strays.keys());
        for name in names {
            fs::create_dir(self.path("nix/store").join(name)).unwrap();
        }
        for (number, file) in world.shared.iter().enumerate() {
            let made = self.path(format!("outside/{number}"));
            fs::write(
                &made,
                vec![b'x'; usize::try_from(file.blocks * BLOCK).unwrap()],
            )
            .unwrap();
            let meta = fs::metadata(&made).unwrap();
            assert_eq!(
                meta.blocks() * 512,
                file.blocks * BLOCK,
                "an ordinary file system"
            );
            for holder in file.holders.iter().filter(|name| world.is_there(name)) {
                let link = format!("nix/store/{holder}/{number}");
                fs::hard_link(&made, self.path(link)).unwrap();
            }
            if file.optimised {
                fs::hard_link(&made, self.path(format!("nix/store/.links/{number}"))).unwrap();
            }
            if !file.outside {
                fs::remove_file(made).unwrap();
            }
        }
        let mut weights = BTreeMap::new();
        let own = world.entries.iter().filter(|(_, entry)| entry.on_disk);
        let own = own.map(|(name, entry)| (name, entry.own, entry.readable));
        for (name, own, readable) in own.chain(world.strays.iter().map(|(n, own)| (n, *own, true)))
        {
            let read: Footprint = self.layout().weigh(OsStr::new(name)).unwrap();
            // A file whose other links are gone is no longer shared.
            let unshared = world.shared.iter().filter(|file| {
                file.holders.contains(name)
                    && !file.optimised
                    && !file.outside
                    && file.holders.iter().filter(|n| world.is_there(n)).count() == 1
            });
            let blocks = unshared.clone().map(|file| file.blocks);
            let footprint = Footprint {
                own_bytes: own.bytes + blocks.sum::<u64>() * BLOCK,
                own_files: own.files + unshared.count() as u64,
                shared: read.shared,
            };
            weights.insert(OsString::from(name), readable.then_some(footprint));
        }
        self.scales.weights = weights;
    }

    fn links(&self, world: &World) {
        for name in &world.roots {
            self.link(&format!("nix/var/nix/gcroots/{name}"), &store_path(name));
        }
        for (what, system) in [("booted", &world.booted), ("current", &world.running)] {
            if let Some(name) = system {
                self.link(&format!("run/{what}-system"), &store_path(name));
                let root = format!("nix/var/nix/gcroots/{what}-system");
                self.link(&root, &format!("/run/{what}-system"));
            }
        }
        if let Some(name) = &world.boot_default {
            let loader = self.path("boot/loader");
            fs::create_dir_all(loader.join("entries")).unwrap();
            fs::write(loader.join("loader.conf"), "default nixos.conf\n").unwrap();
            let entry = format!(
                "title NixOS\noptions init={}/init quiet\n",
                store_path(name)
            );
            fs::write(loader.join("entries/nixos.conf"), entry).unwrap();
        }
        for (name, auto) in &world.autos {
            let link = format!("outside/{}", auto.link(name));
            self.link(&link, &store_path(&auto.target));
            let made = TimeSpec::new(auto.made.1, 0);
            let flags = UtimensatFlags::NoFollowSymlink;
            utimensat(nix::fcntl::AT_FDCWD, &self.path(&link), &made, &made, flags).unwrap();
            self.link(
                &format!("nix/var/nix/gcroots/auto/{name}"),
                &format!("/{link}"),
            );
        }
        for profile in &world.profiles {
            let name = format!("nix/var/nix/profiles/{}", profile.name);
            for generation in &profile.generations {
                let link = format!("{name}-{}-link", generation.number);
                self.link(&link, &store_path(&generation.target));
                let created = TimeSpec::new(generation.created, 0);
                let flags = UtimensatFlags::NoFollowSymlink;
                let here = nix::fcntl::AT_FDCWD;
                utimensat(here, &self.path(link), &created, &created, flags).unwrap();
            }
            if let Some(number) = profile.current {
                self.link(&name, &format!("{}-{number}-link", profile.name));
            }
        }
    }

    pub(crate) fn link(&self, link: &str, target: &str) {
        let link = self.path(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target, link).unwrap();
    }
}

fn store_path(name: &str) -> String {
    format!("/nix/store/{name}")
}
