//! Where a NixOS host can go back to, and since when it waits for a reboot.

use std::time::SystemTime;

use super::{Generation, Profiles, System, system::reboot_required};
use crate::{Layout, Result};

/// What is behind and ahead of the current system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// Generations of the `system` profile that are older than the current one, lead to another
    /// system, and whose target is in the store: what a rollback could go to.
    pub rollback_targets: usize,
    /// Generations of the `system` profile whose target is not in the store.
    pub dangling: usize,
    /// Since when a reboot is required: when the first of those newest generations was made that
    /// have another kernel, initial ramdisk or kernel modules than what was booted. `None` if no
    /// reboot is required, or nothing says since when.
    pub reboot_required_since: Option<SystemTime>,
}

impl Outlook {
    /// Reads it from the links of the generations. `None` on a host whose `system` profile points
    /// at no generation.
    ///
    /// # Errors
    /// If the parts of a system cannot be read.
    pub fn read(layout: &Layout, profiles: &Profiles, system: &System) -> Result<Option<Self>> {
        let Some(profile) = profiles.get("system") else {
            return Ok(None);
        };
        let Some(current) = profile.current_generation() else {
            return Ok(None);
        };
        let older = |generation: &&Generation| {
            generation.id.number < current.id.number
                && generation.valid
                && generation.id.target != current.id.target
        };
        let since = match (&system.booted, system.reboot_required) {
            (Some(booted), Some(true)) => {
                let mut since = current.id.created;
                let up_to_current = profile.generations.iter().rev();
                for generation in up_to_current.filter(|g| g.id.number < current.id.number) {
                    // What is gone from the store tells nothing any more.
                    if !generation.valid {
                        break;
                    }
                    match reboot_required(layout, &booted.path, &generation.id.target)? {
                        Some(true) => since = since.min(generation.id.created),
                        Some(false) | None => break,
                    }
                }
                Some(since)
            }
            _ => None,
        };
        Ok(Some(Self {
            rollback_targets: profile.generations.iter().filter(older).count(),
            dangling: profile.generations.iter().filter(|g| !g.valid).count(),
            reboot_required_since: since,
        }))
    }
}

#[cfg(test)]
mod tests;
