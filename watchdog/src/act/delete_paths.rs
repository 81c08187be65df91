//! The verb that deletes paths of the store: through Nix, which judges each again.
//!
//! Where a Nix daemon answers, it is asked through its socket: its mount namespace sees every
//! user's roots, its progress is told line by line, and it stops cleanly when its client goes.
//! Where none answers, `nix-store --delete` opens the store itself, which is why this program
//! must not run in a mount namespace of its own.
//!
//! Either deletes exactly what it is given (`collectGarbage` with `gcDeleteSpecific`), in an order
//! of its own, and stops at the first path that is alive.

mod program;

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::Child,
    time::{Duration, Instant},
};

use nix::sys::{
    resource::{Resource, getrlimit},
    signal::Signal,
};
use snowguard_host::{FactError, Kind, Layout};

use super::{
    daemon::{Daemon, DaemonError},
    said,
    stop::Stop,
};

/// How long one call of Nix may take, where a batch is one of many.
pub const DEADLINE: Duration = Duration::from_secs(600);

const ATTEMPT: &str = "delete dead paths";
/// So many paths that Nix holds alive are left out in one call, each at the price of one more
/// look of Nix at all roots. More of them means that the host is to be read again.
const REFUSALS: usize = 4;

/// Deletes paths of one store.
#[derive(Debug)]
pub struct DeletePaths {
    /// The host.
    pub layout: Layout,
    /// The program `nix-store`, an absolute path.
    pub program: PathBuf,
    /// How long one call may take. Nix itself would wait an hour for a locked database.
    pub deadline: Duration,
    /// When the last call must have ended, however much of its own time is left.
    pub ends: Option<Instant>,
    /// Who may end it early.
    pub stop: Stop,
    /// A directory that is not on the disk to be freed, for what Nix writes by the way.
    pub spare: PathBuf,
    daemon: Reach,
    /// How a program is told to end.
    signal: fn(&Child, Signal),
}

/// What is known of the daemon.
#[derive(Debug)]
enum Reach {
    /// Not asked yet.
    Unknown,
    /// It answered.
    Connected(Box<Daemon>),
    /// It did not, and why. It is not asked again: a hung one would cost its deadline each time.
    Not(String),
}

/// What a call brought, apart from what was deleted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Entries that Nix holds alive. They are there, and so is whatever they keep.
    pub refused: Vec<OsString>,
    /// Entries that are there still because Nix was not asked for them without those: what
    /// remains is for another look at the host.
    pub left: usize,
    /// Why it did not go through the daemon, told once.
    pub note: Option<String>,
}

/// How one call of Nix ended, if it did not succeed.
enum Failure {
    /// What Nix says.
    Said(String),
    /// It did not come to an end.
    Cut(String),
}

impl DeletePaths {
    /// Deletes paths of the store of `layout`, with the program `nix-store` where no daemon
    /// answers.
    pub fn new(layout: &Layout, program: PathBuf, deadline: Duration, stop: Stop) -> Self {
        let ours = layout.inside("/run/snowguard");
        Self {
            spare: if ours.is_dir() { ours } else { "/run".into() },
            layout: layout.clone(),
            program,
            deadline,
            ends: None,
            stop,
            daemon: Reach::Unknown,
            signal: program::signal_group,
        }
    }

    /// Deletes entries of the store directory, given by base name. They must be closed: whatever
    /// keeps one of them must be among them or gone. `deleting` is called for each path that the
    /// daemon says it deletes.
    ///
    /// # Errors
    /// What Nix said. Some of the entries may be gone all the same: read the host again.
    pub fn run(
        &mut self,
        entries: &[OsString],
        deleting: &mut dyn FnMut(),
    ) -> Result<Deleted, FactError> {
        let by = Instant::now() + self.deadline;
        let by = self.ends.map_or(by, |ends| by.min(ends));
        let mut deleted = Deleted::default();
        let mut entries = entries.to_vec();
        loop {
            let cause = match self.once(&entries, by, deleting, &mut deleted.note) {
                Ok(()) => return Ok(deleted),
                Err(Failure::Cut(cause)) => cause,
                Err(Failure::Said(said)) => match said::refused(&said, &entries) {
                    Some(alive) if deleted.refused.len() < REFUSALS => {
                        entries.retain(|entry| *entry != alive);
                        deleted.refused.push(alive);
                        if entries.is_empty() {
                            return Ok(deleted);
                        }
                        continue;
                    }
                    Some(alive) => {
                        entries.retain(|entry| *entry != alive);
                        deleted.refused.push(alive);
                        deleted.left = self.still_there(&entries);
                        return Ok(deleted);
                    }
                    None => said,
                },
            };
            return Err(FactError::new(
                Kind::Io,
                ATTEMPT,
                self.layout.store(),
                cause,
                "see `nix-store --gc --print-dead` for what Nix holds dead",
            ));
        }
    }

    /// How many of these are there still. What cannot be looked at is.
    fn still_there(&self, entries: &[OsString]) -> usize {
        let store = self.layout.store();
        let is_gone = |entry: &&OsString| {
            let meta = fs::symlink_metadata(store.join(entry));
            meta.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        entries.len() - entries.iter().filter(is_gone).count()
    }

    fn once(
        &mut self,
        entries: &[OsString],
        by: Instant,
        deleting: &mut dyn FnMut(),
        note: &mut Option<String>,
    ) -> Result<(), Failure> {
        if let Some(mut daemon) = self.reach(by, note)? {
            let mut line = |line: &[u8]| {
                if line.starts_with(b"deleting '/") {
                    deleting();
                }
            };
            return match daemon.delete(entries, by, &mut line) {
                Ok(()) => {
                    self.daemon = Reach::Connected(daemon);
                    Ok(())
                }
                Err(DaemonError::Refused(said)) => {
                    // Nix goes on listening after a failure of the work itself.
                    self.daemon = Reach::Connected(daemon);
                    Err(Failure::Said(said))
                }
                // The connection is closed, and with it ends what Nix was at.
                Err(error) => Err(Failure::Cut(error.to_string())),
            };
        }
        self.may_open()?;
        self.through_program(entries, by)
    }

    /// The daemon, if it answers.
    fn reach(
        &mut self,
        by: Instant,
        note: &mut Option<String>,
    ) -> Result<Option<Box<Daemon>>, Failure> {
        match std::mem::replace(&mut self.daemon, Reach::Unknown) {
            Reach::Connected(daemon) => return Ok(Some(daemon)),
            Reach::Not(cause) => {
                self.daemon = Reach::Not(cause);
                return Ok(None);
            }
            Reach::Unknown => {}
        }
        let socket = socket(&self.layout);
        if !socket.exists() {
            self.daemon = Reach::Not("it has no socket".to_owned());
            return Ok(None);
        }
        match Daemon::connect(&socket, &self.stop, by) {
            Ok(daemon) => Ok(Some(Box::new(daemon))),
            Err(error) if self.stop.is_asked() || Instant::now() >= by => {
                Err(Failure::Cut(error.to_string()))
            }
            Err(error) => {
                *note = Some(format!(
                    "{error} (at {socket:?}); nix-store opens the store itself"
                ));
                self.daemon = Reach::Not(error.to_string());
                Ok(None)
            }
        }
    }

    /// Nix in a mount namespace of ours would unlink the roots that it does not see, and delete
    /// what they keep.
    fn may_open(&self) -> Result<(), Failure> {
        let namespace = |process: &str| {
            let path = self.layout.proc_dir().join(process).join("ns/mnt");
            std::fs::read_link(path)
        };
        match (namespace("self"), namespace("1")) {
            (Ok(ours), Ok(first)) if ours == first => Ok(()),
            // A store of another root has its roots below that root, seen from here.
            _ if !self.layout.is_live() => Ok(()),
            (Ok(_), Ok(_)) => Err(Failure::Cut(
                "this process runs in a mount namespace of its own, where Nix would not see every \
                 GC root: start the Nix daemon, or take the sandbox from this unit"
                    .to_owned(),
            )),
            (Err(error), _) | (_, Err(error)) => Err(Failure::Cut(format!(
                "whether this process runs in a mount namespace of its own cannot be read: {error}"
            ))),
        }
    }
}

/// Bytes of names that one call of a program may be given. The kernel takes a quarter of the limit
/// of the stack, but no more than 6 MiB and in any case 128 KiB, for arguments and environment
/// together (`bprm_stack_limits` in `fs/exec.c`); half of it is left to all else.
pub fn room_for_names() -> usize {
    const LEAST: u64 = 128 << 10;
    const MOST: u64 = 2 << 20;
    let stack = getrlimit(Resource::RLIMIT_STACK).map_or(0, |(soft, _)| soft);
    let bytes = (stack / 4).clamp(LEAST, MOST) / 2;
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Where the daemon of a host listens.
pub fn socket(layout: &Layout) -> PathBuf {
    layout.inside(Path::new("/nix/var/nix/daemon-socket/socket"))
}

#[cfg(test)]
mod tests;
