//! What beside its row says where a path came from.

use std::{fs, io, path::Path, time::SystemTime};

use super::{
    cache::{Cache, Lookup},
    derivation,
    rows::Row,
};
use crate::{FactError, Layout, NixConf, Result, STORE_DIR};

const ATTEMPT: &str = "look for the log of a build";

#[derive(Debug)]
pub(super) struct Evidence<'a> {
    /// What substituters said of the path; `None` if it cannot be read.
    pub(super) lookups: Option<&'a [Lookup]>,
    /// When the log of the build of its deriver was begun, if there is one.
    pub(super) log_begun: Option<SystemTime>,
    /// False if Nix never asks a substituter for it.
    pub(super) may_be_substituted: bool,
    /// How long before a build a refusal can have been remembered.
    pub(super) negative_ttl: std::time::Duration,
}

pub(super) fn gather<'a>(
    layout: &Layout,
    conf: &NixConf,
    cache: Option<&'a Cache>,
    row: &Row,
) -> Result<Evidence<'a>> {
    let lookups = cache.map(|cache| row.hash_part().map_or(&[][..], |hash| cache.lookups(hash)));
    let deriver = row.deriver.as_deref().and_then(base_name);
    let log_begun = match deriver {
        Some(deriver) => log_begun(layout, deriver)?,
        None => None,
    };
    let asks = conf.substitute && !conf.substituters.is_empty();
    let may_be_substituted = match deriver {
        _ if !asks => false,
        Some(_) if conf.always_allow_substitutes => true,
        // A derivation that is gone is not known to forbid it.
        Some(deriver) => {
            derivation::allows_substitutes(&layout.store().join(deriver))?.unwrap_or(true)
        }
        None => true,
    };
    Ok(Evidence {
        lookups,
        log_begun,
        may_be_substituted,
        negative_ttl: conf.narinfo_cache_negative_ttl,
    })
}

pub(super) fn base_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix(STORE_DIR)?.strip_prefix('/')?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// Every build that runs or is sent away by this host writes a log (`LogFile` in
/// `derivation-building-goal.cc`), so a path whose deriver has one was built and not copied.
fn log_begun(layout: &Layout, deriver: &str) -> Result<Option<SystemTime>> {
    // A log that was written anew keeps its first birth, which is only more careful. A file
    // system without births gives the time of the last write.
    let begun = |meta: fs::Metadata| meta.created().or_else(|_| meta.modified()).ok();
    Ok(log(layout, deriver)?.and_then(begun))
}

/// The log of the last build of a derivation, given by its base name.
pub(super) fn log(layout: &Layout, deriver: &str) -> Result<Option<fs::Metadata>> {
    let Some((prefix, rest)) = deriver.split_at_checked(2) else {
        return Ok(None);
    };
    let dir = layout.inside("/nix/var/log/nix/drvs").join(prefix);
    for name in [format!("{rest}.bz2"), rest.to_owned()] {
        if let Some(meta) = look(&dir.join(name))? {
            return Ok(Some(meta));
        }
    }
    Ok(None)
}

fn look(path: &Path) -> Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(FactError::io(
            ATTEMPT,
            path,
            &e,
            "make it readable to this user",
        )),
    }
}
