//! How old the inputs of the system's flake are.

use std::path::PathBuf;

use snowguard_host::flake_inputs;

use super::{CollectError, Collector, Context, Name, Names, Options};
use crate::sample::{Family, Kind, seconds};

/// Knows only where to look.
#[derive(Debug)]
pub(super) struct Flake {
    lock: PathBuf,
}

impl Flake {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            lock: options.flake_lock.clone(),
        }
    }
}

impl Collector for Flake {
    fn name(&self) -> &'static str {
        Name::Flake.as_str()
    }

    fn heed(&mut self, _names: &Names, options: &Options) {
        *self = Self::new(options);
    }

    fn families(&self) -> &'static [&'static str] {
        &["nixos_flake_input_last_modified_timestamp_seconds"]
    }

    /// A host without a system profile has none of these: the file is no system's.
    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        if cx.profiles()?.get("system").is_none() {
            return Ok(Vec::new());
        }
        let Some(inputs) = flake_inputs(cx.layout(), &self.lock)? else {
            return Ok(Vec::new());
        };
        let mut family = Family::of(
            Kind::Gauge,
            "nixos_flake_input_last_modified_timestamp_seconds",
            "When what the input of the system's flake is locked to was last changed, as seconds since 1970",
        );
        for (input, at) in inputs {
            if let Some(at) = at {
                family.push(vec![("input", input)], seconds(at));
            }
        }
        Ok(vec![family])
    }
}
