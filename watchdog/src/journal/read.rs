//! Reading the journal back, whatever has happened to it.

use std::{
    fmt,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::files::numbered;
use crate::record::Record;

/// No journal keeps more files, whatever its rotation is or was.
const MAX_FILES: u32 = 1000;
/// A rotation beside the reader is rare; two in a row are a reader that is starved.
const RETRIES: u32 = 5;

/// What a journal holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// What could be read, oldest first.
    pub records: Vec<Record>,
    /// Lines that are no records. One that a crash has torn is normal.
    pub unreadable: Vec<Unreadable>,
}

/// A line that is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The file it is in.
    pub path: PathBuf,
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub cause: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {} of {:?} is no record: {}",
            self.line, self.path, self.cause
        )
    }
}

/// What the journal holds, given its newest file: that and all older ones. No file is an empty
/// journal.
///
/// # Errors
/// If a file is there but cannot be read.
pub fn read(path: &Path) -> io::Result<Contents> {
    let mut files = open(path)?;
    for _ in 0..RETRIES {
        // Between two openings the files may have moved on by one.
        if files.last().map(|(_, file)| inode(file)).transpose()? == inode_of(path)? {
            break;
        }
        files = open(path)?;
    }
    let mut contents = Contents::default();
    for (path, file) in files {
        contents.add(path, file)?;
    }
    Ok(contents)
}

impl Contents {
    fn add(&mut self, path: PathBuf, file: File) -> io::Result<()> {
        for (index, line) in BufReader::new(file).split(b'\n').enumerate() {
            let line = line?;
            if line.is_empty() {
                continue;
            }
            match serde_json::from_slice(&line) {
                Ok(record) => self.records.push(record),
                Err(error) => self.unreadable.push(Unreadable {
                    path: path.clone(),
                    line: index + 1,
                    cause: error.to_string(),
                }),
            }
        }
        Ok(())
    }
}

/// All files there are, oldest first. A number may be missing.
fn open(path: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    let mut files = Vec::new();
    for number in numbers(path)?.into_iter().rev() {
        let path = numbered(path, number);
        match File::open(&path) {
            Ok(file) => files.push((path, file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

fn numbers(path: &Path) -> io::Result<Vec<u32>> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(vec![0]);
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let name = format!("{}.", name.to_string_lossy());
    let mut numbers = vec![0];
    for entry in entries {
        let number = entry?.file_name().to_str().and_then(|found| {
            let number: u32 = found.strip_prefix(&name)?.parse().ok()?;
            (1..=MAX_FILES).contains(&number).then_some(number)
        });
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn inode(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.ino())
}

fn inode_of(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(meta.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
