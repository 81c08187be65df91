//! Stores as large as those of real hosts, made from a seed in a database that real Nix created:
//! what the benchmarks read. The shape is a host's: a few hubs that nearly everything refers to,
//! as to glibc, derivations beside their outputs, signatures on what was substituted, and a row
//! of system generations, each of which is an update: packages of its own, and some of those that
//! the few before it brought. The files are empty.
//!
//! That a generation's closure is a small part of the store is not for looks. For each root that
//! it comes upon the collector asks for the whole closure (`computeFSClosure` in `gc.cc`, up to
//! Nix 2.34), a query for each path and another for each that its cache of 65,536 has lost. If
//! every generation reached nearly all of the store, Nix would be more than ten times as slow as
//! it is on a host, and whatever stands beside it would look better than it is.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, Statement, Transaction, params};

use crate::{lab::Nix, random_store::Dice};

/// How many generations the system profile has.
pub const GENERATIONS: usize = 60;

/// Of five paths, how many are derivations.
const DERIVATIONS_OF_FIVE: usize = 2;

/// Raised when the shape changes: what was made before is made anew.
const SHAPE: usize = 2;

/// How far back a path's references to its own update go. Were it all of the update, a fifth of
/// the store would be referred to by nothing.
const NEAR: usize = 200;

/// Of how many generations before it a generation still uses packages.
const LASTING: usize = 4;

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
        let complete = dir.join(format!("complete-{paths}-{SHAPE}"));
        if complete.exists() {
            return store;
        }
        for left in [&store.root, &store.home] {
            match fs::remove_dir_all(left) {
                Err(error) if error.kind() != ErrorKind::NotFound => panic!("{left:?}: {error}"),
                _ => {}
            }
        }
        fs::create_dir_all(store.home.join("etc/nix")).unwrap();
        fs::create_dir_all(&store.root).unwrap();
        let root = store.root.to_str().unwrap();
        nix.run("nix-store", &store.home, &["--store", root, "--load-db"]);
        let mut db = Connection::open(store.database()).unwrap();
        db.execute_batch("PRAGMA cache_size = -400000; PRAGMA synchronous = off")
            .unwrap();
        let tx = db.transaction().unwrap();
        let indexes = take_indexes(&tx);
        let (names, systems) = fill(&tx, paths);
        tx.execute_batch(&indexes).unwrap();
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

/// Drops the indexes that are not part of a table, and returns what makes them again: one sort is
/// quicker than millions of insertions.
fn take_indexes(db: &Transaction<'_>) -> String {
    let text = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL";
    let mut query = db.prepare(text).unwrap();
    let rows = query.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    });
    let indexes: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
    for (name, _) in &indexes {
        db.execute(&format!("DROP INDEX {name}"), []).unwrap();
    }
    indexes.iter().map(|(_, sql)| format!("{sql};\n")).collect()
}

/// Paths of one kind, oldest first.
#[derive(Debug, Default)]
struct Pool {
    ids: Vec<i64>,
    /// Where each update began.
    updates: Vec<usize>,
}

impl Pool {
    /// The latest paths of the update that is being written, at most so many.
    fn recent(&self, most: usize) -> &[i64] {
        let update = &self.ids[self.updates.last().copied().unwrap_or(0)..];
        &update[update.len().saturating_sub(most)..]
    }

    /// What an update so many before the present one brought.
    fn earlier(&self, back: usize) -> &[i64] {
        let Some(update) = self.updates.len().checked_sub(back) else {
            return &[];
        };
        let begin = update
            .checked_sub(1)
            .map_or(0, |before| self.updates[before]);
        &self.ids[begin..self.updates[update]]
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
    derivations: Pool,
    outputs: Pool,
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
            derivations: Pool::default(),
            outputs: Pool::default(),
        }
    }

    fn path(&mut self, number: usize) {
        let hash = self.dice.hash();
        let is_system = self.systems.len() < GENERATIONS
            && self.paths - number <= (GENERATIONS - self.systems.len()) * self.every;
        if is_system {
            let name = format!("{hash}-nixos-system-host-26.05.{number}");
            let id = self.row(&name, None, Some("s"), None);
            self.system(id);
            self.systems.push(name);
        } else if self.dice.below(5) < DERIVATIONS_OF_FIVE {
            let name = format!("{hash}-package-{}-1.{}.drv", number % 9973, number % 17);
            let id = self.row(&name, None, None, Some("text:sha256:"));
            for _ in 0..1 + self.dice.below(20) {
                self.refer(id, true);
            }
            self.derivations.ids.push(id);
        } else if self.derivations.recent(1).is_empty() || self.dice.chance(15) {
            let name = format!("{hash}-source-{}.patch", number % 9973);
            let id = self.row(&name, None, None, Some("fixed:r:sha256:"));
            self.outputs.ids.push(id);
        } else {
            self.output(number, &hash);
        }
    }

    /// A generation of three parts packages of its own update and one part older ones. It ends
    /// the update.
    fn system(&mut self, id: i64) {
        for number in 0..400 {
            let among = match number % 4 {
                0 => self.outputs.earlier(1 + self.dice.below(LASTING)),
                1 => self.outputs.recent(usize::MAX),
                // Nothing else refers to the last ones.
                _ => self.outputs.recent(NEAR),
            };
            if !among.is_empty() {
                let to = among[self.dice.below(among.len())];
                self.refer_to(id, to);
            }
        }
        for pool in [&mut self.derivations, &mut self.outputs] {
            pool.updates.push(pool.ids.len());
        }
    }

    /// An output of a recent derivation.
    fn output(&mut self, number: usize, hash: &str) {
        let name = format!("{hash}-package-{}-1.{}", number % 9973, number % 17);
        let recent = self.derivations.recent(NEAR);
        let drv = recent[self.dice.below(recent.len())];
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
        self.outputs.ids.push(id);
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
        // 64 bytes in base 64, as Nix from 2.34 on insists; the last digit has two bits of them.
        let signature = signature.map(|_| {
            let digits = hash.repeat(2);
            format!("cache.example.org-1:{}A==", &digits[..85])
        });
        let hash = format!("sha256:{hash}");
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

    /// Half of the references go to hubs by a power law, half to what the same update brought.
    fn refer(&mut self, from: i64, to_derivation: bool) {
        let pool = if to_derivation {
            &self.derivations
        } else {
            &self.outputs
        };
        let hubs = &pool.ids[..pool.ids.len().min(self.every / 2)];
        let recent = pool.recent(NEAR);
        let to = if recent.is_empty() || self.dice.chance(50) {
            let drawn = self.dice.below(1_000_000) as f64 / 1e6;
            hubs.get((drawn.powi(4) * hubs.len() as f64) as usize)
        } else {
            recent.get(self.dice.below(recent.len()))
        };
        if let Some(&to) = to {
            self.refer_to(from, to);
        }
    }

    fn refer_to(&mut self, referrer: i64, reference: i64) {
        self.insert_reference
            .execute([referrer, reference])
            .unwrap();
    }
}
