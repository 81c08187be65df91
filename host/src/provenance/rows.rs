//! Rows of `ValidPaths` by the id cursor: ids only grow and are never used again
//! (`AUTOINCREMENT` in `schema.sql`), while `registrationTime` is carried along by copies.

use std::time::{Duration, SystemTime};

use rusqlite::{OptionalExtension, Row as SqlRow};
use serde::{Deserialize, Serialize};

use crate::{Result, store::Snapshot};

/// Up to which registration everything was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The id of the last registration, whether its path is still valid or not.
    pub last_id: i64,
}

/// A valid path as it was registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) path: String,
    /// As in the database, `sha256:` and 64 hexadecimal digits.
    pub(super) nar_hash: String,
    pub(super) nar_bytes: u64,
    pub(super) registered: SystemTime,
    pub(super) deriver: Option<String>,
    /// Built here (`registerOutputs`), so trusted without a signature.
    pub(super) ultimate: bool,
    pub(super) signatures: Vec<String>,
    pub(super) content_addressed: bool,
    /// True if a valid derivation names it as an output.
    pub(super) is_output: bool,
}

impl Row {
    /// The 32 letters after `/nix/store/`.
    pub(super) fn hash_part(&self) -> Option<&str> {
        self.path.rsplit('/').next()?.get(..32)
    }
}

pub(super) struct Found {
    pub(super) rows: Vec<Row>,
    pub(super) vanished: u64,
    pub(super) cursor: Cursor,
}

const SELECT: &str = "SELECT path, hash, narSize, registrationTime, deriver, ultimate, sigs, ca, \
     EXISTS (SELECT 1 FROM DerivationOutputs o WHERE o.path = v.path) FROM ValidPaths v";

/// The rows of these paths; one that is not valid has none.
pub(super) fn of(snapshot: &Snapshot, paths: impl Iterator<Item = String>) -> Result<Vec<Row>> {
    let sql = |e: rusqlite::Error| snapshot.error(&e);
    let query = format!("{SELECT} WHERE path = ?1");
    let mut statement = snapshot.connection().prepare(&query).map_err(sql)?;
    let mut rows = Vec::new();
    for path in paths {
        rows.extend(statement.query_row([path], row).optional().map_err(sql)?);
    }
    Ok(rows)
}

pub(super) fn since(snapshot: &Snapshot, cursor: Option<Cursor>) -> Result<Found> {
    query(snapshot, cursor).map_err(|e| snapshot.error(&e))
}

fn query(snapshot: &Snapshot, cursor: Option<Cursor>) -> rusqlite::Result<Found> {
    let connection = snapshot.connection();
    let last_id: i64 = connection
        .query_row(
            "SELECT seq FROM sqlite_sequence WHERE name = 'ValidPaths'",
            [],
            |row| row.get(0),
        )
        .optional()?
        .unwrap_or(0);
    let now = Cursor { last_id };
    // A sequence that went back is that of another database: begin anew.
    let Some(from) = cursor.filter(|from| from.last_id <= last_id) else {
        return Ok(Found {
            rows: Vec::new(),
            vanished: 0,
            cursor: now,
        });
    };
    let rows: Vec<Row> = connection
        .prepare(&format!("{SELECT} WHERE id > ?1 AND id <= ?2 ORDER BY id"))?
        .query_map([from.last_id, last_id], row)?
        .collect::<rusqlite::Result<_>>()?;
    let registered = u64::try_from(last_id - from.last_id).unwrap_or(0);
    let there = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    Ok(Found {
        vanished: registered.saturating_sub(there),
        rows,
        cursor: now,
    })
}

fn row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let registered: i64 = row.get(3)?;
    let signatures: Option<String> = row.get(6)?;
    let ca: Option<String> = row.get(7)?;
    Ok(Row {
        path: row.get(0)?,
        nar_hash: row.get(1)?,
        nar_bytes: size(row.get(2)?).unwrap_or(0),
        registered: SystemTime::UNIX_EPOCH
            + Duration::from_secs(u64::try_from(registered).unwrap_or(0)),
        deriver: row.get::<_, Option<String>>(4)?.filter(|d| !d.is_empty()),
        ultimate: row.get::<_, Option<i64>>(5)? == Some(1),
        signatures: signatures
            .iter()
            .flat_map(|s| s.split_whitespace())
            .map(str::to_owned)
            .collect(),
        content_addressed: ca.is_some_and(|ca| !ca.is_empty()),
        is_output: row.get(8)?,
    })
}

/// Sizes are signed in SQLite; Nix writes none below zero.
pub(super) fn size(bytes: Option<i64>) -> Option<u64> {
    bytes.and_then(|bytes| u64::try_from(bytes).ok())
}
