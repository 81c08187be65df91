//! Who collects garbage of a store now.
//!
//! The collector of Nix holds `gc.lock` while it works, and so do those that take its place. On
//! the live host programs are seen, too, that do not hold it yet: `nix-collect-garbage` gives up
//! generations first, and a service that is about to collect has its processes in its cgroup.

use std::{fs, io, path::Path};

use crate::{FactError, Layout, Locks, Result};

const ATTEMPT: &str = "see who collects garbage";
/// The service of NixOS's `nix.gc`.
const SERVICE: &str = "nix-gc.service";

/// Somebody who collects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    /// The process.
    pub pid: u32,
    /// What it is seen by.
    pub sign: Sign,
}

/// What a collector is seen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It holds `gc.lock`.
    Lock,
    /// It is a process of `nix-gc.service`.
    Service,
    /// Its command line says so.
    CommandLine,
}

impl std::fmt::Display for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pid = self.pid;
        match self.sign {
            Sign::Lock => write!(f, "process {pid} holds gc.lock"),
            Sign::Service => write!(f, "process {pid} of {SERVICE} runs"),
            Sign::CommandLine => write!(f, "process {pid} collects garbage"),
        }
    }
}

impl Collector {
    /// Whoever collects garbage of this store, `None` if nobody does. Processes other than the
    /// holder of the lock are looked for on the live host alone: those of a store below another
    /// root would be mistaken for ours.
    ///
    /// # Errors
    /// If the locks or the processes cannot be read.
    pub fn find(layout: &Layout) -> Result<Option<Self>> {
        let holder = Locks::read(layout)?.holder(&layout.state().join("gc.lock"))?;
        if let Some(pid) = holder {
            let sign = Sign::Lock;
            return Ok(Some(Self { pid, sign }));
        }
        if layout.is_live() {
            Self::among_processes(layout.proc_dir())
        } else {
            Ok(None)
        }
    }

    fn among_processes(proc_dir: &Path) -> Result<Option<Self>> {
        let failed = |error: io::Error| {
            let cure = "the process file system must be mounted whole";
            FactError::io(ATTEMPT, proc_dir, &error, cure)
        };
        for entry in fs::read_dir(proc_dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A process that has ended meanwhile, or that may not be looked at, is passed over:
            // the lock is what counts, this only sees it a moment earlier.
            let read = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
            let sign = if is_of_service(&read("cgroup")) {
                Sign::Service
            } else if collects(&read("cmdline")) {
                Sign::CommandLine
            } else {
                continue;
            };
            return Ok(Some(Self { pid, sign }));
        }
        Ok(None)
    }
}

/// `0::/system.slice/nix-gc.service`, or a line for each hierarchy.
fn is_of_service(cgroup: &[u8]) -> bool {
    let mut lines = cgroup.split(|byte| *byte == b'\n');
    lines.any(|line| {
        line.split(|byte| *byte == b'/')
            .any(|part| part == SERVICE.as_bytes())
    })
}

/// `nix-collect-garbage`, `nix-store --gc`, `nix store gc`, which delete; not their questions.
fn collects(command_line: &[u8]) -> bool {
    let mut words = command_line
        .split(|byte| *byte == 0)
        .map(String::from_utf8_lossy);
    let program = words.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let words: Vec<_> = words.collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    let asks = words.iter().any(|word| word.starts_with("--print-")) || has("--dry-run");
    let collects = match program.as_str() {
        "nix-collect-garbage" => true,
        "nix-store" => has("--gc"),
        "nix" => has("store") && has("gc"),
        _ => false,
    };
    collects && !asks
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn process(proc_dir: &Path, pid: u32, command_line: &str, cgroup: &str) {
        let directory = proc_dir.join(pid.to_string());
        fs::create_dir_all(&directory).unwrap();
        let command_line = command_line.replace(' ', "\0") + "\0";
        fs::write(directory.join("cmdline"), command_line).unwrap();
        fs::write(directory.join("cgroup"), cgroup).unwrap();
    }

    #[test]
    fn a_collector_is_seen_before_it_holds_the_lock_and_a_question_is_none() {
        let user = "0::/user.slice/session-1.scope\n";
        let service = "0::/system.slice/nix-gc.service\n";
        for (command_line, cgroup, sign) in [
            ("/bin/nix-collect-garbage -d", user, Some(Sign::CommandLine)),
            (
                "nix-store --gc --max-freed 5G",
                user,
                Some(Sign::CommandLine),
            ),
            ("nix store gc", user, Some(Sign::CommandLine)),
            (
                "/bin/sh -e /nix/store/x-nix-gc-start",
                service,
                Some(Sign::Service),
            ),
            ("nix-store --gc --print-dead", user, None),
            ("nix-collect-garbage --dry-run", user, None),
            ("nix-store --delete /nix/store/x", user, None),
            ("vim nix-gc.service", user, None),
            ("", "", None),
        ] {
            let dir = TempDir::new().unwrap();
            process(dir.path(), 77, command_line, cgroup);
            process(dir.path(), 78, "/bin/sh", user);
            let found = Collector::among_processes(dir.path()).unwrap();
            assert_eq!(found.map(|found| found.sign), sign, "{command_line}");
        }
    }

    #[test]
    fn a_process_file_system_that_cannot_be_read_is_an_error() {
        let dir = TempDir::new().unwrap();
        let error = Collector::among_processes(&dir.path().join("none")).unwrap_err();
        assert!(error.to_string().contains("none"));
    }

    #[test]
    fn the_holder_of_the_lock_collects_whatever_it_is_called() {
        let dir = TempDir::new().unwrap();
        let layout = Layout::new(dir.path());
        fs::create_dir_all(layout.state()).unwrap();
        assert_eq!(Collector::find(&layout).unwrap(), None);
        let lock = fs::File::create(layout.state().join("gc.lock")).unwrap();
        lock.lock().unwrap();
        let found = Collector::find(&layout).unwrap().unwrap();
        assert_eq!((found.pid, found.sign), (std::process::id(), Sign::Lock));
    }
}
