//! The journal: one JSON object a line, appended and never rewritten. A file that has grown to its
//! limit becomes `journal.jsonl.1`, what was that becomes `.2`, and the oldest goes.
//!
//! It never blocks a remedy. A line that cannot be written (the disk is full: that is when it
//! matters) waits on tmpfs and is written with the next one; each record is also a log event, so
//! that nothing is lost even without either.

mod files;
mod read;

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use tracing::{error, info, warn};

pub use self::{
    files::{Rotation, path_in},
    read::{Contents, Unreadable, read},
};
use crate::{
    keep,
    record::{Record, Recorder, Step},
};

/// How long another writer is waited for. A journal that two write at once is still one: it is
/// then not rotated, and what a full disk cut short is there twice.
const TURN: Duration = Duration::from_secs(1);
/// Lines kept in memory while the file cannot be written; the oldest go first.
const WAITING: usize = 10_000;

/// The file that all decisions go to.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// Where lines wait that the file does not take.
    spill: PathBuf,
    rotation: Rotation,
    waiting: VecDeque<String>,
    /// How many of these, from the first on, are in the spill.
    spilled: usize,
    /// Whether somebody else may write what is there.
    is_taken_up: bool,
    failing: bool,
    /// It could not be rotated, and grows on.
    stuck: bool,
    /// Its turn did not come the last time, which is not waited for once more.
    crowded: bool,
}

impl Journal {
    /// The journal of a state directory, with a directory on tmpfs for lines that it does not
    /// take. Lines that still wait there are written first. Nothing is created before the first
    /// record.
    pub fn at(state_dir: &Path, run_dir: &Path) -> Self {
        let spill = path_in(run_dir);
        let waiting = lines_of(&spill);
        Self {
            path: path_in(state_dir),
            spilled: waiting.len(),
            is_taken_up: false,
            waiting,
            spill,
            rotation: Rotation::default(),
            failing: false,
            stuck: false,
            crowded: false,
        }
    }

    /// The same, with other limits.
    #[must_use]
    pub fn rotated(mut self, rotation: Rotation) -> Self {
        self.rotation = rotation;
        self
    }

    /// The same for a collection by hand: what waits on tmpfs may be taken up by the watchdog.
    #[must_use]
    pub fn taken_up(mut self) -> Self {
        self.is_taken_up = true;
        self
    }

    /// How many lines wait to be written.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes over the lines that wait in another directory: those of a collection by hand that has
    /// ended. On tmpfs they would be gone with the next boot.
    pub fn take_up(&mut self, run_dir: &Path) {
        let theirs = path_in(run_dir);
        let lines = lines_of(&theirs);
        if lines.is_empty() {
            return;
        }
        let own = self.waiting.len();
        self.waiting.extend(lines);
        self.flush();
        if self.waiting.len() == self.spilled {
            // Written, or among our own. Left where it is, they are there twice one day; better than
            // not at all.
            let _ = fs::remove_file(theirs);
        } else {
            self.waiting.truncate(own);
        }
    }

    /// Writes what waits.
    pub fn flush(&mut self) {
        if self.is_taken_up && self.spilled > 0 && !self.spill.exists() {
            // The watchdog has taken them, and writes them.
            self.waiting.drain(..self.spilled);
            self.spilled = 0;
        }
        if self.waiting.is_empty() {
            return;
        }
        let patience = if self.crowded { Duration::ZERO } else { TURN };
        let turn = files::turn(&self.path, patience);
        self.crowded = turn.is_none();
        // A journal that cannot be rotated is one that grows: no line is lost for it. Nor is it
        // rotated beside another writer, who may be about to do so.
        let rotated = match turn {
            Some(_) => self.rotation.make_room(&self.path, &self.waiting),
            None => Ok(()),
        };
        if let Err(error) = &rotated
            && !self.stuck
        {
            warn!(path = %self.path.display(), %error, "the journal cannot be rotated and grows on");
        }
        self.stuck = rotated.is_err();
        match files::append(&self.path, &self.waiting, turn.is_some()) {
            Ok(()) => {
                self.waiting.clear();
                self.spilled = 0;
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
                // Without tmpfs, too, they wait in memory alone.
                if keep::replace(&self.spill, lines.as_bytes()).is_ok() {
                    self.spilled = self.waiting.len();
                }
            }
        }
    }
}

/// The lines that wait in a file. Bytes that are no text spoil their own line and no other.
fn lines_of(spill: &Path) -> VecDeque<String> {
    match fs::read(spill) {
        Ok(bytes) => bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect(),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                warn!(path = %spill.display(), %error, "lines that wait for the journal cannot be read");
            }
            VecDeque::new()
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
            self.spilled = self.spilled.saturating_sub(1);
        }
        self.flush();
    }
}

/// The record as a log event, with the same fields; `facts` is JSON.
fn log(record: &Record) {
    let (remedy, incident) = (record.remedy.name(), record.incident.as_str());
    let (step, mode) = (record.step.name(), record.mode.name());
    let (reason, message) = (record.reason.as_str(), record.message.as_str());
    let facts = &record.facts;
    match record.step {
        Step::Failed => error!(remedy, incident, mode, step, reason, %facts, "{message}"),
        Step::Refused => warn!(remedy, incident, mode, step, reason, %facts, "{message}"),
        _ => info!(remedy, incident, mode, step, reason, %facts, "{message}"),
    }
}

#[cfg(test)]
mod tests;
