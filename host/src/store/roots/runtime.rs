//! Roots that are running processes (`findRuntimeRoots`): a program that runs from the store, or
//! has a file of it open, keeps it although no link does.

use std::{fs, io, os::unix::ffi::OsStrExt, path::Path};

use super::{RootKind, Roots, valid_path};
use crate::{FactError, Layout, Result, STORE_DIR, processes::all_are_visible, store::Graph};

const ATTEMPT: &str = "read the runtime roots";
const CURE: &str =
    "run as root with ProtectProc and PrivatePIDs off; until then nothing is deleted";
const NO_DELETION: &str = "; until then nothing is deleted";

pub(super) fn read(layout: &Layout, graph: &Graph, roots: &mut Roots) -> Result<()> {
    let proc_dir = layout.proc_dir();
    // Processes that are hidden are not refused, and the locks of their temporary roots are not
    // in `/proc/locks` either: without them the set is smaller than the truth.
    if let Err(mut error) = all_are_visible(layout, ATTEMPT) {
        error.cure.push_str(NO_DELETION);
        roots.unreadable.push(error);
    }
    let entries =
        fs::read_dir(proc_dir).map_err(|source| FactError::io(ATTEMPT, proc_dir, &source, CURE))?;
    let mut denied = Denied::default();
    for entry in entries {
        let entry = entry.map_err(|source| FactError::io(ATTEMPT, proc_dir, &source, CURE))?;
        if entry.file_name().as_bytes().iter().all(u8::is_ascii_digit) {
            process(&entry.path(), graph, roots, &mut denied);
        }
    }
    for name in ["modprobe", "fbsplash", "poweroff_cmd"] {
        let path = proc_dir.join("sys/kernel").join(name);
        if let Some(text) = denied.tolerate(&path, fs::read(&path)) {
            add(
                &path,
                String::from_utf8_lossy(&text).trim_end(),
                graph,
                roots,
            );
        }
    }
    roots.unreadable.extend(denied.into_error());
    Ok(())
}

fn process(directory: &Path, graph: &Graph, roots: &mut Roots, denied: &mut Denied) {
    for name in ["exe", "cwd"] {
        let path = directory.join(name);
        link(&path, graph, roots, denied);
    }
    let descriptors = directory.join("fd");
    if let Some(entries) = denied.tolerate(&descriptors, fs::read_dir(&descriptors)) {
        for entry in entries.flatten() {
            link(&entry.path(), graph, roots, denied);
        }
    }
    let maps = directory.join("maps");
    if let Some(text) = denied.tolerate(&maps, fs::read(&maps)) {
        for line in text.split(|byte| *byte == b'\n') {
            if let Some(mapped) = mapped_file(line) {
                add(&maps, mapped, graph, roots);
            }
        }
    }
    let environ = directory.join("environ");
    if let Some(text) = denied.tolerate(&environ, fs::read(&environ)) {
        for path in store_paths_in(&text) {
            add(&environ, path, graph, roots);
        }
    }
}

fn link(path: &Path, graph: &Graph, roots: &mut Roots, denied: &mut Denied) {
    if let Some(target) = denied.tolerate(path, fs::read_link(path)) {
        add(path, &target.to_string_lossy(), graph, roots);
    }
}

fn add(link: &Path, target: &str, graph: &Graph, roots: &mut Roots) {
    if let Some(id) = valid_path(graph, target) {
        roots.add(id, link, RootKind::Runtime);
    }
}

/// The file of a line of `/proc/PID/maps`: its sixth column, if nothing follows.
fn mapped_file(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?;
    let mut columns = line.split_ascii_whitespace().skip(5);
    let file = columns.next().filter(|file| file.starts_with('/'))?;
    columns.next().is_none().then_some(file)
}

/// What the pattern `/nix/store/[0-9a-z]+[0-9a-zA-Z+\-._?=]*` of Nix matches.
fn store_paths_in(text: &[u8]) -> impl Iterator<Item = &str> {
    let prefix = STORE_DIR.as_bytes();
    text.windows(prefix.len() + 1)
        .enumerate()
        .filter(move |(_, window)| window.starts_with(prefix) && window.ends_with(b"/"))
        .filter_map(move |(start, window)| {
            let name = &text[start + window.len()..];
            let length = name
                .iter()
                .position(|byte| !(byte.is_ascii_alphanumeric() || b"+-._?=".contains(byte)))
                .unwrap_or(name.len());
            std::str::from_utf8(&text[start..start + window.len() + length]).ok()
        })
}

/// Processes that may not be looked at are counted, not listed: one error names the first.
#[derive(Default)]
struct Denied {
    count: usize,
    first: Option<(std::path::PathBuf, io::Error)>,
}

impl Denied {
    /// The value, or `None` where the process or the file is gone; anything else is counted.
    fn tolerate<T>(&mut self, path: &Path, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) if gone(&error) => None,
            Err(error) => {
                self.count += 1;
                self.first.get_or_insert((path.to_owned(), error));
                None
            }
        }
    }

    fn into_error(self) -> Option<FactError> {
        let (path, source) = self.first?;
        let mut error = FactError::io(ATTEMPT, path, &source, CURE);
        if self.count > 1 {
            error.cause = format!(
                "{} (and {} further places in /proc)",
                error.cause,
                self.count - 1
            );
        }
        Some(error)
    }
}

/// ENOENT or ESRCH: the process ended meanwhile, or is a kernel thread, which has no executable.
fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_path_in_an_environment_ends_where_nix_ends_it() {
        let found: Vec<_> = store_paths_in(
            b"PATH=/nix/store/abc-x/bin:/nix/store/def-y\0A=/nix/store/\0B=/nix/storeX/q",
        )
        .collect();
        assert_eq!(
            found,
            ["/nix/store/abc-x", "/nix/store/def-y", "/nix/store/"]
        );
    }

    #[test]
    fn a_mapping_of_a_deleted_file_is_no_root_as_in_nix() {
        let line = b"7f-80 r-xp 00000000 fe:00 12 /nix/store/abc-x/lib.so";
        assert_eq!(mapped_file(line), Some("/nix/store/abc-x/lib.so"));
        assert_eq!(
            mapped_file(b"7f-80 r-xp 0 fe:00 12 /nix/store/abc-x/lib.so (deleted)"),
            None
        );
        assert_eq!(mapped_file(b"7f-80 rw-p 00000000 00:00 0 [heap]"), None);
    }
}
