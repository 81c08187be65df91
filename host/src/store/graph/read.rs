//! Reads the whole graph through SQLite.

use rusqlite::{OptionalExtension, Row};

use super::{
    Graph, Outputs, base_name,
    edges::{MOST, References},
    malformed,
    paths::{Paths, Positions, Unresolved},
};
use crate::{Result, store::snapshot::Snapshot};

pub(super) fn graph(snapshot: &Snapshot) -> Result<Graph> {
    let wrong = |cause| malformed(snapshot, cause);
    let paths = paths(snapshot)?;
    let positions = Positions::of(paths.rowids());
    let references = references(snapshot)?
        .finish(&positions, paths.len())
        .map_err(wrong)?;
    let outputs = outputs(snapshot, &paths, &positions)?;
    let registrations = registrations(snapshot)?;
    Graph::assemble(paths, references, outputs, registrations).map_err(wrong)
}

fn paths(snapshot: &Snapshot) -> Result<Paths> {
    let mut paths = Paths::default();
    let mut unresolved = Unresolved::default();
    each_row(
        snapshot,
        "SELECT id, path, narSize, deriver FROM ValidPaths ORDER BY id",
        |row| {
            let path = row.get_ref(1)?.as_str()?;
            let deriver = row.get_ref(3)?.as_str_or_null()?;
            Ok(paths.push(row.get(0)?, path, row.get(2)?, deriver, &mut unresolved))
        },
    )?;
    paths.resolve(&unresolved);
    Ok(paths)
}

fn references(snapshot: &Snapshot) -> Result<References> {
    let mut references = References::at_most(MOST);
    // `ORDER BY` follows the primary key, a covering index: no sort, one pass.
    each_row(
        snapshot,
        "SELECT referrer, reference FROM Refs ORDER BY referrer, reference",
        |row| Ok(references.push(row.get(0)?, row.get(1)?)),
    )?;
    Ok(references)
}

fn outputs(snapshot: &Snapshot, paths: &Paths, positions: &Positions<'_>) -> Result<Outputs> {
    let (mut outputs, mut named) = (Outputs::default(), Unresolved::default());
    each_row(snapshot, "SELECT drv, path FROM DerivationOutputs", |row| {
        let drv = u32::try_from(row.get::<_, i64>(0)?).ok();
        let Some(drv) = drv.and_then(|drv| positions.find(drv)) else {
            return Ok(Err("an output belongs to no valid derivation".to_owned()));
        };
        if named.is_full() {
            paths.pair(&mut named, &mut outputs.pairs, &mut outputs.awaited);
        }
        let name = base_name(row.get_ref(1)?.as_str()?);
        Ok(name.map_or(Ok(()), |name| named.push(drv, name)))
    })?;
    // An output that is not valid (not built yet, or collected) is no edge.
    paths.pair(&mut named, &mut outputs.pairs, &mut outputs.awaited);
    Ok(outputs)
}

/// How many paths were ever registered: the sequence that `AUTOINCREMENT` counts up.
pub(super) fn registrations(snapshot: &Snapshot) -> Result<u64> {
    let sequence: Option<i64> = snapshot
        .connection()
        .query_row(
            "SELECT seq FROM sqlite_sequence WHERE name = 'ValidPaths'",
            [],
            |row| row.get(0),
        )
        .optional()
        .map_err(|source| snapshot.error(&source))?;
    Ok(sequence.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
}

/// Calls `take` with each row of the answer. Its outer error is SQLite's, its inner one says what
/// a row must not be.
fn each_row(
    snapshot: &Snapshot,
    query: &str,
    mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<std::result::Result<(), String>>,
) -> Result<()> {
    let sql = |source| snapshot.error(&source);
    let mut statement = snapshot.connection().prepare(query).map_err(sql)?;
    let mut rows = statement.query([]).map_err(sql)?;
    while let Some(row) = rows.next().map_err(sql)? {
        take(row)
            .map_err(sql)?
            .map_err(|cause| malformed(snapshot, cause))?;
    }
    Ok(())
}
