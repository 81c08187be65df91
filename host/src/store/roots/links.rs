//! Roots that are links: profiles, `gcroots`, and the links elsewhere that `gcroots/auto` names.

use std::{
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

use super::{Root, RootKind, Roots, StaleLink, StaleReason, valid_path};
use crate::{FactError, Kind, Layout, Result, store::Graph};

const ATTEMPT: &str = "read the GC roots";
const CURE: &str = "run as root, and with every file system mounted that holds roots; \
                    until then nothing is deleted";

pub(super) fn read(layout: &Layout, graph: &Graph, roots: &mut Roots) -> Result<()> {
    let state = layout.state();
    let mut walk = Walk {
        layout,
        graph,
        roots,
    };
    for (directory, kind) in [
        ("gcroots", RootKind::Permanent),
        ("profiles", RootKind::Profile),
    ] {
        let path = state.join(directory);
        // Nix makes both when it opens a store; without them this is no store's state directory.
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => walk.directory(&path, kind)?,
            Ok(meta) => walk.entry(&path, meta.file_type(), kind)?,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Err(FactError::new(
                    Kind::Missing,
                    ATTEMPT,
                    path,
                    "no such directory",
                    "Nix makes it when it opens the store; without it the roots are unknown and \
                     nothing is deleted",
                ));
            }
            Err(source) => {
                walk.roots
                    .unreadable
                    .push(FactError::io(ATTEMPT, path, &source, CURE));
            }
        }
    }
    Ok(())
}

struct Walk<'a> {
    layout: &'a Layout,
    graph: &'a Graph,
    roots: &'a mut Roots,
}

impl Walk<'_> {
    fn directory(&mut self, path: &Path, kind: RootKind) -> Result<()> {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(source) => return self.doubt(path, &source),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(source) => return self.doubt(path, &source),
            };
            match entry.file_type() {
                Ok(file_type) => self.entry(&entry.path(), file_type, kind)?,
                Err(source) => self.doubt(&entry.path(), &source)?,
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, file_type: fs::FileType, kind: RootKind) -> Result<()> {
        if file_type.is_dir() {
            self.directory(path, kind)
        } else if file_type.is_symlink() {
            self.link(path, kind)
        } else if file_type.is_file() {
            // A file named like a store path (`findRoots`, DT_REG).
            if let Some(id) = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| self.graph.find(name))
            {
                self.roots.add(id, path, kind);
            }
            Ok(())
        } else {
            Ok(())
        }
    }

    fn link(&mut self, path: &Path, kind: RootKind) -> Result<()> {
        let target = match fs::read_link(path) {
            Ok(target) => target,
            Err(source) => return self.doubt(path, &source),
        };
        if is_in_store(&target) {
            if !self.found(path, &target, kind, None) {
                self.stale(path, target, kind, StaleReason::NotValid);
            }
            return Ok(());
        }
        // One further hop, as Nix makes it: `gcroots/auto/HASH -> /home/u/result -> store`.
        let outer_kind = if kind == RootKind::Permanent {
            RootKind::Indirect
        } else {
            kind
        };
        let places = self.candidates(
            path,
            &absolute(&target, path.parent().unwrap_or(Path::new("/"))),
        );
        let (mut gone, mut invalid, mut elsewhere, mut is_root) = (0, false, false, false);
        for candidate in &places {
            match fs::read_link(candidate) {
                Ok(inner) => {
                    is_root |= self.found(candidate, &inner, outer_kind, Some(path));
                    invalid |= is_in_store(&inner);
                    elsewhere |= !is_in_store(&inner);
                }
                Err(source)
                    if source.kind() == io::ErrorKind::NotFound
                        || source.kind() == io::ErrorKind::NotADirectory =>
                {
                    gone += 1;
                }
                // A file or directory, which is no root.
                Err(source) if source.kind() == io::ErrorKind::InvalidInput => elsewhere = true,
                Err(source) => self.doubt(candidate, &source)?,
            }
        }
        if is_root {
            // It keeps something, whatever else it leads to.
        } else if gone == places.len() {
            self.stale(path, target, outer_kind, StaleReason::TargetGone);
        } else if invalid {
            self.stale(path, target, outer_kind, StaleReason::NotValid);
        } else if elsewhere && path.starts_with(self.layout.state().join("gcroots/auto")) {
            // Other links that lead nowhere are no mistake: `gcroots/profiles`.
            self.stale(path, target, outer_kind, StaleReason::LeadsElsewhere);
        }
        Ok(())
    }

    /// Where the target of an outer link may lie. `nix-store --store DIR` follows it from this
    /// process's root, the host itself from its own: what either finds is alive.
    fn candidates(&self, link: &Path, target: &Path) -> Vec<PathBuf> {
        if self.layout.is_live() || target.starts_with(self.layout.root()) {
            return vec![target.to_owned()];
        }
        let raw = fs::read_link(link).is_ok_and(|target| target.is_absolute());
        let within = self.layout.inside(target);
        if raw {
            vec![target.to_owned(), within]
        } else {
            vec![target.to_owned()]
        }
    }

    /// Adds a root; false if the link does not lead to a valid path.
    fn found(&mut self, link: &Path, target: &Path, kind: RootKind, via: Option<&Path>) -> bool {
        let path = target
            .to_str()
            .and_then(|target| valid_path(self.graph, target));
        if let Some(path) = path {
            self.roots.found.push(Root {
                path,
                link: link.to_owned(),
                kind,
                via: via.map(Path::to_owned),
                made: made(link),
            });
        }
        path.is_some()
    }

    fn stale(&mut self, link: &Path, target: PathBuf, kind: RootKind, reason: StaleReason) {
        self.roots.stale.push(StaleLink {
            link: link.to_owned(),
            target,
            kind,
            reason,
            made: made(link),
        });
    }

    /// ENOENT is a link that went away meanwhile; anything else leaves the set in doubt.
    fn doubt(&mut self, path: &Path, source: &io::Error) -> Result<()> {
        if source.kind() != io::ErrorKind::NotFound {
            self.roots
                .unreadable
                .push(FactError::io(ATTEMPT, path, source, CURE));
        }
        Ok(())
    }
}

/// `None` for a link that went away meanwhile.
fn made(link: &Path) -> Option<SystemTime> {
    let meta = fs::symlink_metadata(link).ok()?;
    meta.modified().ok()
}

fn is_in_store(target: &Path) -> bool {
    target
        .as_os_str()
        .as_bytes()
        .strip_prefix(crate::STORE_DIR.as_bytes())
        .is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// `absPath` of Nix: relative to the link's directory, `.` and `..` resolved in the text.
fn absolute(target: &Path, directory: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    for part in directory.join(target).components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    out
}
