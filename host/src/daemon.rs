//! Whether the daemon answers: its greeting, as every client of Nix begins with
//! (`daemon::processConnection` in `libstore/daemon.cc`).
//!
//! The daemon makes a process for each connection, and that process opens the store before it
//! greets (`daemonLoop` in `nix-daemon.cc`). So an answer means that the store can be opened, and
//! it is not free: not for every scrape.

mod cgroup;
mod protocol;

use std::{
    io,
    os::unix::net::UnixStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{FactError, Kind, Layout, Result};

pub use cgroup::{DaemonCgroup, Pressure, Resource};

const ATTEMPT: &str = "reach the daemon of Nix";

/// What the daemon says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// From the connection to the end of the greeting, opening of the store included.
    pub took: Duration,
    /// Its version as it says it, since Nix 2.14 (protocol 1.33).
    pub version: Option<String>,
}

impl Greeting {
    /// The socket of the daemon of a host.
    pub fn socket(layout: &Layout) -> PathBuf {
        layout.state().join("daemon-socket/socket")
    }

    /// Connects, exchanges greetings and hangs up: no operation is asked for. `None` if there is
    /// no socket: a host with a single user needs no daemon.
    ///
    /// # Errors
    /// If nobody listens, or no greeting of a Nix comes within `timeout`. A daemon that hangs up
    /// without a word could not open the store, or has this user not among its `allowed-users`.
    pub fn exchange(layout: &Layout, timeout: Duration) -> Result<Option<Self>> {
        let socket = Self::socket(layout);
        let begun = Instant::now();
        let mut stream = match UnixStream::connect(&socket) {
            Ok(stream) => stream,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => {
                let cure = "look at `systemctl status nix-daemon.socket nix-daemon.service`";
                return Err(FactError::io(ATTEMPT, socket, &e, cure));
            }
        };
        match protocol::greet(&mut stream, begun, timeout) {
            Ok(version) => Ok(Some(Self {
                took: begun.elapsed(),
                version,
            })),
            Err(e) => Err(failed(socket, &e, timeout)),
        }
    }
}

fn failed(socket: PathBuf, error: &io::Error, timeout: Duration) -> FactError {
    let cure = "look at `journalctl -u nix-daemon`: can it open the store, and is this user among \
                its allowed-users?";
    let (kind, cause) = match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => (
            Kind::Io,
            "it hung up in the middle of its greeting".to_owned(),
        ),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            (Kind::Busy, format!("no greeting in {timeout:?}"))
        }
        io::ErrorKind::InvalidData => (Kind::Malformed, error.to_string()),
        _ => (Kind::Io, error.to_string()),
    };
    FactError::new(kind, ATTEMPT, socket, cause, cure)
}

#[cfg(test)]
mod tests;
