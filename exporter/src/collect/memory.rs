//! Memory of the machine: how much a further build may still take.

use super::{CollectError, Collector, Context, Name};
use crate::sample::{Family, count};
use sysinfo::{MemoryRefreshKind, System};

/// Stateless: the kernel is asked anew each time, and for nothing but the memory.
#[derive(Debug)]
pub(super) struct Memory;

impl Collector for Memory {
    fn name(&self) -> &'static str {
        Name::Memory.as_str()
    }

    fn families(&self) -> &'static [&'static str] {
        &[
            "nix_host_memory_total_bytes",
            "nix_host_memory_available_bytes",
        ]
    }

    fn collect(&mut self, _: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        let mut system = System::new().map_err(|error| CollectError::Memory(error.to_string()))?;
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        // sysinfo has zeros for what it could not read.
        if system.total_memory() == 0 {
            return Err(CollectError::Memory("no total is given".to_owned()));
        }
        Ok(vec![
            Family::gauge(
                "nix_host_memory_total_bytes",
                "Memory of the machine in bytes (MemTotal)",
                count(system.total_memory()),
            ),
            Family::gauge(
                "nix_host_memory_available_bytes",
                "Memory in bytes that a further build could take without swapping (MemAvailable)",
                count(system.available_memory()),
            ),
        ])
    }
}
