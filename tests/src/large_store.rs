//! Stores as large as those of real hosts, made from a seed in a database that real Nix created:
//! what the benchmarks read. The shape is a host's: a few hubs that nearly everything refers to,
//! as to glibc, derivations beside their outputs, signatures on what was substituted, and a row
//! of system generations. The files are empty.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, Statement, Transaction, params};

use crate::{lab::Nix, random_store::Dice};

/// How many generations the system profile has.
pub const GENERATIONS: usize = 60;

/// Of five paths, how many are derivations.
const DERIVATIONS_OF_FIVE: usize = 2;

/// A chroot store below a folder of its own.
#[derive(Debug)]
pub struct LargeStore {
    /// The directory for `--store` and `--root`.
    pub root: PathBuf,
    /// A directory outside it, as users' homes are.
    pub home: PathBuf,
}

impl LargeStore {
    /// The store of `paths` valid paths below `dir`, made now or by an earlier call.
    ///
    /// # Panics
    /// If the file system or Nix fails.
    #[must_use]
    pub fn at(dir: &Path, nix: &Nix, paths: usize) -> Self {
        let store = Self {
            root: dir.join("root"),
            home: dir.join("home"),
        };
        let complete = dir.join(format!("complete-{paths}"));
        if complete.exists() {
            return store;
        }
        fs::create_dir_all(store.home.join("etc/nix")).unwrap();
        fs::create_dir_all(&store.root).unwrap();
        let root = store.root.to_str().unwrap();
        nix.run("nix-store", &store.home, &["--store", root, "--load-db"]);
        let mut db = Connection::open(store.database()).unwrap();
        db.execute_batch("PRAGMA cache_size = -400000; PRAGMA synchronous = off")
            .unwrap();
        let tx = db.transaction().unwrap();
        let (names, systems) = fill(&tx, paths);
        tx.commit().unwrap();
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        drop(db);
        for name in &names {
            fs::File::create(store.root.join("nix/store").join(name)).unwrap();
        }
        store.link_generations(&systems);
        fs::write(complete, "").unwrap();
        store
    }

    /// Its `db.sqlite`.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.root.join("nix/var/nix/db/db.sqlite")
    }

    fn link_generations(&self, systems: &[String]) {
        let profiles = self.root.join("nix/var/nix/profiles");
        fs::create_dir_all(&profiles).unwrap();
        for (number, system) in (1..).zip(systems) {
            let link = profiles.join(format!("system-{number}-link"));
            symlink(format!("/nix/store/{system}"), link).unwrap();
        }
        let newest = format!("system-{}-link", systems.len());
        symlink(newest, profiles.join("system")).unwrap();
    }
}

/// Writes all rows, and returns the names of all paths and of the system generations.
fn fill(db: &Transaction<'_>, paths: usize) -> (Vec<String>, Vec<String>) {
    let mut writer = Writer::new(db, paths);
    for number in 0..paths {
        writer.path(number);
    }
    (writer.names, writer.systems)
}

/// Writes rows as `addValidPath` and its like do (`local-store.cc`).
struct Writer<'a> {
    insert_path: Statement<'a>,
    insert_reference: Statement<'a>,
    insert_output: Statement<'a>,
    dice: Dice,
    /// The numbers of paths that are, or come shortly before, a system generation.
    every: usize,
    paths: usize,
    names: Vec<String>,
    systems: Vec<String>,
    derivations: Vec<i64>,
    outputs: Vec<i64>,
}

impl<'a> Writer<'a> {
    fn new(db: &'a Transaction<'a>, paths: usize) -> Self {
        let prepare = |text| db.prepare(text).unwrap();
        Self {
            insert_path: prepare(
                "INSERT INTO ValidPaths \
                 (id, path, hash, registrationTime, deriver, narSize, ultimate, sigs, ca) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            ),
            insert_reference: prepare(
                "INSERT OR IGNORE INTO Refs (referrer, reference) VALUES (?1, ?2)",
            ),
            insert_output: prepare(
                "INSERT INTO DerivationOutputs (drv, id, path) VALUES (?1, ?2, ?3)",
            ),
            dice: Dice::new(paths as u64),
            every: (paths / (GENERATIONS + 5)).max(1),
            paths,
            names: Vec::with_capacity(paths),
            systems: Vec::new(),
            derivations: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn path(&mut self, number: usize) {
        let hash = self.dice.hash();
        let is_system = self.systems.len() < GENERATIONS
            && self.paths - number <= (GENERATIONS - self.systems.len()) * self.every;
        if is_system {
            let name = format!("{hash}-nixos-system-host-26.05.{number}");
            let id = self.row(&name, None, Some("s"), None);
            for _ in 0..400 {
                self.refer(id, false);
            }
            self.systems.push(name);
        } else if self.dice.below(5) < DERIVATIONS_OF_FIVE {
            let name = format!("{hash}-package-{}-1.{}.drv", number % 9973, number % 17);
            let id = self.row(&name, None, None, Some("text:sha256:"));
            for _ in 0..1 + self.dice.below(20) {
                self.refer(id, true);
            }
            self.derivations.push(id);
        } else if self.derivations.is_empty() || self.dice.chance(15) {
            let name = format!("{hash}-source-{}.patch", number % 9973);
            let id = self.row(&name, None, None, Some("fixed:r:sha256:"));
            self.outputs.push(id);
        } else {
            self.output(number, &hash);
        }
    }

    /// An output of a recent derivation.
    fn output(&mut self, number: usize, hash: &str) {
        let name = format!("{hash}-package-{}-1.{}", number % 9973, number % 17);
        let recent = self.derivations.len().min(200);
        let drv = self.derivations[self.derivations.len() - 1 - self.dice.below(recent)];
        let deriver: String = if self.dice.chance(20) {
            format!("/nix/store/{}-collected.drv", self.dice.hash())
        } else {
            // Row ids count from 1, in the order of the names.
            let position = usize::try_from(drv).unwrap() - 1;
            format!("/nix/store/{}", self.names[position])
        };
        let signature = self.dice.chance(60).then_some("s");
        let id = self.row(&name, Some(&deriver), signature, None);
        self.insert_output
            .execute(params![
                drv,
                format!("out{number}"),
                format!("/nix/store/{name}")
            ])
            .unwrap();
        for _ in 0..1 + self.dice.below(17) {
            self.refer(id, false);
        }
        if self.dice.chance(15) {
            self.refer_to(id, id);
        }
        self.outputs.push(id);
    }

    fn row(
        &mut self,
        name: &str,
        deriver: Option<&str>,
        signature: Option<&str>,
        ca: Option<&str>,
    ) -> i64 {
        // 64 hexadecimal digits, unlike each other.
        let digits = |dice: &mut Dice| format!("{:08x}", dice.below(1 << 32));
        let hash = (0..8).map(|_| digits(&mut self.dice)).collect::<String>();
        let hash = format!("sha256:{hash}");
        let signature = signature.map(|_| {
            format!(
                "cache.example.org-1:{}==",
                hash.repeat(2).get(..86).unwrap()
            )
        });
        // 52 digits of base 32, the first of which has one bit.
        let ca = ca.map(|kind| format!("{kind}0{}{}", self.dice.hash(), &self.dice.hash()[..19]));
        let ultimate = (signature.is_none() && ca.is_none()).then_some(1);
        // Most paths are small; a few are very large.
        let size = 120 + 200_000_000 / (1 + self.dice.below(1_000_000));
        let id = self.names.len() as i64 + 1;
        self.insert_path
            .execute(params![
                id,
                format!("/nix/store/{name}"),
                hash,
                1_700_000_000 + self.names.len() as i64,
                deriver,
                size as i64,
                ultimate,
                signature,
                ca
            ])
            .unwrap();
        self.names.push(name.to_owned());
        id
    }

    /// Half of the references go to hubs by a power law, half to what is about as old.
    fn refer(&mut self, from: i64, to_derivation: bool) {
        let among = if to_derivation {
            &self.derivations
        } else {
            &self.outputs
        };
        if among.is_empty() {
            return;
        }
        let count = among.len();
        let position = if self.dice.chance(50) {
            let drawn = self.dice.below(1_000_000) as f64 / 1e6;
            (drawn.powi(4) * count as f64) as usize
        } else {
            count - 1 - self.dice.below(count.min(3000))
        };
        let to = among[position.min(count - 1)];
        self.refer_to(from, to);
    }

    fn refer_to(&mut self, referrer: i64, reference: i64) {
        self.insert_reference
            .execute([referrer, reference])
            .unwrap();
    }
}
