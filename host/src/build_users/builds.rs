//! Builds by name: from the files that the workers of Nix have open.
//!
//! A worker has the log of each running build open (`LogFile`, `derivation-building-goal.cc`),
//! also of a remote one. It holds the locks of a build's outputs from before it looks for a build
//! user (`tryToBuild`, `derivation-goal.cc` of 2.8), so a build with locked outputs and no log
//! waits for a user.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rusqlite::OptionalExtension;

use super::Holder;
use crate::{FactError, Kind, Layout, Locks, NixConf, Result, STORE_DIR, store::Snapshot};

const ATTEMPT: &str = "list the builds";
const CURE: &str = "only root, or a process with CAP_SYS_PTRACE, may see what the workers of Nix \
                    have open";

/// A build whose builder runs, here or on a remote machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActiveBuild {
    /// The store path of the derivation.
    pub derivation: String,
    /// The worker of Nix.
    pub pid: u32,
}

/// The builds of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Builds {
    /// Those that run, ascending by derivation.
    pub active: Vec<ActiveBuild>,
    /// The derivations that wait for a build user, ascending.
    pub waiting: Vec<String>,
}

pub(super) fn read(
    layout: &Layout,
    conf: &NixConf,
    locks: &Locks,
    holders: &[Holder],
) -> Result<Builds> {
    if !conf.keep_build_log {
        let cause = "keep-build-log = false: a build has no log that would name it";
        let cure = "set keep-build-log = true";
        return Err(FactError::new(
            Kind::Missing,
            ATTEMPT,
            layout.nix_conf(),
            cause,
            cure,
        ));
    }
    let mut open = OpenFiles::default();
    for pid in workers(layout, locks, holders)? {
        open.add(layout, locks, pid)?;
    }
    let active: BTreeSet<ActiveBuild> = open.logs;
    let waiting = if open.locked.is_empty() {
        BTreeSet::new()
    } else {
        let mut derivations = derivations_of(layout, &open.locked)?;
        derivations.retain(|d| !active.iter().any(|build| build.derivation == *d));
        derivations
    };
    Ok(Builds {
        active: active.into_iter().collect(),
        waiting: waiting.into_iter().collect(),
    })
}

/// The processes that hold locks and have temporary roots: whatever builds has registered its
/// derivation as one.
fn workers(layout: &Layout, locks: &Locks, holders: &[Holder]) -> Result<BTreeSet<u32>> {
    let mut workers: BTreeSet<u32> = holders.iter().map(|holder| holder.pid).collect();
    for pid in locks.pids() {
        let temporary = layout.state().join("temproots").join(pid.to_string());
        match fs::symlink_metadata(&temporary) {
            Ok(_) => drop(workers.insert(pid)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(FactError::io(ATTEMPT, temporary, &e, CURE)),
        }
    }
    Ok(workers)
}

#[derive(Default)]
struct OpenFiles {
    logs: BTreeSet<ActiveBuild>,
    /// Store paths whose lock is held: derivations, and outputs that are not on disk, so neither
    /// being written by a substitution nor being registered after a build.
    locked: BTreeSet<String>,
}

impl OpenFiles {
    fn add(&mut self, layout: &Layout, locks: &Locks, pid: u32) -> Result<()> {
        let dir = layout.proc_dir().join(pid.to_string()).join("fd");
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            // The worker is gone, and its builds with it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(FactError::io(ATTEMPT, dir, &e, CURE)),
        };
        for entry in entries.flatten() {
            let descriptor = entry.path();
            let Some(target) = or_closed(fs::read_link(&descriptor), &descriptor)? else {
                continue;
            };
            if let Some(derivation) = derivation_of_log(&target) {
                if is_same(&descriptor, &log_path(layout, &derivation, &target))? {
                    let derivation = format!("{STORE_DIR}/{derivation}");
                    self.logs.insert(ActiveBuild { derivation, pid });
                }
            } else if let Some(name) = locked_name(&target) {
                let lock = layout.store().join(format!("{name}.lock"));
                let output = layout.store().join(&name);
                let unmade = name.ends_with(".drv") || !exists(&output)?;
                if unmade && is_same(&descriptor, &lock)? && locks.is_held(&lock)? {
                    self.locked.insert(format!("{STORE_DIR}/{name}"));
                }
            }
        }
        Ok(())
    }
}

/// `…/log/nix/drvs/j3/kbdn…-name.drv.bz2` -> `j3kbdn…-name.drv`
fn derivation_of_log(target: &Path) -> Option<String> {
    let file = target.file_name()?.to_str()?;
    let parent = target.parent()?;
    let prefix = parent.file_name()?.to_str()?;
    let rest = file.strip_suffix(".bz2").unwrap_or(file);
    let is_log = parent.parent()?.ends_with("log/nix/drvs") && rest.ends_with(".drv");
    is_log.then(|| format!("{prefix}{rest}"))
}

fn log_path(layout: &Layout, derivation: &str, target: &Path) -> PathBuf {
    let (prefix, rest) = derivation.split_at_checked(2).unwrap_or((derivation, ""));
    let compressed = target
        .extension()
        .is_some_and(|extension| extension == "bz2");
    let suffix = if compressed { ".bz2" } else { "" };
    layout
        .inside("/nix/var/log/nix/drvs")
        .join(prefix)
        .join(format!("{rest}{suffix}"))
}

fn locked_name(target: &Path) -> Option<String> {
    let name = target.file_name()?.to_str()?.strip_suffix(".lock")?;
    target
        .parent()?
        .ends_with("nix/store")
        .then(|| name.to_owned())
}

/// True if a descriptor of another process is this file of the host. The other process may see
/// the store in another place, or another store in this place.
fn is_same(descriptor: &Path, file: &Path) -> Result<bool> {
    let Some(theirs) = or_closed(fs::metadata(descriptor), descriptor)? else {
        return Ok(false);
    };
    let ours = match fs::metadata(file) {
        Ok(ours) => ours,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(FactError::io(ATTEMPT, file, &e, CURE)),
    };
    Ok((theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()))
}

fn or_closed<T>(result: io::Result<T>, descriptor: &Path) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(FactError::io(ATTEMPT, descriptor, &e, CURE)),
    }
}

fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(FactError::io(ATTEMPT, path, &e, "")),
    }
}

/// The derivations that make these outputs. A derivation with outputs of unknown path locks
/// itself (`derivation-goal.cc`); a path that no derivation makes is being copied, not built.
fn derivations_of(layout: &Layout, outputs: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    Snapshot::with(layout, |snapshot| {
        let error = |e: rusqlite::Error| snapshot.error(&e);
        let mut statement = snapshot
            .connection()
            .prepare(
                "SELECT d.path FROM DerivationOutputs o JOIN ValidPaths d ON d.id = o.drv \
                 WHERE o.path = ?1 \
                 UNION SELECT path FROM ValidPaths WHERE path = ?1 AND path LIKE '%.drv'",
            )
            .map_err(error)?;
        let mut derivations = BTreeSet::new();
        for output in outputs {
            let found: Option<String> = statement
                .query_row([output], |row| row.get(0))
                .optional()
                .map_err(error)?;
            if let Some(derivation) = found {
                derivations.insert(derivation);
            }
        }
        Ok(derivations)
    })
}
