//! What has to do with a file or directory: any process that is in it, has it open, mapped or
//! mounted, or names it in its environment (`NIX_BUILD_TOP`).
//!
//! A sandboxed builder sees its directory as `/build`, in a mount namespace of its own: what is
//! mounted there tells, and so do inodes.

use std::{
    collections::{HashMap, HashSet},
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use crate::{FactError, Layout, Result};

const ATTEMPT: &str = "see who uses what builds left";
const CURE: &str = "run as root with ProtectProc and PrivatePIDs off; until then it stays";

/// What is asked about, each by its number.
#[derive(Debug, Default)]
pub(super) struct Asked {
    names: HashMap<OsString, usize>,
    inodes: HashMap<u64, Vec<(u64, usize)>>,
}

impl Asked {
    /// A part of a path that names it and nothing else.
    pub(super) fn name(&mut self, name: &OsStr, number: usize) {
        self.names.insert(name.to_owned(), number);
    }

    /// A file of it.
    pub(super) fn inode(&mut self, device: u64, inode: u64, number: usize) {
        self.inodes.entry(inode).or_default().push((device, number));
    }

    /// The numbers of those that some process has to do with.
    ///
    /// # Errors
    /// If the processes cannot be read: then any of them may be in use.
    pub(super) fn in_use(&self, layout: &Layout) -> Result<HashSet<usize>> {
        let proc_dir = layout.proc_dir();
        let failed = |error: &io::Error| FactError::io(ATTEMPT, proc_dir, error, CURE);
        let mut search = Search {
            asked: self,
            ours: fs::read_link(proc_dir.join("self/ns/mnt")).ok(),
            namespaces: HashSet::new(),
            found: HashSet::new(),
        };
        search.mentions(&proc_dir.join("self/mountinfo"))?;
        for entry in fs::read_dir(proc_dir).map_err(|error| failed(&error))? {
            let entry = entry.map_err(|error| failed(&error))?;
            if entry.file_name().as_bytes().iter().all(u8::is_ascii_digit) {
                search.process(&entry.path())?;
            }
        }
        Ok(search.found)
    }
}

struct Search<'a> {
    asked: &'a Asked,
    ours: Option<PathBuf>,
    namespaces: HashSet<PathBuf>,
    found: HashSet<usize>,
}

impl Search<'_> {
    fn process(&mut self, directory: &Path) -> Result<()> {
        let namespace = tolerate(directory, fs::read_link(directory.join("ns/mnt")))?;
        let is_elsewhere = namespace.is_none() || namespace != self.ours;
        if let Some(namespace) = namespace
            && self.namespaces.insert(namespace)
        {
            self.mentions(&directory.join("mountinfo"))?;
        }
        for name in ["cwd", "root", "exe"] {
            let path = directory.join(name);
            if let Some(target) = tolerate(&path, fs::read_link(&path))? {
                self.text(target.as_os_str().as_bytes());
            }
            // Here a path says where it is; elsewhere it says what the process calls it. Not asked
            // for otherwise: it could hang on a network file system that is gone.
            if is_elsewhere && let Some(meta) = tolerate(&path, fs::metadata(&path))? {
                self.inode(meta.ino(), Some(meta.dev()));
            }
        }
        self.descriptors(directory)?;
        let maps = directory.join("maps");
        if let Some(text) = tolerate(&maps, fs::read(&maps))? {
            for line in text.split(|byte| *byte == b'\n') {
                self.mapping(line);
            }
        }
        self.mentions(&directory.join("environ"))
    }

    fn descriptors(&mut self, directory: &Path) -> Result<()> {
        let descriptors = directory.join("fd");
        let Some(entries) = tolerate(&descriptors, fs::read_dir(&descriptors))? else {
            return Ok(());
        };
        for entry in entries {
            let Some(entry) = tolerate(&descriptors, entry)? else {
                continue;
            };
            let path = entry.path();
            let Some(target) = tolerate(&path, fs::read_link(&path))? else {
                continue;
            };
            // Sockets, pipes and the like.
            if !target.is_absolute() {
                continue;
            }
            self.text(target.as_os_str().as_bytes());
            let info = directory.join("fdinfo").join(entry.file_name());
            let inode = tolerate(&info, fs::read_to_string(&info))?.and_then(|info| {
                // Since Linux 5.14.
                let mut lines = info.lines();
                let inode = lines.find_map(|line| line.strip_prefix("ino:"))?;
                inode.trim().parse().ok()
            });
            let may_be = inode.is_none_or(|inode: u64| self.asked.inodes.contains_key(&inode));
            if may_be && let Some(meta) = tolerate(&path, fs::metadata(&path))? {
                self.inode(meta.ino(), Some(meta.dev()));
            }
        }
        Ok(())
    }

    /// A line of `/proc/PID/maps`. Its device is not that of `stat` everywhere (btrfs), so the
    /// inode alone counts.
    fn mapping(&mut self, line: &[u8]) {
        let mut words = line.split(|byte| *byte == b' ').filter(|w| !w.is_empty());
        let inode = words.nth(4).and_then(|word| std::str::from_utf8(word).ok());
        match inode.and_then(|inode| inode.parse().ok()) {
            Some(0) | None => {}
            Some(inode) => {
                self.inode(inode, None);
                self.text(line);
            }
        }
    }

    fn mentions(&mut self, path: &Path) -> Result<()> {
        if let Some(text) = tolerate(path, fs::read(path))? {
            self.text(&text);
        }
        Ok(())
    }

    /// Names are parts of paths, and paths are words of whatever it is.
    fn text(&mut self, text: &[u8]) {
        if self.asked.names.is_empty() {
            return;
        }
        let parts = text.split(|byte| matches!(byte, b'/' | 0 | b' ' | b'\n' | b':' | b'"'));
        for part in parts.filter(|part| !part.is_empty()) {
            if let Some(number) = self.asked.names.get(&OsString::from_vec(part.to_vec())) {
                self.found.insert(*number);
            }
        }
    }

    fn inode(&mut self, inode: u64, device: Option<u64>) {
        let asked = self.asked.inodes.get(&inode).into_iter().flatten();
        let same = asked.filter(|(theirs, _)| device.is_none_or(|ours| ours == *theirs));
        self.found.extend(same.map(|(_, number)| *number));
    }
}

/// `None` where the process or its file is gone, or was never there (a kernel thread).
fn tolerate<T>(path: &Path, result: io::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32)
                // `mountinfo` of a process that has ended and was not waited for.
                || error.raw_os_error() == Some(nix::errno::Errno::EINVAL as i32) =>
        {
            Ok(None)
        }
        Err(error) => Err(FactError::io(ATTEMPT, path, &error, CURE)),
    }
}
