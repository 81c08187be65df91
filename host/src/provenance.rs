//! Where each newly registered store path came from, and which substituter had it or had it not.
//!
//! What the database says of a path (`ultimate`, signatures, deriver) and what Nix remembers of
//! its substituters (its cache of `.narinfo` files) are put together. Only HTTP and S3
//! substituters are remembered there: a path from a `file://` or `ssh://` one counts as copied.

mod cache;
mod classify;
mod derivation;
mod evidence;
mod hash;
mod regret;
mod rows;
mod tally;

use std::path::Path;

use crate::{Layout, NixConf, Result, store::Snapshot};

pub use cache::{default_dir, last_found_at};
pub use regret::{Regret, Regrets};
pub use rows::Cursor;
pub use tally::{Count, SubstituterTally, Tally};

/// How a path came into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Downloaded from a substituter.
    Substituted {
        /// Its URL as Nix remembers it; `None` if that memory cannot be read.
        from: Option<String>,
        /// Size of the compressed NAR in bytes, if the substituter said it.
        download_bytes: Option<u64>,
    },
    /// Built, here or on a remote builder.
    Built,
    /// Copied in by `nix copy`, an import, or from a substituter that Nix does not remember.
    Copied,
    /// Added as it is: a source, a derivation, a text.
    Source,
}

/// A path that was registered since the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The store path.
    pub path: String,
    /// Size of its NAR in bytes.
    pub nar_bytes: u64,
    /// How it came.
    pub origin: Origin,
    /// The substituters that could have spared a build, were asked, and had it not.
    pub missed_by: MissedBy,
}

/// Who was asked in vain for a path that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissedBy {
    /// It was not built, or may not be substituted, or nobody was asked.
    Nobody,
    /// These substituters were asked, at least one.
    Substituters(Vec<String>),
    /// It must have been asked for, but what Nix remembers of it cannot be read.
    Unknown,
}

/// What came into the store since the last look.
#[derive(Debug)]
pub struct Look {
    /// Where the next look begins.
    pub cursor: Cursor,
    /// The paths that came and are still there. Empty on the first look.
    pub added: Vec<Added>,
    /// How many paths came and were deleted again in between; their origin is not known.
    pub vanished: u64,
    /// Why it is not known which substituter had a path, if that cannot be read: then hits and
    /// misses are counted without a name.
    pub substituters: Result<()>,
}

impl Look {
    /// Reads what was registered since `cursor`; with none, or after the database was replaced by
    /// an older one, only where to begin.
    ///
    /// `cache_dir` is the cache directory of the processes that substitute, see [`default_dir`].
    /// Look at least as often as `narinfo-cache-negative-ttl`: lookups are overwritten by later
    /// ones.
    ///
    /// # Errors
    /// If the store database or a derivation that was built cannot be read. The cursor then stays
    /// where it is, and nothing is lost.
    pub fn take(
        layout: &Layout,
        conf: &NixConf,
        cache_dir: &Path,
        cursor: Option<Cursor>,
    ) -> Result<Self> {
        let found = Snapshot::with(layout, |snapshot| rows::since(snapshot, cursor))?;
        // Read after the rows: a lookup is written before the path is registered.
        let (cache, substituters) = split(cache::read(cache_dir, &found.rows));
        let mut added = Vec::with_capacity(found.rows.len());
        for row in found.rows {
            let evidence = evidence::gather(layout, conf, cache.as_ref(), &row)?;
            added.push(classify::classify(row, &evidence));
        }
        Ok(Self {
            cursor: found.cursor,
            added,
            vanished: found.vanished,
            substituters,
        })
    }
}

fn split<T>(result: Result<T>) -> (Option<T>, Result<()>) {
    match result {
        Ok(value) => (Some(value), Ok(())),
        Err(error) => (None, Err(error)),
    }
}

#[cfg(test)]
mod tests;
