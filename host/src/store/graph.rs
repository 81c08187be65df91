//! The valid paths of a store and the edges between them, compact.

use super::{csr::Csr, names::Names, snapshot::Snapshot};
use crate::{FactError, Layout, Result, STORE_DIR};

/// A path of one [`Graph`], by its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub(super) u32);

impl PathId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The row of a path in the database. Ids are handed out in order and never again
/// (`AUTOINCREMENT`), and what a path holds never changes: what was found out about a row stays
/// true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub(super) i64);

/// All valid paths with their references, derivers and outputs: one moment of `db.sqlite`.
#[derive(Debug)]
pub struct Graph {
    names: Names,
    rows: RowIds,
    nar_bytes: Vec<u64>,
    unsized_paths: usize,
    references: Csr,
    outputs: Csr,
    derivers: Vec<Option<PathId>>,
    registrations: u64,
}

const CURE: &str = "run `nix-store --verify`; nothing is deleted while the graph is in doubt";

impl Graph {
    /// Reads the graph in one snapshot. The time is that of reading the pages once.
    pub fn read(layout: &Layout) -> Result<Self> {
        Snapshot::with(layout, |snapshot| Self::of(layout, snapshot))
    }

    /// Reads the graph from an open snapshot.
    pub fn of(layout: &Layout, snapshot: &Snapshot) -> Result<Self> {
        let sql = |source: rusqlite::Error| snapshot.error(&source);
        let malformed = |cause: String| {
            FactError::malformed("read the store's graph", layout.database(), cause, CURE)
        };
        let db = snapshot.connection();

        let mut names = Names::default();
        let mut rowids: Vec<i64> = Vec::new();
        let mut nar_bytes = Vec::new();
        let mut unsized_paths = 0;
        let mut deriver_names: Vec<(PathId, String)> = Vec::new();
        let mut statement = db
            .prepare("SELECT id, path, narSize, deriver FROM ValidPaths ORDER BY id")
            .map_err(sql)?;
        let mut rows = statement.query([]).map_err(sql)?;
        while let Some(row) = rows.next().map_err(sql)? {
            let path = row.get_ref(1).and_then(|v| Ok(v.as_str()?)).map_err(sql)?;
            let name = base_name(path).ok_or_else(|| {
                malformed(format!(
                    "path {path:?} is not in the store directory {STORE_DIR}"
                ))
            })?;
            let id = names.push(name).map_err(malformed)?;
            rowids.push(row.get(0).map_err(sql)?);
            // Rows of very old Nix have no size (`local-store.cc`, `queryPathInfoInternal`).
            match row.get::<_, Option<i64>>(2).map_err(sql)? {
                Some(size) => nar_bytes.push(
                    u64::try_from(size)
                        .map_err(|_| malformed(format!("path {path:?} has size {size}")))?,
                ),
                None => {
                    unsized_paths += 1;
                    nar_bytes.push(0);
                }
            }
            let deriver = row
                .get_ref(3)
                .and_then(|v| Ok(v.as_str_or_null()?))
                .map_err(sql)?;
            if let Some(name) = deriver.and_then(base_name) {
                deriver_names.push((id, name.to_owned()));
            }
        }
        names.build_index();
        let ids = RowIds(rowids);
        let count = names.len();
        let mut derivers = vec![None; count];
        for (id, name) in deriver_names {
            derivers[id.index()] = names.find(&name);
        }

        // `ORDER BY` follows the primary key, a covering index: no sort, one pass.
        let references = read_edges(
            snapshot,
            "SELECT referrer, reference FROM Refs ORDER BY referrer, reference",
            count,
            |row| {
                let from = ids.id(row.get(0).map_err(sql)?);
                let to = ids.id(row.get(1).map_err(sql)?);
                match (from, to) {
                    (Some(from), Some(to)) => Ok(Some((from, to))),
                    _ => Err(malformed("a reference belongs to no valid path".to_owned())),
                }
            },
        )?;
        let outputs = read_edges(
            snapshot,
            "SELECT drv, path FROM DerivationOutputs ORDER BY drv",
            count,
            |row| {
                let drv = ids.id(row.get(0).map_err(sql)?).ok_or_else(|| {
                    malformed("an output belongs to no valid derivation".to_owned())
                })?;
                let path = row.get_ref(1).and_then(|v| Ok(v.as_str()?)).map_err(sql)?;
                // An output that is not valid (not built yet, or collected) is no edge.
                Ok(base_name(path)
                    .and_then(|name| names.find(name))
                    .map(|output| (drv, output)))
            },
        )?;
        let registrations = db
            .query_row(
                "SELECT seq FROM sqlite_sequence WHERE name = 'ValidPaths'",
                [],
                |row| row.get::<_, i64>(0),
            )
            .or_else(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => Ok(0),
                other => Err(other),
            })
            .map_err(sql)?;
        Ok(Self {
            names,
            rows: ids,
            nar_bytes,
            unsized_paths,
            references,
            outputs,
            derivers,
            registrations: u64::try_from(registrations).unwrap_or(0),
        })
    }

    /// How many valid paths there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True for a store without a valid path.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All paths.
    pub fn ids(&self) -> impl Iterator<Item = PathId> + use<> {
        (0..u32::try_from(self.len()).unwrap_or(u32::MAX)).map(PathId)
    }

    /// The base name of a path: `HASH-NAME`.
    pub fn name(&self, id: PathId) -> &str {
        self.names.get(id)
    }

    /// The row of the path in the database.
    pub fn row(&self, id: PathId) -> RowId {
        RowId(self.rows.0[id.index()])
    }

    /// The path as Nix prints it: `/nix/store/HASH-NAME`.
    pub fn store_path(&self, id: PathId) -> String {
        format!("{STORE_DIR}/{}", self.name(id))
    }

    /// The valid path of this base name, if there is one.
    pub fn find(&self, name: &str) -> Option<PathId> {
        self.names.find(name)
    }

    /// Bytes of the path's NAR, as the database says; not what deleting it frees.
    pub fn nar_bytes(&self, id: PathId) -> u64 {
        self.nar_bytes[id.index()]
    }

    /// How many paths have no size in the database and count as 0 bytes in sums.
    pub fn unsized_paths(&self) -> usize {
        self.unsized_paths
    }

    /// What the path refers to; may contain the path itself.
    pub fn references(&self, id: PathId) -> &[PathId] {
        self.references.row(id)
    }

    /// The valid outputs of a derivation.
    pub fn outputs(&self, id: PathId) -> &[PathId] {
        self.outputs.row(id)
    }

    /// The derivation that the path says it was built by, if that is valid.
    pub fn deriver(&self, id: PathId) -> Option<PathId> {
        self.derivers[id.index()]
    }

    /// How many paths were ever registered in this store, deleted ones included.
    pub fn registrations(&self) -> u64 {
        self.registrations
    }
}

fn read_edges(
    snapshot: &Snapshot,
    query: &str,
    count: usize,
    mut edge: impl FnMut(&rusqlite::Row<'_>) -> Result<Option<(PathId, PathId)>>,
) -> Result<Csr> {
    let sql = |source: rusqlite::Error| snapshot.error(&source);
    let mut statement = snapshot.connection().prepare(query).map_err(sql)?;
    let mut rows = statement.query([]).map_err(sql)?;
    let mut csr = Csr::builder(count);
    while let Some(row) = rows.next().map_err(sql)? {
        if let Some((from, to)) = edge(row)? {
            csr.push(from, to);
        }
    }
    Ok(csr.finish())
}

/// The base name of a store path, or `None` for anything that is not directly in the store.
pub(super) fn base_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix(STORE_DIR)?.strip_prefix('/')?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// Row ids in ascending order, as the table is read.
#[derive(Debug)]
struct RowIds(Vec<i64>);

impl RowIds {
    fn id(&self, rowid: i64) -> Option<PathId> {
        // Ids are handed out in order and never again: in a store of which little was deleted the
        // place follows from the number.
        let guess = usize::try_from(rowid - self.0.first()?).ok()?;
        let position = match self.0.get(guess) {
            Some(found) if *found == rowid => guess,
            _ => self.0.binary_search(&rowid).ok()?,
        };
        u32::try_from(position).ok().map(PathId)
    }
}

#[cfg(test)]
mod tests;
