//! A program of ours that runs beside the test, and what it logs.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    lab::Running,
    wait::{until, until_or},
};

/// A running program. It is killed when the test is done with it.
#[derive(Debug)]
pub struct Daemon {
    process: Running,
    log: PathBuf,
}

impl Daemon {
    /// Starts it with its log appended to a file.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log);
        command.stdin(Stdio::null()).stderr(file.unwrap());
        Self {
            process: Running::start(command),
            log: log.to_owned(),
        }
    }

    /// All that it has logged, and those before it with the same log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until a line of the log has the text, and returns the line.
    #[must_use]
    pub fn logged(&self, text: &str) -> String {
        self.logged_with(&[text])
    }

    /// Waits until a line of the log has all the texts, and returns the line.
    #[must_use]
    pub fn logged_with(&self, texts: &[&str]) -> String {
        until_or(
            || format!("it never logged {texts:?}, but\n{}", tail(&self.log)),
            || {
                let log = self.log();
                let has_all = |line: &&str| texts.iter().all(|text| line.contains(text));
                log.lines().find(has_all).map(str::to_owned)
            },
        )
    }

    /// The number of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.0.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Waits until it has ended.
    #[must_use]
    pub fn end(&mut self) -> ExitStatus {
        until("the program ends", || self.process.0.try_wait().unwrap())
    }

    /// Whether it still runs.
    #[must_use]
    pub fn runs(&mut self) -> bool {
        self.process.0.try_wait().unwrap().is_none()
    }
}

/// The last lines of a log, for the message of a test that fails.
#[must_use]
pub fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}
