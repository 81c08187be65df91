//! What builds wait for: pressure on the control group of the daemon.

use snowguard_host::DaemonCgroup;

use super::{CollectError, Collector, Context, Name};
use crate::sample::{Family, Kind, count};

/// Stateless.
#[derive(Debug)]
pub(super) struct DaemonPressure;

impl Collector for DaemonPressure {
    fn name(&self) -> &'static str {
        Name::Pressure.as_str()
    }

    fn families(&self) -> &'static [&'static str] {
        &[
            "nix_daemon_pressure_waiting_seconds_total",
            "nix_daemon_pressure_stalled_seconds_total",
            "nix_daemon_memory_bytes",
            "nix_daemon_memory_limit_bytes",
        ]
    }

    /// A host whose daemon has no control group of its own has none of these families.
    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        let Some(group) = DaemonCgroup::read(cx.layout())? else {
            return Ok(Vec::new());
        };
        let mut waiting = Family::of(
            Kind::Counter,
            "nix_daemon_pressure_waiting_seconds_total",
            "For how long at least one process of the daemon's control group, where builds run, waited for the resource (PSI, some)",
        );
        let mut stalled = Family::of(
            Kind::Counter,
            "nix_daemon_pressure_stalled_seconds_total",
            "For how long all processes of the daemon's control group, where builds run, waited for the resource (PSI, full)",
        );
        for pressure in &group.pressure {
            let label = || vec![("resource", pressure.resource.as_str().to_owned())];
            waiting.push(label(), pressure.waiting.as_secs_f64());
            if let Some(time) = pressure.stalled {
                stalled.push(label(), time.as_secs_f64());
            }
        }
        let mut families = vec![waiting, stalled];
        if let Some(bytes) = group.memory_bytes {
            families.push(Family::gauge(
                "nix_daemon_memory_bytes",
                "Memory in bytes of the daemon's control group, where builds run, caches of files included",
                count(bytes),
            ));
        }
        if let Some(bytes) = group.memory_limit_bytes {
            families.push(Family::gauge(
                "nix_daemon_memory_limit_bytes",
                "Memory in bytes that the daemon's control group may take; absent if that is not limited",
                count(bytes),
            ));
        }
        Ok(families)
    }
}
