//! The write-ahead log: newer pages, one frame after the other, up to the last commit.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, ErrorKind, Read},
    os::unix::fs::FileExt,
    path::Path,
};

use super::{Odd, Result, be32, odd};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// The committed frames of a log.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    /// Where the newest frame of each page has its content.
    frames: HashMap<u32, u64>,
    page_count: Option<u32>,
}

impl Log {
    /// Reads the log once, as `walIndexRecover` of SQLite does.
    pub(super) fn open(path: &Path, page_size: usize) -> Result<Self> {
        let file = File::open(path)?;
        let mut reader = BufReader::with_capacity(1 << 18, &file);
        let mut header = [0; HEADER];
        reader.read_exact(&mut header)?;
        let magic = be32(&header, 0)?;
        if magic & !1 != 0x377f_0682 {
            return odd("a write-ahead log of another kind");
        }
        if be32(&header, 4)? != 3_007_000 || be32(&header, 8)? as usize != page_size {
            return odd("a write-ahead log of another format");
        }
        let mut sum = Checksum {
            big_endian: magic & 1 == 1,
            sums: (0, 0),
        };
        sum.add(&header[..24]);
        let mut log = Self {
            frames: HashMap::new(),
            page_count: None,
            file: file.try_clone()?,
        };
        if !sum.is(&header[24..32]) {
            // SQLite takes such a log for empty.
            return Ok(log);
        }
        let salt: [u8; 8] = std::array::from_fn(|at| header[16 + at]);
        let mut frame = vec![0; FRAME_HEADER + page_size];
        let mut uncommitted = Vec::new();
        for number in 0u64.. {
            match reader.read_exact(&mut frame) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(Odd::from(error)),
            }
            let page = be32(&frame, 0)?;
            if frame[8..16] != salt || page == 0 {
                break;
            }
            sum.add(&frame[..8]);
            sum.add(&frame[FRAME_HEADER..]);
            if !sum.is(&frame[16..24]) {
                break;
            }
            let stride = (FRAME_HEADER + page_size) as u64;
            let content = (HEADER + FRAME_HEADER) as u64 + number * stride;
            uncommitted.push((page, content));
            let pages_after_commit = be32(&frame, 4)?;
            if pages_after_commit > 0 {
                log.frames.extend(uncommitted.drain(..));
                log.page_count = Some(pages_after_commit);
            }
        }
        Ok(log)
    }

    /// How many pages the database has by the last commit.
    pub(super) fn page_count(&self) -> Option<u32> {
        self.page_count
    }

    /// Reads a page that is in the log; false if it is not.
    pub(super) fn read(&self, page: u32, into: &mut [u8]) -> Result<bool> {
        let Some(content) = self.frames.get(&page) else {
            return Ok(false);
        };
        self.file.read_exact_at(into, *content)?;
        Ok(true)
    }
}

/// The sum of the file format, section 4.2: over pairs of words of either endianness.
struct Checksum {
    big_endian: bool,
    sums: (u32, u32),
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        let (mut a, mut b) = self.sums;
        for pair in bytes.chunks_exact(8) {
            let [first, second] = [0, 4].map(|at| {
                let word = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
                if self.big_endian {
                    u32::from_be_bytes(word)
                } else {
                    u32::from_le_bytes(word)
                }
            });
            a = a.wrapping_add(first).wrapping_add(b);
            b = b.wrapping_add(second).wrapping_add(a);
        }
        self.sums = (a, b);
    }

    fn is(&self, stored: &[u8]) -> bool {
        stored[..4] == self.sums.0.to_be_bytes() && stored[4..] == self.sums.1.to_be_bytes()
    }
}
