//! Who collects garbage of a store now.
//!
//! The collector of Nix holds `gc.lock` while it works, and so do those that take its place. On
//! the live host programs are seen, too, that do not hold it yet: `nix-collect-garbage` gives up
//! generations first, and a service that is about to collect has its processes in its cgroup.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

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
    /// The same, but it was stopped, and may stay so.
    Stopped,
}

impl std::fmt::Display for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pid = self.pid;
        match self.sign {
            Sign::Lock => write!(f, "process {pid} holds gc.lock"),
            Sign::Service => write!(f, "process {pid} of {SERVICE} runs"),
            Sign::CommandLine => write!(f, "process {pid} collects garbage"),
            Sign::Stopped => write!(
                f,
                "process {pid} is to collect garbage and is stopped (`kill -CONT` lets it go on, \
                 `kill -KILL` ends it)"
            ),
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
            Self::among_processes(layout.proc_dir(), &layout.store())
        } else {
            Ok(None)
        }
    }

    fn among_processes(proc_dir: &Path, store: &Path) -> Result<Option<Self>> {
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
            } else if collects(&read("cmdline"))
                && may_delete(&entry.path(), store)
                && sees(&entry.path(), store)
            {
                if is_stopped(&read("stat")) {
                    Sign::Stopped
                } else {
                    Sign::CommandLine
                }
            } else {
                continue;
            };
            return Ok(Some(Self { pid, sign }));
        }
        Ok(None)
    }
}

/// `0::/system.slice/nix-gc.service`, or a line for each hierarchy. One of a container has more
/// before that.
fn is_of_service(cgroup: &[u8]) -> bool {
    let mut lines = cgroup.split(|byte| *byte == b'\n');
    lines.any(|line| {
        let path = line.splitn(3, |byte| *byte == b':').nth(2);
        let rest = path.and_then(|path| path.strip_prefix(b"/system.slice/"));
        let rest = rest.and_then(|rest| rest.strip_prefix(SERVICE.as_bytes()));
        rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    })
}

/// Whether a process may delete from this store: it is root's, or the owner's where one user has the
/// store alone. Anybody else asks the daemon, which holds the lock; what their process is called
/// would else keep a full disk full.
fn may_delete(process: &Path, store: &Path) -> bool {
    match (fs::metadata(process), fs::metadata(store)) {
        (Ok(process), Ok(store)) => process.uid() == 0 || process.uid() == store.uid(),
        _ => true,
    }
}

/// Whether a process finds this store where it looks for one: that of a container may have
/// another. Where that cannot be told it may be ours.
fn sees(process: &Path, store: &Path) -> bool {
    let root = process.join("root");
    let theirs = fs::metadata(root.join("nix/store"));
    match (theirs, fs::metadata(store)) {
        (Ok(theirs), Ok(ours)) => (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()),
        (Err(error), Ok(_)) if error.kind() == io::ErrorKind::NotFound => !root.is_dir(),
        _ => true,
    }
}

/// `77 (name) T …`; the name may have any letters in it.
fn is_stopped(stat: &[u8]) -> bool {
    let end = stat.iter().rposition(|byte| *byte == b')');
    let state = end.and_then(|end| stat.get(end + 2));
    matches!(state, Some(b'T' | b't'))
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
            let found = Collector::among_processes(dir.path(), dir.path()).unwrap();
            assert_eq!(found.map(|found| found.sign), sign, "{command_line}");
        }
    }

    #[test]
    fn whoever_collects_in_a_container_with_a_store_of_its_own_is_none_of_ours() {
        let dir = TempDir::new().unwrap();
        let (proc_dir, ours) = (dir.path().join("proc"), dir.path().join("store"));
        fs::create_dir_all(&ours).unwrap();
        let find = || Collector::among_processes(&proc_dir, &ours).unwrap();
        let cgroup = "0::/machine.slice/c.service/payload/system.slice/nix-gc.service\n";
        process(&proc_dir, 77, "nix-collect-garbage", cgroup);
        let root = proc_dir.join("77/root");
        assert_eq!(find().unwrap().sign, Sign::CommandLine, "not to be told");
        fs::create_dir(&root).unwrap();
        assert_eq!(find(), None, "it has no store");
        fs::create_dir_all(root.join("nix/store")).unwrap();
        assert_eq!(find(), None, "it has another");
        fs::remove_dir(root.join("nix/store")).unwrap();
        std::os::unix::fs::symlink(&ours, root.join("nix/store")).unwrap();
        assert_eq!(find().unwrap().sign, Sign::CommandLine, "it has ours");
    }

    #[test]
    fn whoever_may_not_delete_from_the_store_collects_nothing_by_the_name_of_a_program() {
        use std::os::unix::fs::chown;
        let dir = TempDir::new().unwrap();
        let (proc_dir, store) = (dir.path().join("proc"), dir.path().join("store"));
        fs::create_dir_all(&store).unwrap();
        process(&proc_dir, 77, "nix-collect-garbage", "0::/user.slice\n");
        let find = || Collector::among_processes(&proc_dir, &store).unwrap();
        assert_eq!(find().unwrap().sign, Sign::CommandLine, "root's");
        chown(proc_dir.join("77"), Some(1000), None).unwrap();
        assert_eq!(find(), None, "a user's beside root's store");
        chown(&store, Some(1000), None).unwrap();
        assert_eq!(find().unwrap().sign, Sign::CommandLine, "the owner's");
    }

    #[test]
    fn a_collector_that_is_stopped_is_told_as_that() {
        let dir = TempDir::new().unwrap();
        process(dir.path(), 77, "nix-collect-garbage", "0::/user.slice\n");
        fs::write(dir.path().join("77/stat"), "77 (a) S) T 1 77 77").unwrap();
        let found = Collector::among_processes(dir.path(), dir.path()).unwrap();
        assert!(found.unwrap().to_string().contains("is stopped"));
    }

    #[test]
    fn a_process_file_system_that_cannot_be_read_is_an_error() {
        let dir = TempDir::new().unwrap();
        let error = Collector::among_processes(&dir.path().join("none"), dir.path()).unwrap_err();
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
