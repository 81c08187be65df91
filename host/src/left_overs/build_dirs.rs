//! Directories in which builds worked: `nix-build-NAME.drv-N` in `$TMPDIR` of the daemon or
//! `/tmp`, in `build-dir` (since 2.22) or in `builds` of the state directory (since 2.30), where
//! they are called `nix-PID-N` since 2.32; in `b` of the state directory by Lix since 2.94.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    LeftOver, LeftOverKind, LeftOvers, Owners,
    in_use::Asked,
    tree::{Tree, changed},
};
use crate::{FactError, Layout, NixConf, Result, locks::Mounts};

const ATTEMPT: &str = "look for left-over build directories";
const EVERYBODY_WRITES: u32 = 0o002;

/// Adds the old ones that nothing has to do with.
pub(super) fn read(
    layout: &Layout,
    is_old: &dyn Fn(SystemTime) -> bool,
    left: &mut LeftOvers,
) -> Result<()> {
    let conf = NixConf::read(layout)?;
    let mounts = Mounts::read(&layout.proc_dir().join("self/mountinfo"))?;
    let mut candidates = Vec::new();
    for parent in parents(layout, &conf) {
        if mounts.are_on_one(&parent, &layout.store())? {
            candidates.extend(named_so(&parent)?);
        }
    }
    candidates.sort();
    candidates.dedup();
    if candidates.is_empty() {
        return Ok(());
    }
    let owners = Owners::read(layout, &conf)?;
    let mut found = Vec::new();
    for path in candidates {
        // A look at the directory itself spares the walk of what is young.
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        if !meta.is_dir() || !owners.is_idle(meta.uid()) || !is_old(changed(&meta)) {
            continue;
        }
        match Tree::read(layout, &path) {
            Ok(Some(tree)) if is_old(tree.changed) => {
                if tree.owners.iter().all(|uid| owners.is_idle(*uid)) {
                    found.push((path, tree));
                }
            }
            Ok(_) => {}
            Err(error) => left.unreadable.push(error),
        }
    }
    let in_use = used(layout, &found)?;
    for (number, (path, tree)) in (0..).zip(found) {
        if !in_use.contains(&number) {
            left.found.push(LeftOver {
                kind: LeftOverKind::BuildDirectory,
                path,
                changed: tree.changed,
                bytes: tree.bytes,
                files: tree.files,
                derivation: None,
                identity: tree.identity,
            });
        }
    }
    Ok(())
}

/// Identity and last change of one that was found, if it still is a left-over.
pub(super) fn look_again(
    layout: &Layout,
    directory: &LeftOver,
) -> Result<Option<((u64, u64), SystemTime)>> {
    let path = &directory.path;
    let Some(tree) = Tree::read(layout, path)? else {
        return Ok(None);
    };
    let owners = Owners::read(layout, &NixConf::read(layout)?)?;
    let seen = (tree.identity, tree.changed);
    let is_idle = tree.owners.iter().all(|uid| owners.is_idle(*uid));
    let found = [(path.clone(), tree)];
    if !is_idle || !used(layout, &found)?.is_empty() {
        let cause = "a build has begun to use it";
        return Err(FactError::malformed(ATTEMPT, path, cause, "it stays"));
    }
    Ok(Some(seen))
}

fn used(layout: &Layout, found: &[(PathBuf, Tree)]) -> Result<std::collections::HashSet<usize>> {
    let mut asked = Asked::default();
    for (number, (path, tree)) in found.iter().enumerate() {
        asked.name(path.file_name().unwrap_or_default(), number);
        for inode in &tree.inodes {
            asked.inode(tree.identity.0, *inode, number);
        }
    }
    if found.is_empty() {
        return Ok(std::collections::HashSet::new());
    }
    asked.in_use(layout)
}

/// Where builds may have worked.
fn parents(layout: &Layout, conf: &NixConf) -> Vec<PathBuf> {
    let state = layout.state();
    let mut parents = vec![state.join("builds"), state.join("b"), layout.inside("/tmp")];
    parents.extend(conf.build_dir.as_ref().map(|dir| layout.inside(dir)));
    if layout.is_live() {
        parents.extend(temporary_dirs_of_daemons(layout));
    }
    parents
}

/// `TMPDIR` of each daemon that runs. One that does not run tells nothing, and what it left stays.
fn temporary_dirs_of_daemons(layout: &Layout) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    for process in fs::read_dir(layout.proc_dir())
        .into_iter()
        .flatten()
        .flatten()
    {
        let read = |file: &str| fs::read(process.path().join(file)).unwrap_or_default();
        if read("comm") != b"nix-daemon\n" {
            continue;
        }
        let environment = read("environ");
        let named = environment
            .split(|byte| *byte == 0)
            .find_map(|variable| variable.strip_prefix(b"TMPDIR="));
        let named = named.map(|dir| PathBuf::from(OsStr::from_bytes(dir)));
        dirs.extend(named.filter(|dir| dir.is_absolute()));
    }
    dirs
}

/// The directories of a parent that are called as Nix calls them.
fn named_so(parent: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: &io::Error| FactError::io(ATTEMPT, parent, error, "run as root");
    let meta = match fs::symlink_metadata(parent) {
        Ok(meta) if meta.is_dir() => meta,
        // Behind a link, or none.
        Ok(_) => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(&error)),
    };
    let is_for_everybody = meta.mode() & EVERYBODY_WRITES != 0;
    let mut found = Vec::new();
    for entry in fs::read_dir(parent).map_err(|error| failed(&error))? {
        let entry = entry.map_err(|error| failed(&error))?;
        if is_called_so(entry.file_name().as_bytes(), is_for_everybody) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// In a directory of its own Nix has `nix-PID-N`, too, and Lix other endings; in `/tmp` the tools
/// of Nix call other things `nix-PID-N`.
fn is_called_so(name: &[u8], is_for_everybody: bool) -> bool {
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let split = |text: &[u8]| {
        let at = text.iter().rposition(|byte| *byte == b'-')?;
        Some((text[..at].to_vec(), text[at + 1..].to_vec()))
    };
    if let Some(rest) = name.strip_prefix(b"nix-build-") {
        return !is_for_everybody
            || split(rest).is_some_and(|(name, number)| {
                name.len() > 4 && name.ends_with(b".drv") && is_number(&number)
            });
    }
    let numbers = name.strip_prefix(b"nix-").and_then(split);
    !is_for_everybody && numbers.is_some_and(|(pid, number)| is_number(&pid) && is_number(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nix_calls_a_build_directory_is_one() {
        for (name, in_tmp, in_own) in [
            ("nix-build-hello-2.12.drv-0", true, true),
            ("nix-build-a=b?.drv-17", true, true),
            ("nix-1234-0", false, true),
            ("nix-shell-1234-0", false, false),
            ("nix-build-hello-2.12.drv", false, true),
            ("nix-build-.drv-0", false, true),
            ("nix-12a-0", false, false),
            ("nix-", false, false),
            ("anything", false, false),
        ] {
            assert_eq!(
                is_called_so(name.as_bytes(), true),
                in_tmp,
                "{name} in /tmp"
            );
            assert_eq!(is_called_so(name.as_bytes(), false), in_own, "{name}");
        }
    }
}
