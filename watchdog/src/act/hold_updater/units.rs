//! The updaters that are units of systemd.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use snowguard_host::{FactError, Kind};

use super::ATTEMPT;
use crate::probe::command;

const TIMEOUT: Duration = Duration::from_secs(20);

/// The running systemd.
#[derive(Debug, Clone)]
pub struct Manager {
    /// `systemctl`, an absolute path.
    pub systemctl: PathBuf,
    /// Where units of this boot are, `/run/systemd/system`.
    pub units: PathBuf,
}

/// An updater that runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) name: String,
    /// It runs all the time, and must be started again after the hold.
    pub(super) stays: bool,
}

impl Manager {
    /// Lets a unit start only while there is none of these flags. True if that was not so.
    pub(super) fn bar(&self, unit: &str, name: &str, flags: &[PathBuf]) -> Result<bool, FactError> {
        // A path with `%` or a space would be read as something else; the configuration has none.
        let mut text =
            "# Snowguard holds this updater; `snowguard release` ends that.\n[Unit]\n".to_owned();
        for flag in flags {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "ConditionPathExists=!{}", flag.display());
        }
        let path = self.units.join(format!("{unit}.d")).join(name);
        match fs::read_to_string(&path) {
            Ok(found) if found == text => return Ok(false),
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&path, &cause));
            }
            _ => {}
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(|cause| failed(directory, &cause))?;
        }
        let stale = self.stale();
        fs::write(&stale, "").map_err(|cause| failed(&stale, &cause))?;
        fs::write(&path, text).map_err(|cause| failed(&path, &cause))?;
        Ok(true)
    }

    /// Tells systemd of what was written, if it was not told yet.
    pub(super) fn reload_if_needed(&self) -> Result<(), FactError> {
        let stale = self.stale();
        if !stale.exists() {
            return Ok(());
        }
        self.tell(&["daemon-reload"])?;
        fs::remove_file(&stale).map_err(|cause| failed(&stale, &cause))
    }

    /// Takes all drop-ins of this name away, those of updaters that the configuration names no more as well.
    pub(super) fn unbar(&self, name: &str) -> Result<(), FactError> {
        let entries = match fs::read_dir(&self.units) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(cause) => return Err(failed(&self.units, &cause)),
        };
        for entry in entries {
            let entry = entry.map_err(|cause| failed(&self.units, &cause))?;
            let path = entry.path().join(name);
            if path.symlink_metadata().is_ok() {
                let stale = self.stale();
                fs::write(&stale, "").map_err(|cause| failed(&stale, &cause))?;
                fs::remove_file(&path).map_err(|cause| failed(&path, &cause))?;
                // Others may have drop-ins there.
                let _ = fs::remove_dir(entry.path());
            }
        }
        self.reload_if_needed()
    }

    /// Those of the units that run or are about to.
    pub(super) fn running(&self, units: &[String]) -> Result<Vec<Running>, FactError> {
        if units.is_empty() {
            return Ok(Vec::new());
        }
        let mut args = vec!["show", "--property=Id,LoadState,ActiveState,Type", "--"];
        args.extend(units.iter().map(String::as_str));
        let said = self.ask(&args)?;
        Ok(parse(&said))
    }

    pub(super) fn stop(&self, unit: &str) -> Result<(), FactError> {
        self.tell(&["stop", "--no-block", "--", unit])
    }

    /// Starts a unit; false if there is none of this name any more.
    pub(super) fn start(&self, unit: &str) -> Result<bool, FactError> {
        let said = self.ask(&["show", "--property=LoadState", "--", unit])?;
        if !said.lines().any(|line| line == "LoadState=loaded") {
            return Ok(false);
        }
        self.tell(&["start", "--no-block", "--", unit])?;
        Ok(true)
    }

    fn tell(&self, args: &[&str]) -> Result<(), FactError> {
        self.ask(args).map(|_| ())
    }

    fn ask(&self, args: &[&str]) -> Result<String, FactError> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        command::output(&self.systemctl, &args, TIMEOUT).map_err(|why| {
            let cure = "see whether systemd answers: `systemctl status`";
            FactError::new(Kind::Io, ATTEMPT, &self.systemctl, why, cure)
        })
    }

    /// There while systemd has not read what was written: a kill in between must not hide it.
    fn stale(&self) -> PathBuf {
        self.units.join(".snowguard-reload")
    }
}

fn parse(said: &str) -> Vec<Running> {
    let running = |block: &str| {
        let value = |key: &str| {
            let mut values = block.lines().filter_map(|line| line.split_once('='));
            values
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value)
        };
        let runs = matches!(
            value("ActiveState")?,
            "active" | "activating" | "reloading" | "refreshing"
        );
        (runs && value("LoadState")? == "loaded").then_some(Running {
            name: value("Id")?.to_owned(),
            // One that runs once is started again by its timer.
            stays: value("Type") != Some("oneshot"),
        })
    };
    said.split("\n\n").filter_map(running).collect()
}

fn failed(path: &Path, cause: &io::Error) -> FactError {
    FactError::io(ATTEMPT, path, cause, "run as root")
}
