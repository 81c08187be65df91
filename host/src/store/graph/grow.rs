//! Adds to a graph what was registered since it was read.

use rusqlite::Connection;

use super::{
    Graph, PathId, base_name,
    edges::{MOST, References},
    paths::Unresolved,
    read::registrations,
};
use crate::{Result, store::snapshot::Snapshot};

/// What was registered after a graph was read, nothing having been deleted.
#[derive(Debug, Default)]
pub(in crate::store) struct Additions {
    rows: Vec<Row>,
    /// By row ids, in order.
    references: Vec<(i64, i64)>,
    /// Row ids of derivations and base names of their outputs.
    outputs: Vec<(i64, String)>,
    /// Paths that were there before the derivation that they say they were built by.
    derived: Vec<(PathId, String)>,
    registrations: u64,
}

#[derive(Debug)]
struct Row {
    id: i64,
    path: String,
    nar_size: Option<i64>,
    deriver: Option<String>,
}

/// How a graph took additions.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) enum Grown {
    By(usize),
    /// They do not fit: the graph is neither the old nor the new one.
    Doubtful,
}

impl Additions {
    /// `None` if something was deleted, or more than `most` were added: then reading everything is
    /// right, or cheaper.
    pub(in crate::store) fn read(
        snapshot: &Snapshot,
        graph: &Graph,
        most: usize,
    ) -> Result<Option<Self>> {
        let last = graph.paths.rowids().last().copied().map_or(0, i64::from);
        let db = snapshot.connection();
        let sql = |source| snapshot.error(&source);
        let rows = rows(db, last, most + 1).map_err(sql)?;
        if rows.len() > most {
            return Ok(None);
        }
        let count: i64 = db
            .query_row("SELECT count(*) FROM ValidPaths", [], |row| row.get(0))
            .map_err(sql)?;
        if usize::try_from(count) != Ok(graph.len() + rows.len()) {
            return Ok(None);
        }
        let mut additions = Self {
            references: references(db, last).map_err(sql)?,
            outputs: outputs(db, last).map_err(sql)?,
            registrations: registrations(snapshot)?,
            ..Self::default()
        };
        let mut producers = db
            .prepare("SELECT drv FROM DerivationOutputs WHERE path = ?1 AND drv <= ?2")
            .map_err(sql)?;
        let mut derivers = db
            .prepare("SELECT 1 FROM ValidPaths WHERE id = ?1 AND deriver = ?2")
            .map_err(sql)?;
        // Derivations that were there before what they build.
        for row in &rows {
            let found = producers.query_map((&row.path, last), |row| row.get(0));
            for drv in found.map_err(sql)? {
                let name = base_name(&row.path).unwrap_or_default().to_owned();
                additions.outputs.push((drv.map_err(sql)?, name));
            }
            let name = base_name(&row.path).unwrap_or_default();
            for id in graph.paths.waiting_for(name) {
                // The graph has but a key of what the path says.
                let rowid = graph.paths.rowid(id);
                let says = derivers.exists((rowid, &row.path)).map_err(sql)?;
                additions
                    .derived
                    .extend(says.then(|| (id, name.to_owned())));
            }
        }
        additions.rows = rows;
        Ok(Some(additions))
    }
}

fn rows(db: &Connection, last: i64, most: usize) -> rusqlite::Result<Vec<Row>> {
    db.prepare(
        "SELECT id, path, narSize, deriver FROM ValidPaths WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?
    .query_map((last, i64::try_from(most).unwrap_or(i64::MAX)), |row| {
        Ok(Row {
            id: row.get(0)?,
            path: row.get(1)?,
            nar_size: row.get(2)?,
            deriver: row.get(3)?,
        })
    })?
    .collect()
}

fn references(db: &Connection, last: i64) -> rusqlite::Result<Vec<(i64, i64)>> {
    db.prepare(
        "SELECT referrer, reference FROM Refs WHERE referrer > ?1 ORDER BY referrer, reference",
    )?
    .query_map([last], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

fn outputs(db: &Connection, last: i64) -> rusqlite::Result<Vec<(i64, String)>> {
    let rows: rusqlite::Result<Vec<(i64, String)>> = db
        .prepare("SELECT drv, path FROM DerivationOutputs WHERE drv > ?1")?
        .query_map([last], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect();
    let name = |path: &str| base_name(path).unwrap_or_default().to_owned();
    Ok(rows?.iter().map(|(drv, path)| (*drv, name(path))).collect())
}

impl Graph {
    /// Takes what was added.
    pub(in crate::store) fn grow(&mut self, additions: Additions) -> Grown {
        match self.try_grow(additions) {
            Ok(paths) => Grown::By(paths),
            Err(_) => Grown::Doubtful,
        }
    }

    fn try_grow(&mut self, additions: Additions) -> std::result::Result<usize, String> {
        let before = self.len();
        let mut unresolved = Unresolved::default();
        for row in &additions.rows {
            let deriver = row.deriver.as_deref();
            self.paths
                .push(row.id, &row.path, row.nar_size, deriver, &mut unresolved)?;
        }
        self.paths.resolve(&unresolved);
        for (id, name) in &additions.derived {
            self.paths.found_deriver(*id, name);
        }

        let edges = self.references.len() + additions.references.len() + self.outputs.len();
        if edges + additions.outputs.len() + self.len() > MOST {
            return Err("too many edges".to_owned());
        }
        let mut references = References::at_most(MOST);
        for (referrer, reference) in additions.references {
            references.push(referrer, reference)?;
        }
        let (paths, count) = (&self.paths, self.len());
        references.append_to(&mut self.references, |rowid| paths.position(rowid), count)?;

        let mut pairs: Vec<(PathId, PathId)> = Vec::new();
        for id in (0..before)
            .filter_map(|at| u32::try_from(at).ok())
            .map(PathId)
        {
            pairs.extend(self.outputs.row(id).iter().map(|output| (id, *output)));
        }
        for (drv, name) in &additions.outputs {
            let drv = u32::try_from(*drv)
                .ok()
                .and_then(|drv| self.paths.position(drv));
            let drv = drv.ok_or("an output belongs to no valid derivation")?;
            pairs.extend(self.paths.find(name).map(|output| (drv, output)));
        }
        self.outputs = super::edges::outputs(&mut pairs, count, MOST)?;
        self.registrations = additions.registrations;
        Ok(count - before)
    }
}
