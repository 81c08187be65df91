//! A real Nix daemon for a store of the tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    lab::{Nix, Running},
    small_store::SmallStore,
    wait::until,
};

/// Where a daemon listens, below the root.
pub const SOCKET: &str = "nix/var/nix/daemon-socket/socket";

/// A daemon that serves a store below a root at the place where clients look for it. It ends with
/// the test.
#[derive(Debug)]
pub struct NixDaemon {
    process: Running,
    /// Where it listens.
    pub socket: PathBuf,
}

impl NixDaemon {
    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(nix: &Nix, store: &SmallStore) -> Self {
        Self::start_at(nix, store, &store.root.join(SOCKET))
    }

    /// Starts it so that it listens elsewhere.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start_at(nix: &Nix, store: &SmallStore, socket: &Path) -> Self {
        let socket = socket.to_owned();
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        // One that was killed leaves its socket behind.
        let _ = fs::remove_file(&socket);
        let mut command = nix.command("nix-daemon", &store.home);
        command
            .env("NIX_DAEMON_SOCKET_PATH", &socket)
            .env("NIX_REMOTE", &store.root)
            .stdin(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let process = Running::start(&mut command);
        let path = socket.clone();
        until("the Nix daemon listens", || {
            std::os::unix::net::UnixStream::connect(&path).ok()
        });
        Self { process, socket }
    }

    /// Sends a signal to the daemon, but not to those that it forked for its clients.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// The processes that it forked for its clients.
    #[must_use]
    pub fn workers(&self) -> Vec<Pid> {
        let parent = self.pid().to_string();
        let mut workers = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
                continue;
            };
            // `pid (name) state ppid …`
            let mut rest = stat.rsplit(") ").next().unwrap().split(' ');
            if rest.nth(1) == Some(&parent) {
                let pid = entry.file_name().to_str().unwrap().parse().unwrap();
                workers.push(Pid::from_raw(pid));
            }
        }
        workers
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.0.id()).unwrap())
    }
}

/// Runs what is given as a user without any privilege.
///
/// # Panics
/// If it fails.
pub fn as_nobody(path: &Path) -> std::process::Command {
    use std::os::unix::process::CommandExt;
    let mut command = std::process::Command::new(path);
    command.uid(65534).gid(65534);
    command
}
