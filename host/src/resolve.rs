//! Symbolic links of a host, followed within its root: `/etc/nix/nix.conf` of a NixOS host seen
//! from `/mnt` is an absolute link that must not lead to this machine's own file.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs, io,
    path::{Component, Path, PathBuf},
};

use crate::{FactError, Kind, Layout, Result};

/// As many as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

impl Layout {
    /// Where a path of the host really is, as the host itself names it: absolute, with no link
    /// and no `..` in it. The last part need not exist when `attempt` is only to name it; every
    /// directory before it must.
    ///
    /// # Errors
    /// If a directory on the way is missing or may not be searched, or the links run in a circle.
    pub(crate) fn resolve(&self, attempt: &str, logical: &Path) -> Result<PathBuf> {
        let mut todo: VecDeque<OsString> = parts(logical).collect();
        let mut done = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = todo.pop_front() {
            if part == ".." {
                done.pop();
                continue;
            }
            let next = done.join(&part);
            let real = self.inside(&next);
            let meta = match fs::symlink_metadata(&real) {
                Ok(meta) => meta,
                Err(e) if e.kind() == io::ErrorKind::NotFound && todo.is_empty() => {
                    return Ok(next);
                }
                Err(e) => return Err(FactError::io(attempt, real, &e, "")),
            };
            if !meta.is_symlink() {
                done = next;
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                let cause = "too many levels of symbolic links";
                return Err(FactError::new(Kind::Malformed, attempt, real, cause, ""));
            }
            let target = fs::read_link(&real).map_err(|e| FactError::io(attempt, &real, &e, ""))?;
            if target.is_absolute() {
                done = PathBuf::from("/");
            }
            for part in parts(&target).rev() {
                todo.push_front(part);
            }
        }
        Ok(done)
    }
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn an_absolute_link_of_the_host_stays_within_its_root() {
        let root = TempDir::new().unwrap();
        let host = Layout::new(root.path());
        fs::create_dir_all(root.path().join("etc/static")).unwrap();
        symlink("/etc/static/nix.conf", root.path().join("etc/nix.conf")).unwrap();
        symlink("../../../../here", root.path().join("etc/static/nix.conf")).unwrap();
        let found = host.resolve("test", Path::new("/etc/nix.conf")).unwrap();
        assert_eq!(found, Path::new("/here"));
    }

    #[test]
    fn links_that_run_in_a_circle_are_an_error() {
        let root = TempDir::new().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        let error = Layout::new(root.path())
            .resolve("test", Path::new("/a"))
            .unwrap_err();
        assert_eq!(error.kind, Kind::Malformed);
    }
}
