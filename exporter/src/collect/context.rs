//! What the collectors of one collection share.

use std::{cell::OnceCell, time::SystemTime};

use snowguard_host::{Layout, NixConf, Profiles, store::Analysis};

use super::CollectError;
use crate::state_file::{self, StateFile};

/// The host and the moment of one collection.
#[derive(Debug)]
pub struct Context<'a> {
    layout: &'a Layout,
    now: SystemTime,
    analysis: OnceCell<Result<Analysis, CollectError>>,
    profiles: OnceCell<Result<Profiles, CollectError>>,
}

impl<'a> Context<'a> {
    /// A collection of this host that begins now.
    pub fn new(layout: &'a Layout, now: SystemTime) -> Self {
        Self {
            layout,
            now,
            analysis: OnceCell::new(),
            profiles: OnceCell::new(),
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
            .get_or_init(|| read_analysis(self.layout).map_err(CollectError::from))
            .as_ref()
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
}

fn read_analysis(layout: &Layout) -> snowguard_host::Result<Analysis> {
    let conf = NixConf::read(layout)?;
    Analysis::read(layout, &conf)
}
