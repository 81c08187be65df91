//! Stores made at random from a seed, in a database that real Nix created: cycles between
//! derivations and outputs, self references, roots of all kinds, left-overs of crashed builds.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, params};

use crate::lab::Nix;

/// Small, repeatable, good enough to draw test cases (xorshift64*).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// The dice of one seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16;
        usize::try_from(drawn).unwrap_or(0) % bound
    }

    /// True in `percent` of cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A hash part as Nix writes it (no e, o, u, t).
    pub fn hash(&mut self) -> String {
        const LETTERS: &[u8] = b"0123456789abcdfghijklmnpqrsvwxyz";
        (0..32)
            .map(|_| char::from(LETTERS[self.below(LETTERS.len())]))
            .collect()
    }
}

/// A chroot store below a folder of its own.
#[derive(Debug)]
pub struct RandomStore {
    /// The directory for `--store` and `--root`.
    pub root: PathBuf,
    /// A directory outside it, as users' homes are.
    pub home: PathBuf,
    /// Base names of the valid paths.
    pub valid: Vec<String>,
    /// Base names that a test may protect as temporary or runtime roots.
    pub spare: Vec<String>,
}

/// How large and how tangled.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Valid paths.
    pub paths: usize,
    /// Left-overs in the store directory that the database does not know.
    pub strays: usize,
    /// The most references that a path has.
    pub references: usize,
}

impl RandomStore {
    /// Makes a store below `dir` whose database is created by `nix`.
    ///
    /// # Panics
    /// If the file system or Nix fails.
    #[must_use]
    pub fn make(dir: &Path, nix: &Nix, shape: Shape, dice: &mut Dice) -> Self {
        let root = dir.join("root");
        let home = dir.join("home");
        fs::create_dir_all(home.join("etc/nix")).unwrap();
        fs::create_dir_all(&root).unwrap();
        let root_text = root.to_str().unwrap();
        nix.run("nix-store", &home, &["--store", root_text, "--load-db"]);
        let mut store = Self {
            root,
            home,
            valid: Vec::new(),
            spare: Vec::new(),
        };
        store.fill(shape, dice);
        store.litter(shape, dice);
        store.make_roots(dice);
        store.spare = (0..3).map(|_| store.any(dice)).collect();
        store
    }

    /// A store path's place in the file system.
    #[must_use]
    pub fn place(&self, name: &str) -> PathBuf {
        self.root.join("nix/store").join(name)
    }

    fn any(&self, dice: &mut Dice) -> String {
        self.valid[dice.below(self.valid.len())].clone()
    }

    /// Rows as Nix writes them (`addValidPath`, `addReference`, `DerivationOutputs`).
    fn fill(&mut self, shape: Shape, dice: &mut Dice) {
        let mut db = Connection::open(self.root.join("nix/var/nix/db/db.sqlite")).unwrap();
        let tx = db.transaction().unwrap();
        let mut derivations: Vec<(i64, String)> = Vec::new();
        let mut rowids: Vec<i64> = Vec::new();
        for number in 0..shape.paths {
            let is_derivation = dice.chance(40);
            let suffix = if is_derivation { ".drv" } else { "" };
            let name = format!("{}-p{number}{suffix}", dice.hash());
            let full = format!("/nix/store/{name}");
            let made_by = (!is_derivation && !derivations.is_empty() && dice.chance(70))
                .then(|| derivations[dice.below(derivations.len())].clone());
            let deriver = match &made_by {
                // Substituted from a cache that built it with another derivation.
                Some(_) if dice.chance(10) => Some(format!("/nix/store/{}-gone.drv", dice.hash())),
                Some((_, drv)) => Some(drv.clone()),
                None => None,
            };
            let hash = format!("sha256:{:064x}", number);
            tx.execute(
                "INSERT INTO ValidPaths (path, hash, registrationTime, deriver, narSize) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    full,
                    hash,
                    1_700_000_000,
                    deriver,
                    (number as i64 + 1) * 100
                ],
            )
            .unwrap();
            let id = tx.last_insert_rowid();
            if let Some((drv, _)) = made_by {
                let outputs: i64 = tx
                    .query_row(
                        "SELECT count(*) FROM DerivationOutputs WHERE drv = ?1",
                        [drv],
                        |r| r.get(0),
                    )
                    .unwrap();
                let output = if outputs == 0 {
                    "out".to_owned()
                } else {
                    format!("o{outputs}")
                };
                tx.execute(
                    "INSERT INTO DerivationOutputs (drv, id, path) VALUES (?1, ?2, ?3)",
                    params![drv, output, full],
                )
                .unwrap();
            }
            for _ in 0..dice.below(shape.references + 1) {
                if let Some(older) = (!rowids.is_empty()).then(|| rowids[dice.below(rowids.len())])
                {
                    refer(&tx, id, older);
                }
            }
            if dice.chance(15) {
                refer(&tx, id, id);
            }
            if is_derivation {
                if dice.chance(20) {
                    tx.execute(
                        "INSERT INTO DerivationOutputs (drv, id, path) VALUES (?1, 'never', ?2)",
                        params![id, format!("/nix/store/{}-never-built", dice.hash())],
                    )
                    .unwrap();
                }
                derivations.push((id, full));
            }
            rowids.push(id);
            self.valid.push(name);
        }
        tx.commit().unwrap();
        let mut missing = 0;
        for name in &self.valid {
            // A path whose files somebody removed by hand.
            if dice.chance(2) && missing < 5 {
                missing += 1;
            } else if dice.chance(50) {
                fs::write(self.place(name), name).unwrap();
            } else {
                fs::create_dir_all(self.place(name).join("bin")).unwrap();
            }
        }
    }

    fn litter(&mut self, shape: Shape, dice: &mut Dice) {
        for number in 0..shape.strays {
            let name = match dice.below(4) {
                0 => format!("{}.lock", self.any(dice)),
                1 => format!("{}.chroot", self.any(dice)),
                2 => format!("{}-half-built-{number}", dice.hash()),
                _ => format!("{}-left.drv.lock", dice.hash()),
            };
            fs::write(self.place(&name), "").unwrap();
        }
    }

    fn make_roots(&mut self, dice: &mut Dice) {
        let state = self.root.join("nix/var/nix");
        for number in 0..4 + dice.below(6) {
            let target = format!("/nix/store/{}", self.any(dice));
            let deeper = format!("{target}/bin");
            match dice.below(9) {
                0 => link(&target, &state.join(format!("profiles/p-{number}-link"))),
                1 => {
                    // A profile that points to its generation, which points to the store.
                    link(
                        &target,
                        &state.join(format!("profiles/per-user/u/q-{number}-link")),
                    );
                    link(
                        &format!("q-{number}-link"),
                        &state.join(format!("profiles/per-user/u/q{number}")),
                    );
                }
                2 => link(&deeper, &state.join(format!("gcroots/into-{number}"))),
                3 => fs::write(state.join("gcroots").join(self.any(dice)), "").unwrap(),
                4 => {
                    let result = self.home.join(format!("result-{number}"));
                    link(&target, &result);
                    link(
                        result.to_str().unwrap(),
                        &state.join(format!("gcroots/auto/{number}")),
                    );
                }
                5 => {
                    // Two hops outside the store directory: Nix follows one.
                    let inner = self.home.join(format!("inner-{number}"));
                    let outer = self.home.join(format!("outer-{number}"));
                    link(&target, &inner);
                    link(inner.to_str().unwrap(), &outer);
                    link(
                        outer.to_str().unwrap(),
                        &state.join(format!("gcroots/auto/{number}")),
                    );
                }
                6 => link(
                    "/nowhere/at/all",
                    &state.join(format!("gcroots/dangling-{number}")),
                ),
                7 => link(
                    &format!("/nix/store/{}-not-valid", dice.hash()),
                    &state.join(format!("gcroots/invalid-{number}")),
                ),
                _ => link(&target, &state.join(format!("gcroots/deep/er/g-{number}"))),
            }
        }
    }
}

fn refer(db: &Connection, referrer: i64, reference: i64) {
    db.execute(
        "INSERT OR IGNORE INTO Refs (referrer, reference) VALUES (?1, ?2)",
        [referrer, reference],
    )
    .unwrap();
}

fn link(target: &str, at: &Path) {
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    symlink(target, at).unwrap();
}
