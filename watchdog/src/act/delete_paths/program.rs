//! `nix-store --delete`, for a store whose daemon does not answer.

use std::{
    ffi::OsString,
    io::Read,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use snowguard_host::STORE_DIR;

use super::{DeletePaths, Failure};
use crate::act::said;

const POLL: Duration = Duration::from_millis(20);
/// How long Nix may take to end once it is asked to. It looks between two files. Killed after
/// that, it leaves a consistent store: its database has transactions, and what it was deleting is
/// invalid before the first file of it goes.
const TO_END: Duration = Duration::from_secs(5);
/// How long a killed process may take to go. One that hangs in the kernel, on a disk that does not
/// answer, never does; the collection ends without it. Both together leave time in what a unit has
/// to stop.
const TO_GO: Duration = Duration::from_secs(2);
/// How long what Nix said is read after its end: others may hold the pipe open for ever.
const TO_READ: Duration = Duration::from_secs(1);
/// What is kept of what Nix said, for the message.
pub(super) const TAIL: usize = 4096;

impl DeletePaths {
    /// Runs the program to its end, or ends it at the deadline.
    pub(super) fn through_program(&self, entries: &[OsString], by: Instant) -> Result<(), Failure> {
        let mut command = Command::new(&self.program);
        command
            .arg("--delete")
            .args(self.store())
            // Nix would first make its own reserve anew, out of the room that it needs to work.
            .args(["--option", "gc-reserved-space", "0"])
            .args(entries.iter().map(|name| {
                let mut path = OsString::from(format!("{STORE_DIR}/"));
                path.push(name);
                path
            }))
            .env_clear()
            .env("PATH", "/run/current-system/sw/bin:/usr/bin:/bin")
            .env("NIX_CONF_DIR", self.layout.inside("/etc/nix"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        // Nothing that Nix writes by the way may need the disk that is full: SQLite's temporary
        // files (NixOS/nix#5454), its own, and what it keeps in a home.
        for name in [
            "SQLITE_TMPDIR",
            "TMPDIR",
            "HOME",
            "XDG_CACHE_HOME",
            "XDG_STATE_HOME",
        ] {
            command.env(name, &self.spare);
        }
        let mut child = command.spawn().map_err(|error| {
            Failure::Cut(format!("{:?} cannot be started: {error}", self.program))
        })?;
        let said = Said::listen(child.stderr.take());
        let outcome = self.wait(child, by);
        let said = said.text();
        match outcome {
            Ok(status) if status.success() => Ok(()),
            // Whoever is killed says nothing of it.
            Ok(status) if status.code().is_none() || said.is_empty() => {
                let said = if said.is_empty() {
                    "it said nothing"
                } else {
                    &said
                };
                let cause = format!("{:?} ended by {status}; {said}", self.program);
                Err(Failure::Cut(cause))
            }
            Ok(_) => Err(Failure::Said(said)),
            Err(cause) => Err(Failure::Cut(format!("{cause}; {said}"))),
        }
    }

    /// `local`, whatever the environment and the configuration say: the daemon does not answer.
    pub(super) fn store(&self) -> [OsString; 2] {
        let store = if self.layout.is_live() {
            "local".into()
        } else {
            self.layout.root().into()
        };
        ["--store".into(), store]
    }

    fn wait(&self, mut child: Child, by: Instant) -> Result<ExitStatus, String> {
        let mut ending: Option<(&str, Instant)> = None;
        let mut killed = false;
        loop {
            match (child.try_wait(), ending) {
                (Ok(Some(status)), Some((why, _))) => return Err(format!("{why}: {status}")),
                (Ok(Some(status)), None) => return Ok(status),
                (Ok(None), _) => {}
                (Err(error), _) => return Err(error.to_string()),
            }
            match ending {
                None => {
                    let why = if self.stop.is_asked() {
                        Some("it was asked to stop")
                    } else {
                        (Instant::now() >= by).then_some("it was not done in time")
                    };
                    if let Some(why) = why {
                        ending = Some((why, Instant::now()));
                        (self.signal)(&child, Signal::SIGTERM);
                    }
                }
                Some((_, asked)) if !killed && asked.elapsed() >= TO_END => {
                    killed = true;
                    (self.signal)(&child, Signal::SIGKILL);
                }
                Some((why, asked)) if asked.elapsed() >= TO_END + TO_GO => {
                    let pid = child.id();
                    // Whenever it goes, it is to leave nothing behind.
                    thread::spawn(move || child.wait());
                    return Err(format!(
                        "{why}, and process {pid} does not even end when it is killed"
                    ));
                }
                Some(_) => {}
            }
            thread::sleep(POLL);
        }
    }
}

/// To the program and all that it started.
pub(super) fn signal_group(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // The process may have ended in this moment, which the next look sees.
        let _ = killpg(Pid::from_raw(pid), signal);
    }
}

/// The end of what a program says, while it says it.
struct Said {
    tail: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Said {
    fn listen(stderr: Option<impl Read + Send + 'static>) -> Self {
        let tail = Arc::<Mutex<Vec<u8>>>::default();
        let kept = Arc::clone(&tail);
        let reader = thread::spawn(move || {
            let Some(mut stderr) = stderr else { return };
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut buffer) {
                let mut said = kept.lock().unwrap_or_else(PoisonError::into_inner);
                said.extend_from_slice(&buffer[..read]);
                let surplus = said.len().saturating_sub(TAIL);
                said.drain(..surplus);
            }
        });
        Self { tail, reader }
    }

    /// What was said by the end of the program, or by now.
    fn text(self) -> String {
        let begun = Instant::now();
        while !self.reader.is_finished() && begun.elapsed() < TO_READ {
            thread::sleep(POLL);
        }
        said::plain(&self.tail.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
