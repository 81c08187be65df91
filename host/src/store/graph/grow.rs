//! Brings a graph up to date: drops what was deleted since it was read, adds what was registered.

use std::collections::HashSet;

use rusqlite::Connection;

use super::{
    Census, Graph, PathId, base_name,
    edges::{MOST, References},
    paths::Unresolved,
    read::registrations,
};
use crate::{
    Result,
    store::{bitset::PathSet, moved::Moved, names::tag, snapshot::Snapshot},
};

/// What happened after a graph was read.
#[derive(Debug)]
pub(in crate::store) struct Changes {
    census: Census,
    rows: Vec<Row>,
    /// By row ids, in order.
    references: Vec<(i64, i64)>,
    /// Row ids of derivations and base names of their outputs.
    outputs: Vec<(i64, String)>,
    /// Row ids of paths that were there before the derivation that they say they were built by.
    derived: Vec<(u32, String)>,
    registrations: u64,
}

#[derive(Debug)]
struct Row {
    id: i64,
    path: String,
    nar_size: Option<i64>,
    deriver: Option<String>,
}

/// How a graph took changes.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) enum Grown {
    /// So many paths came, so many went.
    By { added: usize, deleted: usize },
    /// They do not fit: the graph is neither the old nor the new one.
    Doubtful,
}

impl Changes {
    /// Of the same moment as the census, if there is one already. `None` if more than `most` paths
    /// were added, so that reading everything is cheaper, or if the graph is none of this database.
    pub(in crate::store) fn read(
        snapshot: &Snapshot,
        graph: &Graph,
        most: usize,
        census: Option<&Census>,
    ) -> Result<Option<Self>> {
        let last = graph.last_rowid();
        let db = snapshot.connection();
        let sql = |source| snapshot.error(&source);
        let rows = rows(db, last, most + 1).map_err(sql)?;
        if rows.len() > most {
            return Ok(None);
        }
        let census = match census {
            Some(census) => Ok(census.clone()),
            None => graph.census_by_sqlite(db, rows.len()).map_err(sql)?,
        };
        let Ok(census) = census else {
            return Ok(None);
        };
        let mut outputs = outputs(db, last).map_err(sql)?;
        late_outputs(db, &rows, graph, &mut outputs).map_err(sql)?;
        Ok(Some(Self {
            references: references(db, last).map_err(sql)?,
            outputs,
            derived: late_derivers(db, &rows, graph, &census).map_err(sql)?,
            registrations: registrations(snapshot)?,
            census,
            rows,
        }))
    }
}

/// Of derivations that were there before what they build.
fn late_outputs(
    db: &Connection,
    rows: &[Row],
    graph: &Graph,
    outputs: &mut Vec<(i64, String)>,
) -> rusqlite::Result<()> {
    let last = graph.last_rowid();
    // One that is in the graph was deleted, and is back already.
    let may_be_one =
        |row: &&Row| graph.awaited.may_be(row.name()) || graph.find(row.name()).is_some();
    let mut producers =
        db.prepare("SELECT drv FROM DerivationOutputs WHERE path = ?1 AND drv <= ?2")?;
    for row in rows.iter().filter(may_be_one) {
        for drv in producers.query_map((&row.path, last), |row| row.get(0))? {
            outputs.push((drv?, row.name().to_owned()));
        }
    }
    Ok(())
}

/// Paths that were there before what they were built by. The graph has but a key of what a path
/// says, unless it was built by a path that was deleted and is back already.
fn late_derivers(
    db: &Connection,
    rows: &[Row],
    graph: &Graph,
    census: &Census,
) -> rusqlite::Result<Vec<(u32, String)>> {
    let mut derivers = db.prepare("SELECT 1 FROM ValidPaths WHERE id = ?1 AND deriver = ?2")?;
    let mut derived = Vec::new();
    for row in rows {
        for id in graph.paths.waiting_for(row.name()) {
            let rowid = graph.paths.rowid(id);
            if derivers.exists((rowid, &row.path))? {
                derived.push((rowid, row.name().to_owned()));
            }
        }
    }
    if let Census::Some(_) = census {
        let names = rows.iter().map(Row::name);
        let back: HashSet<PathId> = names.filter_map(|name| graph.find(name)).collect();
        if !back.is_empty() {
            let built = graph.paths.built_by(|deriver| back.contains(&deriver));
            derived.extend(
                built
                    .into_iter()
                    .map(|(id, deriver)| (graph.paths.rowid(id), graph.name(deriver).to_owned())),
            );
        }
    }
    Ok(derived)
}

impl Row {
    fn name(&self) -> &str {
        base_name(&self.path).unwrap_or_default()
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
    /// The id of the newest row that was read; 0 before the first.
    fn last_rowid(&self) -> i64 {
        self.paths.rowids().last().copied().map_or(0, i64::from)
    }

    /// Takes what happened.
    pub(in crate::store) fn grow(&mut self, changes: Changes) -> Grown {
        let count = self.len();
        let outcome = match &changes.census {
            Census::All => Ok(()),
            Census::Some(kept) => self.retain(kept),
        };
        let deleted = count - self.len();
        match outcome.and_then(|()| self.add(changes)) {
            Ok(added) => Grown::By { added, deleted },
            Err(_) => Grown::Doubtful,
        }
    }

    /// Drops what is not kept. What a valid path refers to cannot be deleted (`ON DELETE RESTRICT`
    /// in `schema.sql`), so no reference goes but with its referrer; outputs and derivers do.
    fn retain(&mut self, kept: &PathSet) -> std::result::Result<(), String> {
        let moved = Moved::keeping(kept, self.len());
        let mut staying = self.ids().filter(|id| moved.to(*id).is_some());
        let is_torn = staying.any(|id| {
            let mut references = self.references(id).iter();
            references.any(|reference| moved.to(*reference).is_none())
        });
        if is_torn {
            return Err("a path was deleted that another refers to".to_owned());
        }
        self.awaited.dropping(&self.paths, &self.outputs, &moved);
        self.references.retain(&moved);
        self.outputs.retain(&moved);
        self.paths.retain(&moved);
        Ok(())
    }

    fn add(&mut self, additions: Changes) -> std::result::Result<usize, String> {
        let before = self.len();
        let mut unresolved = Unresolved::default();
        for row in &additions.rows {
            let deriver = row.deriver.as_deref();
            self.paths
                .push(row.id, &row.path, row.nar_size, deriver, &mut unresolved)?;
        }
        self.paths.resolve(&unresolved);
        self.paths.found_derivers(&additions.derived);

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

        let (mut pairs, mut awaited) = (Vec::<(PathId, PathId)>::new(), Vec::new());
        for (drv, name) in &additions.outputs {
            let drv = u32::try_from(*drv)
                .ok()
                .and_then(|drv| self.paths.position(drv));
            let drv = drv.ok_or("an output belongs to no valid derivation")?;
            match self.paths.find(name) {
                Some(output) => pairs.push((drv, output)),
                None => awaited.push(tag(name.as_bytes())),
            }
        }
        self.awaited.extend(awaited.into_iter());
        pairs.sort_unstable();
        self.outputs.merge(&pairs, count);
        self.registrations = additions.registrations;
        Ok(count - before)
    }
}
