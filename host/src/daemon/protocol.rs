//! The greeting of the worker protocol: little-endian words of 64 bits; a text is its length, its
//! bytes, and zeros up to a multiple of 8.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

const CLIENT_MAGIC: u64 = 0x6e69_7863;
const DAEMON_MAGIC: u64 = 0x6478_696f;
const STDERR_LAST: u64 = 0x616c_7473;
const STDERR_ERROR: u64 = 0x6378_7470;

/// Protocol 1.35, of Nix 2.15: the one that every daemon from 2.3 to 2.35 and Lix agrees to speak
/// or to go below, and that knows no list of features yet.
const OURS: u64 = (1 << 8) | 35;

/// The longest version that a daemon may say.
const LONGEST_TEXT: u64 = 1024;

/// Exchanges greetings and returns the daemon's version, if it says one.
pub(super) fn greet(
    stream: &mut UnixStream,
    begun: Instant,
    timeout: Duration,
) -> io::Result<Option<String>> {
    let mut wire = Wire {
        stream,
        begun,
        timeout,
    };
    wire.send(&[CLIENT_MAGIC, OURS])?;
    if wire.word()? != DAEMON_MAGIC {
        return Err(malformed("it is no daemon of Nix"));
    }
    let theirs = wire.word()?;
    if theirs >> 8 != OURS >> 8 {
        return Err(malformed("it speaks another major version of the protocol"));
    }
    let minor = (theirs & 0xff).min(OURS & 0xff);
    // No processor to be bound to (since 1.14), and the reserve (since 1.11), which is ignored.
    if minor >= 14 {
        wire.send(&[0])?;
    }
    if minor >= 11 {
        wire.send(&[0])?;
    }
    let version = if minor >= 33 {
        Some(wire.text()?)
    } else {
        None
    };
    if minor >= 35 {
        // Whether this user is trusted.
        wire.word()?;
    }
    match wire.word()? {
        STDERR_LAST => Ok(version),
        STDERR_ERROR => Err(malformed("it answered with an error")),
        _ => Err(malformed("its greeting does not end as one of Nix does")),
    }
}

/// The connection, with what is left of the time.
struct Wire<'a> {
    stream: &'a mut UnixStream,
    begun: Instant,
    timeout: Duration,
}

impl Wire<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.timeout.saturating_sub(self.begun.elapsed());
        // The operating system takes a time-out of zero for none.
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }

    fn send(&mut self, words: &[u64]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.stream.write_all(&bytes)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match self.stream.read(&mut buffer[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => filled += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn word(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn text(&mut self) -> io::Result<String> {
        let length = self.word()?;
        let length = Some(length)
            .filter(|length| *length <= LONGEST_TEXT)
            .and_then(|length| usize::try_from(length).ok())
            .ok_or_else(|| malformed("its version is longer than any"))?;
        let mut bytes = vec![0; length.next_multiple_of(8)];
        self.fill(&mut bytes)?;
        bytes.truncate(length);
        String::from_utf8(bytes).map_err(|_| malformed("its version is no text"))
    }
}

fn malformed(cause: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause)
}
