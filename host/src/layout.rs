//! Where things are on a Nix host, seen from a root directory.
//!
//! `/` is the live host; the directory given to `nix-store --store DIR` is a chroot store; a
//! fixture tree is a directory laid out alike. All three are read by the same code.

use std::path::{Component, Path, PathBuf};

/// The logical store directory. Nix allows another one at compile time only, and no binary cache
/// serves such a store.
pub const STORE_DIR: &str = "/nix/store";

/// The paths of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
    proc_dir: PathBuf,
}

impl Layout {
    /// The host seen from `root`. Processes are those of this kernel (`/proc`), whatever the root:
    /// that is where Nix looks for runtime roots of a chroot store, too.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            proc_dir: PathBuf::from("/proc"),
        }
    }

    /// The host seen from `root` as an operator names it: relative, or through a link. Nix takes
    /// a store's root only as an absolute path without links. A root that is not there is kept as
    /// it is, for the message.
    pub fn at(root: &Path) -> Self {
        Self::new(root.canonicalize().unwrap_or_else(|_| root.to_owned()))
    }

    /// The same host with another process file system, for fixture trees.
    #[must_use]
    pub fn with_proc(mut self, proc_dir: impl Into<PathBuf>) -> Self {
        self.proc_dir = proc_dir.into();
        self
    }

    /// The root directory that the host is seen from.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// True if the host is the one this process runs on.
    pub fn is_live(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where a path of the host (absolute, as the host itself names it) is found by this process.
    /// `..` is resolved within the root, so that no path of the host leaves it.
    pub fn inside(&self, logical: impl AsRef<Path>) -> PathBuf {
        let mut out = PathBuf::new();
        for part in logical.as_ref().components() {
            match part {
                Component::Normal(name) => out.push(name),
                Component::ParentDir => {
                    out.pop();
                }
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        self.root.join(out)
    }

    /// `/nix/store`.
    pub fn store(&self) -> PathBuf {
        self.inside(STORE_DIR)
    }

    /// `/nix/var/nix`, the state directory.
    pub fn state(&self) -> PathBuf {
        self.inside("/nix/var/nix")
    }

    /// `/nix/var/nix/profiles`.
    pub fn profiles(&self) -> PathBuf {
        self.inside("/nix/var/nix/profiles")
    }

    /// `/nix/var/nix/db/db.sqlite`.
    pub fn database(&self) -> PathBuf {
        self.inside("/nix/var/nix/db/db.sqlite")
    }

    /// `/etc/nix/nix.conf`.
    pub fn nix_conf(&self) -> PathBuf {
        self.inside("/etc/nix/nix.conf")
    }

    /// `/proc`, or the directory given in its place.
    pub fn proc_dir(&self) -> &Path {
        &self.proc_dir
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_host_never_leaves_its_root() {
        let host = Layout::new("/srv/box");
        assert_eq!(host.inside("/nix/store"), Path::new("/srv/box/nix/store"));
        assert_eq!(
            host.inside("/../../etc/shadow"),
            Path::new("/srv/box/etc/shadow")
        );
        assert_eq!(
            Layout::new("/").inside("/nix/store"),
            Path::new("/nix/store")
        );
    }

    #[test]
    fn a_root_through_a_link_is_the_directory_itself() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(&root, root.join("link")).unwrap();
        assert_eq!(Layout::at(&root.join("link/.")).root(), root);
        assert_eq!(
            Layout::at(Path::new("/nowhere")).root(),
            Path::new("/nowhere")
        );
    }
}
