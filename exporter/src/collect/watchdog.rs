//! What the watchdog published in its state file.

use super::{CollectError, Collector, Context, Name};
use crate::{
    sample::{Family, flag, seconds},
    state_file::{self, StateFile},
};

/// Stateless.
#[derive(Debug)]
pub(super) struct Watchdog;

impl Collector for Watchdog {
    fn name(&self) -> &'static str {
        Name::Watchdog.as_str()
    }

    fn families(&self) -> &'static [&'static str] {
        &[
            "snowguard_watchdog_up",
            "snowguard_watchdog_state_timestamp_seconds",
        ]
    }

    /// No file is no failure: a host may run the exporter alone.
    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        let state = match StateFile::read(&cx.layout().inside(state_file::PATH)) {
            Ok(state) => state,
            Err(error) if error.is_missing() => return Ok(vec![up(false)]),
            Err(error) => return Err(error.into()),
        };
        let written = Family::gauge(
            "snowguard_watchdog_state_timestamp_seconds",
            "When the watchdog last wrote its state file, as seconds since 1970",
            seconds(state.written_at),
        );
        let is_up = !state.is_stale(cx.now());
        let mut families = vec![up(is_up), written];
        if is_up {
            families.extend(state.families);
        }
        Ok(families)
    }

    /// Root sees what this process may not: other users' processes, root's cache of lookups.
    /// Of Snowguard's own families the exporter's are the exporter's to tell.
    fn knows_better(&self, family: &str) -> bool {
        family.starts_with("nix_") || family.starts_with("nixos_")
    }
}

fn up(is_up: bool) -> Family {
    Family::gauge(
        "snowguard_watchdog_up",
        "1 if the watchdog wrote its state file within its last three ticks, 0 if the file is missing or older",
        flag(is_up),
    )
}
