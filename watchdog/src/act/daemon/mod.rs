//! A client of the Nix daemon, for one operation: deleting given paths.
//!
//! It speaks worker protocol 1.35 and goes down to what the daemon speaks, which is understood
//! from Nix 2.3 to 2.35 and by Lix (of which 2.94 and later take no older client). It announces
//! no feature, so that every field is where it always was. The daemon asks for no privilege to
//! collect: it never takes what is alive, whoever asks.

mod frames;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    ffi::OsString,
    io::{Read, Write},
    os::unix::{ffi::OsStrExt, net::UnixStream},
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use snowguard_host::STORE_DIR;

use super::stop::Stop;
use frames::Work;
use wire::{Message, POLL, Wire};
pub use wire::{Timed, WireError};

const CLIENT_MAGIC: u64 = 0x6e69_7863;
const DAEMON_MAGIC: u64 = 0x6478_696f;
const MAJOR: u64 = 1;
/// The newest minor version that is spoken here, first in Nix 2.15.
const MINOR: u64 = 35;
/// The oldest: before it, `CollectGarbage` had other fields.
const OLDEST_MINOR: u64 = 10;
const COLLECT_GARBAGE: u64 = 20;
const DELETE_SPECIFIC: u64 = 3;
/// How long a daemon may take to answer at all.
pub const ANSWER: Duration = Duration::from_secs(10);
/// More paths than any store gives up in one call.
const PATHS: u64 = 1 << 24;

/// Why the daemon did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// There is nobody who answers: no socket, no process behind it, no word in time.
    #[error("the Nix daemon does not answer: {0}")]
    Unreachable(WireError),
    /// The conversation ended in the middle of the work. What was deleted by then is gone, and
    /// the store is consistent: Nix stops between two paths when its client goes.
    #[error("the Nix daemon did not finish: {0}")]
    Interrupted(WireError),
    /// Nix refuses, or fails; what it says.
    #[error("{0}")]
    Refused(String),
}

/// A connection to a daemon. Nix forks a process for each, which opens the store.
#[derive(Debug)]
pub struct Daemon<S = Timed> {
    wire: Wire<S>,
    minor: u64,
}

impl Daemon {
    /// Connects and greets.
    ///
    /// # Errors
    /// [`DaemonError::Unreachable`] after ten seconds at most, or at `by` if that is sooner, or
    /// [`DaemonError::Refused`] for a user whom the daemon does not serve.
    pub fn connect(socket: &Path, stop: &Stop, by: Instant) -> Result<Self, DaemonError> {
        let unreachable = |error: std::io::Error| DaemonError::Unreachable(error.into());
        let by = by.min(Instant::now() + ANSWER);
        let stream = connect(socket, stop, by).map_err(unreachable)?;
        let stream = Timed::new(stream, stop.clone(), by).map_err(unreachable)?;
        Self::greet(stream)
    }

    /// Deletes entries of the store directory, given by base name. `line` is told what Nix logs.
    ///
    /// # Errors
    /// [`DaemonError::Refused`] at the first path that is alive; those before it, in Nix's order,
    /// are gone. [`DaemonError::Interrupted`] if it is not done by the deadline.
    pub fn delete(
        &mut self,
        entries: &[OsString],
        deadline: Instant,
        line: &mut dyn FnMut(&[u8]),
    ) -> Result<(), DaemonError> {
        self.wire.stream.until(deadline);
        self.collect(entries, line)
    }
}

/// A queue of clients that a hung daemon does not look at lets `connect(2)` wait without end, so
/// another thread waits. If nothing ever comes of it, that thread ends with the process.
fn connect(socket: &Path, stop: &Stop, by: Instant) -> std::io::Result<UnixStream> {
    let (sender, receiver) = mpsc::channel();
    let path = socket.to_owned();
    thread::spawn(move || {
        // Nobody listens any more after the deadline; then the connection is closed.
        let _ = sender.send(UnixStream::connect(path));
    });
    loop {
        if stop.is_asked() {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        let left = by.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left.min(POLL)) {
            Ok(outcome) => return outcome,
            Err(_) if left.is_zero() => return Err(std::io::ErrorKind::TimedOut.into()),
            Err(_) => {}
        }
    }
}

impl<S: Read + Write> Daemon<S> {
    fn greet(stream: S) -> Result<Self, DaemonError> {
        let mut wire = Wire { stream };
        let minor = handshake(&mut wire).map_err(DaemonError::Unreachable)?;
        match wire.work(minor, &mut |_| {}) {
            Ok(Work::Done) => Ok(Self { wire, minor }),
            Ok(Work::Failed(said)) => Err(DaemonError::Refused(super::said::plain(&said))),
            Err(error) => Err(DaemonError::Unreachable(error)),
        }
    }

    fn collect(
        &mut self,
        entries: &[OsString],
        line: &mut dyn FnMut(&[u8]),
    ) -> Result<(), DaemonError> {
        let mut ask = Message::default();
        ask.number(COLLECT_GARBAGE).number(DELETE_SPECIFIC);
        ask.number(entries.len() as u64);
        for entry in entries {
            let mut path = format!("{STORE_DIR}/").into_bytes();
            path.extend_from_slice(entry.as_bytes());
            ask.text(&path);
        }
        // Liveness is not ignored, there is no limit of bytes, and three fields are of no use.
        ask.number(0).number(u64::MAX).number(0).number(0).number(0);
        self.wire.send(&ask).map_err(DaemonError::Interrupted)?;
        match self.wire.work(self.minor, line) {
            Ok(Work::Done) => {}
            Ok(Work::Failed(said)) => return Err(DaemonError::Refused(super::said::plain(&said))),
            Err(error) => return Err(DaemonError::Interrupted(error)),
        }
        let mut answer = || {
            for _ in 0..self.wire.count(PATHS)? {
                self.wire.text()?;
            }
            // What Nix takes for freed bytes (sizes, not blocks), and one field of no use.
            self.wire.number()?;
            self.wire.number()
        };
        answer().map(drop).map_err(DaemonError::Interrupted)
    }
}

/// Agrees on a minor version and returns it.
fn handshake<S: Read + Write>(wire: &mut Wire<S>) -> Result<u64, WireError> {
    wire.send(Message::default().number(CLIENT_MAGIC))?;
    let magic = wire.number()?;
    if magic != DAEMON_MAGIC {
        return Err(WireError::Malformed(format!("it greets with {magic:#x}")));
    }
    let version = wire.number()?;
    let (major, minor) = (version >> 8, version & 0xff);
    if major != MAJOR || minor < OLDEST_MINOR {
        return Err(WireError::Malformed(format!(
            "version {major}.{minor} of it is not spoken here"
        )));
    }
    let minor = minor.min(MINOR);
    let mut hello = Message::default();
    hello.number(MAJOR << 8 | MINOR);
    if minor >= 14 {
        hello.number(0);
    }
    if minor >= 11 {
        hello.number(0);
    }
    wire.send(&hello)?;
    if minor >= 33 {
        wire.text()?;
    }
    if minor >= 35 {
        wire.number()?;
    }
    Ok(minor)
}
