//! Logs of builds: `/nix/var/log/nix/drvs/XX/REST.drv[.bz2]` (`LogFile`, `addBuildLog`).

use std::{fs, io, os::unix::fs::MetadataExt, path::Path, time::SystemTime};

use super::{LeftOver, LeftOverKind, LeftOvers, in_use::Asked, tree::changed};
use crate::{FactError, Layout, Result, locks::Mounts, store::Blocks};

const ATTEMPT: &str = "look for old build logs";

/// Adds the old ones that no process has open.
pub(super) fn read(
    layout: &Layout,
    is_old: &dyn Fn(SystemTime) -> bool,
    left: &mut LeftOvers,
) -> Result<()> {
    let top = layout.inside("/nix/var/log/nix/drvs");
    let mounts = Mounts::read(&layout.proc_dir().join("self/mountinfo"))?;
    if !mounts.are_on_one(&top, &layout.store())? {
        return Ok(());
    }
    let blocks = Blocks::of(layout)?;
    let mut found = Vec::new();
    for directory in list(&top)? {
        let meta = meta(&directory)?;
        if !meta.is_some_and(|meta| meta.is_dir()) {
            continue;
        }
        for path in list(&directory)? {
            let Some(derivation) = derivation(&directory, &path) else {
                continue;
            };
            let Some(meta) = meta_of_log(&path)? else {
                continue;
            };
            if is_old(changed(&meta)) {
                found.push(LeftOver {
                    kind: LeftOverKind::Log,
                    changed: changed(&meta),
                    bytes: blocks.bytes(&meta),
                    files: 1,
                    derivation: Some(derivation),
                    identity: (meta.dev(), meta.ino()),
                    path,
                });
            }
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let mut asked = Asked::default();
    for (number, log) in found.iter().enumerate() {
        asked.inode(log.identity.0, log.identity.1, number);
    }
    let in_use = asked.in_use(layout)?;
    let unused = (0..)
        .zip(found)
        .filter(|(number, _)| !in_use.contains(number));
    left.found.extend(unused.map(|(_, log)| log));
    Ok(())
}

/// A worker that begins a build anew empties the log, which changes it: who has it open need not
/// be asked again.
pub(super) fn look_again(log: &LeftOver) -> Result<Option<((u64, u64), SystemTime)>> {
    let meta = meta_of_log(&log.path)?;
    Ok(meta.map(|meta| ((meta.dev(), meta.ino()), changed(&meta))))
}

fn list(directory: &Path) -> Result<Vec<std::path::PathBuf>> {
    let failed = |error: &io::Error| FactError::io(ATTEMPT, directory, error, "run as root");
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(&error)),
    };
    entries
        .map(|entry| {
            entry
                .map(|entry| entry.path())
                .map_err(|error| failed(&error))
        })
        .collect()
}

fn meta(path: &Path) -> Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FactError::io(ATTEMPT, path, &error, "run as root")),
    }
}

/// A file with another name is not freed by the loss of this one.
fn meta_of_log(path: &Path) -> Result<Option<fs::Metadata>> {
    Ok(meta(path)?.filter(|meta| meta.is_file() && meta.nlink() == 1))
}

/// `drvs/j3/kbdn…-name.drv.bz2` -> `j3kbdn…-name.drv`
fn derivation(directory: &Path, path: &Path) -> Option<String> {
    let prefix = directory.file_name()?.to_str()?;
    let name = path.file_name()?.to_str()?;
    let rest = name.strip_suffix(".bz2").unwrap_or(name);
    (prefix.len() == 2 && rest.len() > 35 && rest.ends_with(".drv"))
        .then(|| format!("{prefix}{rest}"))
}
