//! The journal: one JSON object a line, appended and never rewritten.
//!
//! It never blocks a remedy. A line that cannot be written (the disk is full: that is when it
//! matters) waits on tmpfs and is written with the next one; each record is also a log event, so
//! that nothing is lost even without either.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use tracing::{error, info, warn};

use crate::record::{Record, Recorder, Step};

/// Lines kept in memory while the file cannot be written; the oldest go first.
const WAITING: usize = 10_000;

/// The file that all decisions go to.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// Where lines wait that the file does not take.
    spill: PathBuf,
    waiting: VecDeque<String>,
    failing: bool,
}

impl Journal {
    /// The journal of a state directory, with a directory on tmpfs for lines that it does not
    /// take. Lines that still wait there are written first. Nothing is created before the first
    /// record.
    pub fn at(state_dir: &Path, run_dir: &Path) -> Self {
        let spill = path_in(run_dir);
        let waiting = match fs::read_to_string(&spill) {
            Ok(text) => text.lines().map(str::to_owned).collect(),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    warn!(path = %spill.display(), %error, "lines that wait for the journal cannot be read");
                }
                VecDeque::new()
            }
        };
        Self {
            path: path_in(state_dir),
            spill,
            waiting,
            failing: false,
        }
    }

    /// How many lines wait to be written.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Writes what waits.
    pub fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        match append(&self.path, &self.waiting) {
            Ok(()) => {
                self.waiting.clear();
                // If it stays, its lines are in the journal twice; better than not at all.
                let _ = fs::remove_file(&self.spill);
                if self.failing {
                    info!(path = %self.path.display(), "the journal can be written again");
                }
                self.failing = false;
            }
            Err(error) => {
                if !self.failing {
                    warn!(path = %self.path.display(), %error, "the journal cannot be written; lines wait on tmpfs");
                }
                self.failing = true;
                let lines: String = self
                    .waiting
                    .iter()
                    .map(|line| format!("{line}\n"))
                    .collect();
                if let Some(directory) = self.spill.parent() {
                    // Without tmpfs, too, they wait in memory alone.
                    let _ = fs::create_dir_all(directory);
                }
                let _ = fs::write(&self.spill, lines);
            }
        }
    }
}

impl Recorder for Journal {
    fn record(&mut self, record: Record) {
        log(&record);
        match serde_json::to_string(&record) {
            Ok(line) => self.waiting.push_back(line),
            Err(error) => error!(%error, "a record cannot be written as JSON"),
        }
        while self.waiting.len() > WAITING {
            self.waiting.pop_front();
        }
        self.flush();
    }
}

fn log(record: &Record) {
    let (remedy, incident) = (record.remedy.name(), record.incident.as_str());
    let (reason, message) = (record.reason.as_str(), record.message.as_str());
    match record.step {
        Step::Failed => error!(remedy, incident, step = ?record.step, reason, "{message}"),
        Step::Refused => warn!(remedy, incident, step = ?record.step, reason, "{message}"),
        _ => info!(remedy, incident, step = ?record.step, reason, "{message}"),
    }
}

/// Where the journal of a state directory is.
pub fn path_in(state_dir: &Path) -> PathBuf {
    state_dir.join("journal.jsonl")
}

/// One write for all lines, so that a kill leaves at most one torn line, at the end. A torn line
/// of before gets its newline first, so that it spoils no other.
fn append(path: &Path, lines: &VecDeque<String>) -> io::Result<()> {
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
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_data());
    if written.is_err() {
        // A full disk takes part of a write. It is taken back, or the lines would be there twice.
        file.set_len(length)?;
    }
    written
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

/// What the journal holds, oldest first, and how many lines could not be read (one torn by a
/// crash is normal).
///
/// # Errors
/// If the file is there but cannot be read. No file is an empty journal.
pub fn read(path: &Path) -> io::Result<(Vec<Record>, usize)> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(error),
    };
    let mut records = Vec::new();
    let mut unreadable = 0;
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(record) => records.push(record),
            Err(_) => unreadable += 1,
        }
    }
    Ok((records, unreadable))
}

#[cfg(test)]
mod tests;
