//! The files of the journal: appending to the newest, and making room for it.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(10);

/// How much of the past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// A file that would grow beyond so many bytes is put aside first.
    pub max_bytes: u64,
    /// So many files are kept beside the one that is written to.
    pub older_files: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            max_bytes: 4 << 20,
            older_files: 4,
        }
    }
}

impl Rotation {
    /// Puts the file aside if these lines would make it too large. A kill between two renames
    /// leaves a number out, which a reader passes over and the next rotation closes.
    pub(super) fn make_room(self, path: &Path, lines: &VecDeque<String>) -> io::Result<()> {
        let length = match fs::metadata(path) {
            Ok(meta) => meta.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let more: usize = lines.iter().map(|line| line.len() + 1).sum();
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        if length == 0 || length.saturating_add(more) <= self.max_bytes {
            return Ok(());
        }
        for number in (0..self.older_files.max(1)).rev() {
            let outcome = fs::rename(numbered(path, number), numbered(path, number + 1));
            match outcome {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        sync_directory(path)
    }
}

/// The turn of one writer, of several programs that write the same journal: a lock on its
/// directory, which takes no file. `None` if it does not come soon enough.
pub(super) fn turn(path: &Path, patience: Duration) -> Option<File> {
    let directory = path.parent()?;
    fs::create_dir_all(directory).ok()?;
    let directory = File::open(directory).ok()?;
    let begun = Instant::now();
    while directory.try_lock().is_err() {
        if begun.elapsed() >= patience {
            return None;
        }
        thread::sleep(POLL);
    }
    Some(directory)
}

/// Where the journal of a state directory is: its newest file.
pub fn path_in(state_dir: &Path) -> PathBuf {
    state_dir.join("journal.jsonl")
}

/// The file of this age: 0 is the one that is written to.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// One write for all lines, so that a kill leaves at most one torn line, at the end. A torn line
/// of before gets its newline first, so that it spoils no other. `alone` says that no other writer
/// appends meanwhile.
pub(super) fn append(path: &Path, lines: &VecDeque<String>, alone: bool) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .mode(0o640)
        .open(path)?;
    let length = file.metadata()?.len();
    let mut text = if ends_torn(&mut file)? {
        "\n".to_owned()
    } else {
        String::new()
    };
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    let mut written = 0;
    let outcome = write(&mut file, text.as_bytes(), &mut written)
        .and_then(|()| file.sync_data())
        .and_then(|()| {
            if length == 0 {
                sync_directory(path)
            } else {
                Ok(())
            }
        });
    if outcome.is_err() && alone {
        take_back(&file, length, written)?;
    }
    outcome
}

/// As `write_all`, which does not say how far it came.
fn write(file: &mut File, mut text: &[u8], written: &mut u64) -> io::Result<()> {
    while !text.is_empty() {
        match file.write(text) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => {
                *written += more as u64;
                text = &text[more..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A full disk takes part of a write. It is taken back, or the lines would be there twice; not so
/// if anything else was appended, which would go with it.
pub(super) fn take_back(file: &File, length: u64, written: u64) -> io::Result<()> {
    if file.metadata()?.len() == length.saturating_add(written) {
        file.set_len(length)?;
    }
    Ok(())
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

fn ends_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}
