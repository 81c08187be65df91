//! The host that a collection works on, through the verbs of [`crate::act`].

use std::{
    ffi::OsString,
    path::PathBuf,
    time::{Duration, Instant},
};

use snowguard_host::{FactError, Layout, store::FileSystem};

use super::{
    facts::{Facts, Scales},
    ladder::Victim,
    run::Host,
};
use crate::{
    act::{ballast::Ballast, delete_paths::DeletePaths, remove_generation::RemoveGeneration},
    clock,
};

/// One host, and how it is acted on.
#[derive(Debug)]
pub struct RealHost {
    /// Where it is.
    pub layout: Layout,
    /// Systems that are known good, by store path.
    pub good: Vec<PathBuf>,
    /// Deletes paths.
    pub delete: DeletePaths,
    /// Gives generations up.
    pub generations: RemoveGeneration,
    /// The reserve.
    pub ballast: Ballast,
    /// When the collection began.
    pub begun: Instant,
}

impl Host for RealHost {
    fn facts(&mut self) -> Result<Facts, FactError> {
        Facts::read(&self.layout, &self.good, clock::now())
    }

    fn scales(&self) -> &dyn Scales {
        &self.layout
    }

    fn file_system(&mut self) -> Result<FileSystem, FactError> {
        FileSystem::read(&self.layout)
    }

    fn delete(&mut self, entries: &[OsString]) -> Result<(), FactError> {
        self.delete.run(entries)
    }

    fn remove_generation(&mut self, victim: &Victim) -> Result<(), FactError> {
        self.generations.run(victim)
    }

    fn drop_ballast(&mut self) -> Result<(), FactError> {
        self.ballast.drop_all()
    }

    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn now_ms(&self) -> i64 {
        clock::now_ms()
    }
}
