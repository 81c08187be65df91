//! `nix-store --delete`, for a store whose daemon does not answer.

use std::{
    ffi::OsString,
    io::Read,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
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
        let stderr = child.stderr.take();
        let reader = thread::spawn(move || tail_of(stderr));
        let outcome = self.wait(&mut child, by);
        let said = reader.join().unwrap_or_default();
        match outcome {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::Said(said)),
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

    fn wait(&self, child: &mut Child, by: Instant) -> Result<bool, String> {
        let mut asked_to_end = None;
        loop {
            match (child.try_wait(), asked_to_end) {
                (Ok(Some(status)), Some(why)) => return Err(format!("{why}: {status}")),
                (Ok(Some(status)), None) => return Ok(status.success()),
                (Ok(None), _) => {}
                (Err(error), _) => return Err(error.to_string()),
            }
            let why = if self.stop.is_asked() {
                Some("it was asked to stop")
            } else {
                (Instant::now() >= by).then_some("it was not done in time")
            };
            if asked_to_end.is_none() && why.is_some() {
                asked_to_end = why;
                // Nix ends cleanly between two paths (`checkInterrupt`); nothing is killed hard.
                if let Ok(pid) = i32::try_from(child.id()) {
                    // The process may have ended in this moment, which the next turn sees.
                    let _ = killpg(Pid::from_raw(pid), Signal::SIGTERM);
                }
            }
            thread::sleep(POLL);
        }
    }
}

fn tail_of(stderr: Option<impl Read>) -> String {
    let mut said = Vec::new();
    if let Some(mut stderr) = stderr {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stderr.read(&mut buffer) {
            said.extend_from_slice(&buffer[..read]);
            let surplus = said.len().saturating_sub(TAIL);
            said.drain(..surplus);
        }
    }
    said::plain(&said)
}
