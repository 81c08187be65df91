//! What the collectors of one collection share.

use std::{
    cell::{OnceCell, RefCell},
    time::SystemTime,
};

use snowguard_host::{
    Layout, NixConf, Profiles,
    store::{Analysis, Resident, Seen},
};

use super::CollectError;
use crate::state_file::{self, StateFile};

/// The host and the moment of one collection.
#[derive(Debug)]
pub struct Context<'a> {
    layout: &'a Layout,
    now: SystemTime,
    /// The graph of an earlier collection, until it is asked for.
    kept: RefCell<Option<Resident>>,
    analysis: OnceCell<Result<(Analysis, Seen), CollectError>>,
    profiles: OnceCell<Result<Profiles, CollectError>>,
    everybodys: OnceCell<Result<Profiles, CollectError>>,
}

impl<'a> Context<'a> {
    /// A collection of this host that begins now.
    pub fn new(layout: &'a Layout, now: SystemTime) -> Self {
        Self::resuming(layout, now, None)
    }

    /// A collection that begins now, with the graph that an earlier one kept.
    pub fn resuming(layout: &'a Layout, now: SystemTime, kept: Option<Resident>) -> Self {
        Self {
            layout,
            now,
            kept: RefCell::new(kept),
            analysis: OnceCell::new(),
            profiles: OnceCell::new(),
            everybodys: OnceCell::new(),
        }
    }

    /// The host.
    pub fn layout(&self) -> &Layout {
        self.layout
    }

    /// When the collection began.
    pub fn now(&self) -> SystemTime {
        self.now
    }

    /// Whether a watchdog that runs publishes this family: then it need not be found out twice.
    pub(super) fn watchdog_publishes(&self, name: &str) -> bool {
        StateFile::read(&self.layout.inside(state_file::PATH)).is_ok_and(|state| {
            let mut families = state.families.iter();
            !state.is_stale(self.now) && families.any(|family| family.name == name)
        })
    }

    /// The store's database, roots and dead set, read at the first call and shared by all.
    ///
    /// # Errors
    /// The same error for each collector that asks, if they could not be read.
    pub fn analysis(&self) -> Result<&Analysis, CollectError> {
        self.analysis
            .get_or_init(|| self.read_analysis().map_err(CollectError::from))
            .as_ref()
            .map(|(analysis, _)| analysis)
            .map_err(Clone::clone)
    }

    /// The host's profiles, read at the first call and shared by all.
    ///
    /// # Errors
    /// The same error for each collector that asks, if they could not be read.
    pub fn profiles(&self) -> Result<&Profiles, CollectError> {
        self.profiles
            .get_or_init(|| Profiles::read(self.layout).map_err(CollectError::from))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The same, and those of the users, read at the first call and shared by all.
    ///
    /// # Errors
    /// The same error for each collector that asks, if they could not be read.
    pub fn everybodys_profiles(&self) -> Result<&Profiles, CollectError> {
        self.everybodys
            .get_or_init(|| Profiles::everybodys(self.layout).map_err(CollectError::from))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The graph, for the next collection.
    pub fn keep(self) -> Option<Resident> {
        match self.analysis.into_inner() {
            Some(Ok((analysis, seen))) => Some(Resident::keep(analysis.graph, seen)),
            Some(Err(_)) => None,
            // Nobody asked.
            None => self.kept.into_inner(),
        }
    }

    fn read_analysis(&self) -> snowguard_host::Result<(Analysis, Seen)> {
        let conf = NixConf::read(self.layout)?;
        Analysis::refresh(self.layout, &conf, self.kept.take(), self.now)
    }
}
