//! The verb that deletes paths of the store: through Nix, which judges each again.
//!
//! `nix-store --delete` deletes exactly what it is given, and refuses what is alive
//! (`collectGarbage` with `gcDeleteSpecific`). On the live host it goes through the daemon, whose
//! mount namespace sees every user's roots; a store without daemon is opened directly, which is
//! why this program must not run in a mount namespace of its own.

use std::{
    ffi::OsString,
    io::Read,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use snowguard_host::{FactError, Kind, Layout, STORE_DIR};

const ATTEMPT: &str = "delete dead paths";
const POLL: Duration = Duration::from_millis(20);
/// What is kept of what Nix said, for the message.
const TAIL: usize = 1024;

/// Deletes paths of one store.
#[derive(Debug, Clone)]
pub struct DeletePaths {
    /// The host.
    pub layout: Layout,
    /// The program `nix-store`, an absolute path.
    pub program: PathBuf,
    /// How long one call may take. Nix itself would wait an hour for a locked database.
    pub deadline: Duration,
}

impl DeletePaths {
    /// What it would do, for observe mode.
    pub fn describe(&self, entries: usize) -> String {
        format!(
            "would delete {entries} dead entries of {:?}",
            self.layout.store()
        )
    }

    /// Deletes entries of the store directory, given by base name. They must be closed: whatever
    /// keeps one of them must be among them or gone.
    ///
    /// # Errors
    /// What Nix said. Some of the entries may be gone all the same: read the host again.
    pub fn run(&self, entries: &[OsString]) -> Result<(), FactError> {
        let failed = |cause: String| {
            FactError::new(
                Kind::Io,
                ATTEMPT,
                &self.program,
                cause,
                "see `nix-store --gc --print-dead` for what Nix holds dead",
            )
        };
        let mut command = Command::new(&self.program);
        command
            .arg("--delete")
            .args(self.store())
            .args(entries.iter().map(|name| {
                let mut path = OsString::from(format!("{STORE_DIR}/"));
                path.push(name);
                path
            }))
            .env_clear()
            .env("PATH", "/run/current-system/sw/bin:/usr/bin:/bin")
            .env("HOME", "/root")
            .env("NIX_CONF_DIR", self.layout.inside("/etc/nix"))
            // SQLite's own temporary files must not need the disk that is full (NixOS/nix#5454).
            .env("SQLITE_TMPDIR", "/run")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let stderr = child.stderr.take();
        let reader = thread::spawn(move || tail_of(stderr));
        let outcome = self.wait(&mut child);
        let said = reader.join().unwrap_or_default();
        match outcome {
            Ok(true) => Ok(()),
            Ok(false) => Err(failed(said)),
            Err(cause) => Err(failed(format!("{cause}; {said}"))),
        }
    }

    fn store(&self) -> Vec<OsString> {
        if !self.layout.is_live() {
            return vec!["--store".into(), self.layout.root().into()];
        }
        if self
            .layout
            .inside("/nix/var/nix/daemon-socket/socket")
            .exists()
        {
            return vec!["--store".into(), "daemon".into()];
        }
        Vec::new()
    }

    fn wait(&self, child: &mut Child) -> Result<bool, String> {
        let begun = Instant::now();
        let mut asked_to_end = false;
        loop {
            match child.try_wait() {
                Ok(Some(status)) if asked_to_end => {
                    return Err(format!(
                        "not done after {}s: {status}",
                        self.deadline.as_secs()
                    ));
                }
                Ok(Some(status)) => return Ok(status.success()),
                Ok(None) => {}
                Err(error) => return Err(error.to_string()),
            }
            if begun.elapsed() >= self.deadline && !asked_to_end {
                asked_to_end = true;
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
    plain(&String::from_utf8_lossy(&said))
}

/// Without the colours that Nix paints its last words with, whatever it writes to.
fn plain(said: &str) -> String {
    let mut parts = said.split('\u{1b}');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or(part.len(), |at| at + 1);
        out.push_str(&part[end..]);
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests;
