//! The words of the worker protocol: numbers of eight bytes, little-endian, and texts padded to
//! eight. A peer's lengths are never believed: nothing is reserved for what has not arrived, and
//! what is longer than its limit ends the conversation.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use crate::act::stop::Stop;

/// How often a wait looks at the clock and at the wish to stop.
pub(super) const POLL: Duration = Duration::from_millis(100);
/// The longest text that is read at all. An error of Nix can name every path that is in the way.
const LONGEST_TEXT: u64 = 16 << 20;
/// How much of a text is kept.
const KEPT: usize = 4096;

/// Why a conversation ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    /// No answer in time.
    #[error("no answer in time")]
    Late,
    /// The end was asked for.
    #[error("it was asked to stop")]
    Stopped,
    /// Something that the protocol does not have.
    #[error("it does not speak the worker protocol: {0}")]
    Malformed(String),
}

/// A socket whose every wait ends at a deadline, or when the end is asked for.
#[derive(Debug)]
pub struct Timed {
    stream: UnixStream,
    stop: Stop,
    deadline: Instant,
}

impl Timed {
    pub(super) fn new(stream: UnixStream, stop: Stop, deadline: Instant) -> io::Result<Self> {
        stream.set_read_timeout(Some(POLL))?;
        stream.set_write_timeout(Some(POLL))?;
        Ok(Self {
            stream,
            stop,
            deadline,
        })
    }

    pub(super) fn until(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Tries until it is done, the time is up or the end is asked for.
    fn patiently<T>(
        &mut self,
        mut act: impl FnMut(&mut UnixStream) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            if self.stop.is_asked() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            if Instant::now() >= self.deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match act(&mut self.stream) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock
                            | io::ErrorKind::TimedOut
                            | io::ErrorKind::Interrupted
                    ) => {}
                other => return other,
            }
        }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.patiently(|stream| stream.read(buffer))
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(|stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Late,
            io::ErrorKind::ConnectionAborted => Self::Stopped,
            _ => Self::Broken(error),
        }
    }
}

/// Both directions of a conversation.
#[derive(Debug)]
pub(super) struct Wire<S> {
    pub(super) stream: S,
}

impl<S: Read + Write> Wire<S> {
    /// Sends what was put together.
    pub(super) fn send(&mut self, message: &Message) -> Result<(), WireError> {
        Ok(self.stream.write_all(&message.0)?)
    }

    /// One number.
    pub(super) fn number(&mut self) -> Result<u64, WireError> {
        let mut bytes = [0; 8];
        self.stream.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// How many of something follow.
    pub(super) fn count(&mut self, limit: u64) -> Result<u64, WireError> {
        let count = self.number()?;
        if count > limit {
            return Err(WireError::Malformed(format!(
                "{count} items where {limit} are the most"
            )));
        }
        Ok(count)
    }

    /// The beginning of a text; the rest is read and forgotten.
    pub(super) fn text(&mut self) -> Result<Vec<u8>, WireError> {
        let length = self.number()?;
        if length > LONGEST_TEXT {
            return Err(WireError::Malformed(format!("a text of {length} bytes")));
        }
        let mut kept = Vec::new();
        let mut piece = [0; 1024];
        let mut left = usize::try_from(length).unwrap_or(usize::MAX);
        while left > 0 {
            let piece = &mut piece[..left.min(1024)];
            self.stream.read_exact(piece)?;
            left -= piece.len();
            let room = KEPT - kept.len();
            kept.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        let mut padding = [0; 8];
        let padding = &mut padding[..padded(length)];
        self.stream.read_exact(padding)?;
        // Nix itself is as strict (`readPadding`).
        if padding.iter().any(|byte| *byte != 0) {
            return Err(WireError::Malformed("padding that is not zero".to_owned()));
        }
        Ok(kept)
    }
}

/// How many bytes of padding follow a text.
fn padded(length: u64) -> usize {
    match length % 8 {
        0 => 0,
        odd => 8 - usize::try_from(odd).unwrap_or(0),
    }
}

/// What is sent in one go.
#[derive(Debug, Default)]
pub(super) struct Message(pub(super) Vec<u8>);

impl Message {
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(super) fn text(&mut self, text: &[u8]) -> &mut Self {
        let length = text.len() as u64;
        self.number(length);
        self.0.extend_from_slice(text);
        self.0.extend_from_slice(&[0; 8][..padded(length)]);
        self
    }
}
