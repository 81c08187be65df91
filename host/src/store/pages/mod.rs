//! The pages of `db.sqlite`, read without SQLite: several times as fast, and without a lock.
//!
//! This is for one schema and two traversals, and strict: whatever is not as expected is [`Odd`],
//! and then SQLite reads the database. The file format is <https://sqlite.org/fileformat2.html>.
//!
//! Nothing protects the files while they are read. They are compared before and after, and read
//! only when they have rested for a moment: what is written meanwhile shows. The write-ahead log
//! is read as SQLite reads it after a crash: the frames up to the last commit whose checksums
//! hold come before the database's own pages.

use std::{cell::RefCell, fs::File, os::unix::fs::FileExt, path::Path};

pub(super) mod btree;
mod log;
pub(super) mod record;
pub(super) mod schema;

use log::Log;

/// Why SQLite must read this database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Odd(pub(super) String);

pub(super) type Result<T> = std::result::Result<T, Odd>;

/// The error for what is not as this reader expects.
pub(super) fn odd<T>(what: impl Into<String>) -> Result<T> {
    Err(Odd(what.into()))
}

impl From<std::io::Error> for Odd {
    fn from(source: std::io::Error) -> Self {
        Self(source.to_string())
    }
}

impl From<String> for Odd {
    fn from(what: String) -> Self {
        Self(what)
    }
}

/// An open database.
#[derive(Debug)]
pub(super) struct Pages {
    file: File,
    log: Option<Log>,
    size: usize,
    usable: usize,
    count: u32,
    spare: RefCell<Vec<Vec<u8>>>,
}

impl Pages {
    /// Opens the database, and its write-ahead log if that has content.
    ///
    /// Closing it again drops the locks of SQLite's connections of this process to the same file:
    /// the caller makes sure that there are none.
    pub(super) fn open(database: &Path, log: Option<&Path>) -> Result<Self> {
        let file = File::open(database)?;
        let mut header = [0; 100];
        file.read_exact_at(&mut header, 0)?;
        let size = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65536,
            size => usize::from(size),
        };
        if !size.is_power_of_two() || size < 512 {
            return odd(format!("a page size of {size}"));
        }
        let length = file.metadata()?.len();
        let mut pages = Self {
            log: log.map(|path| Log::open(path, size)).transpose()?,
            count: u32::try_from(length / size as u64).unwrap_or(u32::MAX),
            file,
            size,
            usable: size,
            spare: RefCell::default(),
        };
        if let Some(count) = pages.log.as_ref().and_then(Log::page_count) {
            pages.count = count;
        }
        // Page 1 may be in the log.
        let mut first = vec![0; size];
        pages.read(1, &mut first)?;
        if !first.starts_with(b"SQLite format 3\0") || first[16..18] != header[16..18] {
            return odd("another header");
        }
        if !(1..=2).contains(&first[18]) || !(1..=2).contains(&first[19]) {
            return odd("another version of the format");
        }
        if be32(&first, 56)? != 1 {
            return odd("another encoding than UTF-8");
        }
        pages.usable = size - usize::from(first[20]);
        if pages.usable < 480 {
            return odd("little usable space in a page");
        }
        Ok(pages)
    }

    /// Bytes of a page that hold cells.
    pub(super) fn usable(&self) -> usize {
        self.usable
    }

    /// The size of the database.
    pub(super) fn bytes(&self) -> u64 {
        u64::from(self.count) * self.size as u64
    }

    /// How many pages there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Lends a page to `look`.
    pub(super) fn look<T>(&self, number: u32, look: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
        let spare = self.spare.borrow_mut().pop();
        let mut page = spare.unwrap_or_else(|| vec![0; self.size]);
        self.read(number, &mut page)?;
        let seen = look(&page)?;
        self.spare.borrow_mut().push(page);
        Ok(seen)
    }

    /// Reads as much of a page as there is room for.
    pub(super) fn read(&self, number: u32, into: &mut [u8]) -> Result<()> {
        if number == 0 || number > self.count {
            return odd(format!("a page {number} of {}", self.count));
        }
        if let Some(log) = &self.log
            && log.read(number, into)?
        {
            return Ok(());
        }
        let offset = u64::from(number - 1) * self.size as u64;
        Ok(self.file.read_exact_at(into, offset)?)
    }
}

/// The 32 bits at `at`, big-endian, as all numbers of the format.
fn be32(bytes: &[u8], at: usize) -> Result<u32> {
    match bytes.get(at..at + 4) {
        Some(&[a, b, c, d]) => Ok(u32::from_be_bytes([a, b, c, d])),
        _ => odd("a page that ends too early"),
    }
}

/// The 16 bits at `at`.
fn be16(bytes: &[u8], at: usize) -> Result<usize> {
    match bytes.get(at..at + 2) {
        Some(&[a, b]) => Ok(usize::from(u16::from_be_bytes([a, b]))),
        _ => odd("a page that ends too early"),
    }
}
