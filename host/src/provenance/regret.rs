//! What it would take to have a path again, once it is deleted.
//!
//! Which path goes first hangs on it, never whether one may go: what cannot be read here makes
//! the order worse and nothing unsafe.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{cache, classify, evidence, rows, rows::Row};
use crate::{
    FactError, Layout, NixConf, Result,
    store::{Graph, PathId, Snapshot},
};

/// So long a cache's answer counts: Nix itself forgets it then
/// (`narinfo-cache-positive-ttl`, 30 days).
const ANSWER: Duration = Duration::from_secs(30 * 86_400);

/// What it would take to have a path again, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Regret {
    /// A substituter of this host has it: it answered so within the last 30 days.
    Download,
    /// It was added, copied or downloaded; whether anybody still has it is not known.
    Fetch,
    /// It was built here, within the time that is given in seconds; `None` if that is not known.
    Build {
        /// Seconds from the first to the last line of its build's log.
        seconds: Option<u64>,
    },
}

/// What it would take to have each of several paths again.
#[derive(Debug, Default)]
pub struct Regrets {
    by_path: HashMap<PathId, Regret>,
    /// What could not be read; paths that it would have told of count as built.
    pub unreadable: Vec<FactError>,
}

impl Regrets {
    /// The regret of one path. One that nothing was read of counts as built.
    pub fn of(&self, path: PathId) -> Regret {
        let unknown = Regret::Build { seconds: None };
        self.by_path.get(&path).copied().unwrap_or(unknown)
    }

    /// The same with another regret for one path, for tests of what follows from it.
    #[must_use]
    pub fn with(mut self, path: PathId, regret: Regret) -> Self {
        self.by_path.insert(path, regret);
        self
    }

    /// Reads rows, remembered answers of substituters and build logs of these paths. `cache_dir`
    /// is root's, see [`super::default_dir`]; answers are as of `now`.
    pub fn read(
        layout: &Layout,
        conf: &NixConf,
        cache_dir: &Path,
        graph: &Graph,
        paths: &[PathId],
        now: SystemTime,
    ) -> Self {
        let mut regrets = Self::default();
        let names = || paths.iter().map(|id| graph.store_path(*id));
        let rows = match Snapshot::with(layout, |snapshot| rows::of(snapshot, names())) {
            Ok(rows) => rows,
            Err(error) => {
                regrets.unreadable.push(error);
                return regrets;
            }
        };
        let cache = match cache::read(cache_dir, &rows) {
            Ok(cache) => Some(cache),
            Err(error) => {
                regrets.unreadable.push(error);
                None
            }
        };
        for row in &rows {
            let Some(id) = row
                .path
                .rsplit('/')
                .next()
                .and_then(|name| graph.find(name))
            else {
                continue;
            };
            let lookups = cache
                .as_ref()
                .and_then(|cache| Some(cache.lookups(row.hash_part()?)));
            let downloadable = conf.substitute
                && classify::had_by(row, lookups.unwrap_or(&[])).any(|lookup| {
                    let is_asked = conf.substituters.iter().any(|url| same(url, &lookup.url));
                    // An answer from the future is as good as one of now.
                    let age = now.duration_since(lookup.at).unwrap_or_default();
                    is_asked && age <= ANSWER
                });
            let regret = if downloadable {
                Regret::Download
            } else {
                match build_seconds(layout, row) {
                    Ok(Some(seconds)) => Regret::Build {
                        seconds: Some(seconds),
                    },
                    Ok(None) if row.ultimate => Regret::Build { seconds: None },
                    Ok(None) => Regret::Fetch,
                    Err(error) => {
                        regrets.unreadable.push(error);
                        Regret::Build { seconds: None }
                    }
                }
            };
            regrets.by_path.insert(id, regret);
        }
        regrets
    }
}

/// From the birth of the build's log, which Nix makes right before the builder starts, to its
/// last write. A log that was written anew has kept its first birth: such a build seems to have
/// taken longer, and goes later.
fn build_seconds(layout: &Layout, row: &Row) -> Result<Option<u64>> {
    // A fixed-output path that was downloaded by its own builder is built, too.
    let deriver = row.deriver.as_deref().and_then(evidence::base_name);
    let Some(log) = deriver
        .map(|deriver| evidence::log(layout, deriver))
        .transpose()?
        .flatten()
    else {
        return Ok(None);
    };
    Ok(duration(&log))
}

fn duration(log: &fs::Metadata) -> Option<u64> {
    // Without a birth (an old file system) the log says that it was built, not for how long.
    let (begun, ended) = (log.created().ok()?, log.modified().ok()?);
    Some(ended.duration_since(begun).unwrap_or_default().as_secs())
}

/// Whether two spellings name one substituter: Nix remembers it without `/` at the end and
/// without parameters.
fn same(configured: &str, remembered: &str) -> bool {
    let plain = |url: &str| {
        let url = url.split('?').next().unwrap_or(url);
        url.trim_end_matches('/').to_owned()
    };
    plain(configured) == plain(remembered)
}
