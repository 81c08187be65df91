//! Profiles that are no system: those of `nix-env` and home-manager, and others that a deploy tool
//! keeps. The machine is the same; what runs is what the profile points to, and a program of the
//! configuration activates it.

use std::path::PathBuf;

use super::{facts::GenerationId, machine::Act, run::Verbs, turn::Answer};
use crate::{
    act::{
        activate::Activate,
        hold_updater::{HoldUpdater, Updaters},
        set_profile::{NotSet, SetProfile},
        switch::SwitchEnd,
        target_root::TargetRoot,
    },
    record::{Mode, Record, Recorder},
};

/// A profile of the configuration, `[rollback.profiles.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its link, as the host names it.
    pub profile: PathBuf,
    /// The program that activates what it points to, with its arguments.
    pub activate: Vec<String>,
    /// Whether its remedy may act; as that of the system if `None`.
    pub mode: Option<Mode>,
    /// What deploys it.
    pub updaters: Updaters,
}

/// The verbs of [`crate::act`] for one such profile.
#[derive(Debug, Clone)]
pub struct ProfileVerbs {
    /// Sets the profile.
    pub profile: SetProfile,
    /// Activates what it points to.
    pub activate: Activate,
    /// Keeps the target from the garbage collector.
    pub root: TargetRoot,
    /// Holds what deploys it.
    pub updater: HoldUpdater,
}

impl Verbs for ProfileVerbs {
    fn set_profile(&mut self, target: &GenerationId, from: Option<u64>) -> Result<(), NotSet> {
        self.profile.run(target, from)
    }

    fn switch(&mut self, target: &GenerationId, incident: &str) -> Result<SwitchEnd, String> {
        let end = self.activate.run(&target.store_path, incident);
        end.map_err(|e| e.to_string())
    }

    fn set_boot_default(&mut self, _: &GenerationId, _: &str) -> Result<SwitchEnd, String> {
        Err("only a system is booted".to_owned())
    }

    fn reboot(&mut self) -> Result<(), String> {
        Err("only a system is booted".to_owned())
    }

    fn keep_target(&mut self, target: Option<&str>) -> Result<(), String> {
        self.root.run(target).map(|_| ()).map_err(|e| e.to_string())
    }

    fn take_turn(&mut self) -> Answer {
        Answer::Granted
    }

    fn end_turn(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn hold_updater(&mut self, closure: &str) -> Result<Option<String>, String> {
        self.updater.hold(closure).map_err(|e| e.to_string())
    }

    fn release_updater(&mut self) -> Result<String, String> {
        self.updater.release().map_err(|e| e.to_string())
    }

    fn describe(&self, act: &Act) -> String {
        match act {
            Act::Switch { target, .. } => self.activate.describe(&target.store_path),
            Act::SetProfile { target, .. } => self.profile.describe(target),
            Act::SetBootDefault { .. } | Act::Reboot { .. } | Act::TakeTurn => {
                "would do nothing".to_owned()
            }
        }
    }
}

/// Names the profile in each record: two machines may have an incident of the same moment.
pub struct Named<'a> {
    /// The name of the profile.
    pub profile: &'a str,
    /// Where the records go.
    pub inner: &'a mut dyn Recorder,
}

impl Recorder for Named<'_> {
    fn record(&mut self, mut record: Record) {
        record.incident = format!("{}-{}", record.incident, self.profile);
        record.message = format!("profile {}: {}", self.profile, record.message);
        self.inner.record(record);
    }
}
