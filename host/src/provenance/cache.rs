//! What Nix remembers of its substituters: `binary-cache-vN.sqlite` in the cache directory of the
//! process that substitutes (`libstore/nar-info-disk-cache.cc`).

mod open;

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rusqlite::{Connection, Row as SqlRow};

use super::rows::{Row, size};
use crate::{FactError, Layout, Result};

const ATTEMPT: &str = "read what Nix remembers of its substituters";
const CURE: &str = "only root may; an unprivileged reader gets it from the watchdog's state file";

/// Files by the version of their schema: 6 up to Nix 2.30 and in Lix, 7 up to 2.34, 8 from 2.35.
/// The tables that are read here are the same in all.
const FILES: [&str; 3] = [
    "binary-cache-v6.sqlite",
    "binary-cache-v7.sqlite",
    "binary-cache-v8.sqlite",
];

/// The cache directory of the daemon: `/root/.cache/nix`, unless its unit sets `XDG_CACHE_HOME`
/// or `NIX_CACHE_HOME`.
pub fn default_dir(layout: &Layout) -> PathBuf {
    layout.inside("/root/.cache/nix")
}

/// The answer of one substituter about one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lookup {
    pub(super) url: String,
    /// The substituter with the smallest number is asked first.
    pub(super) priority: i64,
    pub(super) at: SystemTime,
    /// `None`: it has it not.
    pub(super) found: Option<NarInfo>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NarInfo {
    /// `sha256:` and base 32.
    pub(super) nar_hash: String,
    pub(super) signatures: Vec<String>,
    pub(super) file_size: Option<u64>,
}

/// Lookups by the hash part of the path that was looked up.
#[derive(Debug, Default)]
pub(super) struct Cache(HashMap<String, Vec<Lookup>>);

impl Cache {
    pub(super) fn lookups(&self, hash_part: &str) -> &[Lookup] {
        self.0.get(hash_part).map_or(&[], Vec::as_slice)
    }

    /// The newest answer of each substituter counts: after an upgrade of Nix the file of the
    /// older version stays behind.
    fn add(&mut self, hash_part: &str, lookup: Lookup) {
        let lookups = self.0.entry(hash_part.to_owned()).or_default();
        match lookups.iter_mut().find(|l| l.url == lookup.url) {
            Some(older) if older.at < lookup.at => *older = lookup,
            Some(_) => {}
            None => lookups.push(lookup),
        }
    }
}

/// Reads what is remembered about these paths. A directory that is not there is a memory of
/// nothing.
pub(super) fn read(dir: &Path, rows: &[Row]) -> Result<Cache> {
    let mut cache = Cache::default();
    for name in FILES {
        let path = dir.join(name);
        match fs::symlink_metadata(&path) {
            Ok(_) => {
                let found = open::with(&path, |connection| read_file(connection, rows))?;
                for (hash_part, lookup) in found {
                    cache.add(&hash_part, lookup);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(FactError::io(ATTEMPT, path, &e, CURE)),
        }
    }
    Ok(cache)
}

/// The hash part of a path that this substituter had when it was last asked for it, of what is
/// remembered the newest. A substituter may have forgotten it since.
///
/// # Errors
/// If what Nix remembers cannot be read: only root may.
pub fn last_found_at(dir: &Path, substituter: &str) -> Result<Option<String>> {
    let wanted = bare(substituter);
    let mut newest: Option<(i64, String)> = None;
    for name in FILES {
        let path = dir.join(name);
        match fs::symlink_metadata(&path) {
            Ok(_) => {
                let found = open::with(&path, |connection| newest_found(connection, wanted))?;
                newest = newest.max(found);
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(FactError::io(ATTEMPT, path, &e, CURE)),
        }
    }
    Ok(newest.map(|(_, hash_part)| hash_part))
}

/// The URL without its parameters and the slash at its end, as not all versions keep them.
fn bare(url: &str) -> &str {
    let url = url.split('?').next().unwrap_or_default();
    url.trim_end_matches('/')
}

fn newest_found(connection: &Connection, wanted: &str) -> rusqlite::Result<Option<(i64, String)>> {
    let caches: Vec<(i64, String)> = connection
        .prepare("SELECT id, url FROM BinaryCaches")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut newest = None;
    for (id, _) in caches.iter().filter(|(_, url)| bare(url) == wanted) {
        let mut found = connection.prepare(
            "SELECT timestamp, hashPart FROM NARs WHERE cache = ?1 AND present != 0 \
             ORDER BY timestamp DESC LIMIT 1",
        )?;
        let found = found.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for one in found {
            newest = newest.max(Some(one?));
        }
    }
    Ok(newest)
}

fn read_file(connection: &Connection, rows: &[Row]) -> rusqlite::Result<Vec<(String, Lookup)>> {
    let caches: BTreeMap<i64, (String, i64)> = connection
        .prepare("SELECT id, url, priority FROM BinaryCaches")?
        .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
        .collect::<rusqlite::Result<_>>()?;
    let mut statement = connection.prepare(
        "SELECT timestamp, present, narHash, sigs, fileSize FROM NARs \
         WHERE cache = ?1 AND hashPart = ?2",
    )?;
    let mut found = Vec::new();
    for hash_part in rows.iter().filter_map(Row::hash_part) {
        // The key of the table begins with the cache.
        for (id, (url, priority)) in &caches {
            let lookups =
                statement.query_map((id, hash_part), |row| lookup(row, url, *priority))?;
            for lookup in lookups {
                found.push((hash_part.to_owned(), lookup?));
            }
        }
    }
    Ok(found)
}

fn lookup(row: &SqlRow<'_>, url: &str, priority: i64) -> rusqlite::Result<Lookup> {
    let at: i64 = row.get(0)?;
    let present: i64 = row.get(1)?;
    let found = if present == 0 {
        None
    } else {
        let signatures: Option<String> = row.get(3)?;
        Some(NarInfo {
            nar_hash: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
            signatures: signatures
                .iter()
                .flat_map(|s| s.split_whitespace())
                .map(str::to_owned)
                .collect(),
            file_size: size(row.get(4)?).filter(|size| *size > 0),
        })
    };
    Ok(Lookup {
        url: url.to_owned(),
        priority,
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(at).unwrap_or(0)),
        found,
    })
}
