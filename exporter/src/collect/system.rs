//! The NixOS system: current (by its profile), running and booted generation differ after a test,
//! a failed switch, or before a reboot.

use snowguard_host::{FactError, Layout, Outlook, Profiles};

use super::{CollectError, Collector, Context, Name};
use crate::sample::{Family, count, flag, seconds};

/// Stateless.
#[derive(Debug)]
pub(super) struct System;

impl Collector for System {
    fn name(&self) -> &'static str {
        Name::System.as_str()
    }

    fn families(&self) -> &'static [&'static str] {
        &[
            "nixos_current_generation",
            "nixos_booted_generation",
            "nixos_running_generation",
            "nixos_running_is_current",
            "nixos_generation_activated_timestamp_seconds",
            "nixos_reboot_required",
            "nixos_reboot_required_since_timestamp_seconds",
            "nixos_rollback_targets",
            "nixos_generations_dangling",
        ]
    }

    /// A host without a system profile has none of these families: a zero would be a claim.
    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        let profiles = cx.profiles()?;
        // What hides the system profile must not pass for a host that has none.
        if let Some(error) = hidden(cx.layout(), profiles) {
            return Err(error.into());
        }
        if profiles.get("system").is_none() {
            return Ok(Vec::new());
        }
        let system = snowguard_host::System::read(cx.layout(), profiles)?;
        let mut families = Vec::new();
        let numbers = [
            (
                "nixos_current_generation",
                "Number of the generation that the system profile points at",
                &system.current,
            ),
            (
                "nixos_booted_generation",
                "Number of the system generation that was booted (/run/booted-system); absent if the profile has no generation of it any more",
                &system.booted,
            ),
            (
                "nixos_running_generation",
                "Number of the system generation that runs (/run/current-system); absent if the profile has no generation of it, as after nixos-rebuild test",
                &system.running,
            ),
        ];
        for (name, help, link) in numbers {
            if let Some(number) = link.as_ref().and_then(|link| link.generation) {
                families.push(Family::gauge(name, help, count(number)));
            }
        }
        if let (Some(running), Some(current)) = (&system.running, &system.current) {
            families.push(Family::gauge(
                "nixos_running_is_current",
                "1 if the running system is the one that the system profile points at, 0 if not",
                flag(running.path == current.path),
            ));
        }
        if let Some(activated) = system.activated {
            families.push(Family::gauge(
                "nixos_generation_activated_timestamp_seconds",
                "When the running system was activated, as seconds since 1970, by the age of the link /run/current-system",
                seconds(activated),
            ));
        }
        if let Some(required) = system.reboot_required {
            families.push(Family::gauge(
                "nixos_reboot_required",
                "1 if kernel, initial ramdisk or kernel modules of the current system are not those that were booted, 0 if they are",
                flag(required),
            ));
        }
        if let Some(outlook) = Outlook::read(cx.layout(), profiles, &system)? {
            families.extend(ahead_and_behind(&outlook));
        }
        Ok(families)
    }
}

fn ahead_and_behind(outlook: &Outlook) -> Vec<Family> {
    let size = |n: usize| count(u64::try_from(n).unwrap_or(u64::MAX));
    let mut families = vec![
        Family::gauge(
            "nixos_rollback_targets",
            "System generations older than the current one, of another system, whose system is in the store",
            size(outlook.rollback_targets),
        ),
        Family::gauge(
            "nixos_generations_dangling",
            "System generations whose system is not in the store",
            size(outlook.dangling),
        ),
    ];
    if let Some(since) = outlook.reboot_required_since {
        families.push(Family::gauge(
            "nixos_reboot_required_since_timestamp_seconds",
            "When the first of the newest system generations was made that have another kernel, initial ramdisk or kernel modules than what was booted, as seconds since 1970; absent if no reboot is required",
            seconds(since),
        ));
    }
    families
}

/// Why the system profile or its current generation could not be read. They are not where they
/// should be and something in the profiles or the store is unreadable: that may be what hides
/// them.
fn hidden(layout: &Layout, profiles: &Profiles) -> Option<FactError> {
    let profile = profiles.get("system");
    if profile.is_some_and(|profile| profile.current_generation().is_some()) {
        return None;
    }
    let places = [layout.profiles(), layout.store()];
    let error = profiles
        .unreadable
        .iter()
        .find(|error| places.iter().any(|place| error.path.starts_with(place)))?;
    Some(FactError::new(
        error.kind,
        &error.attempt,
        &error.path,
        &error.cause,
        &error.cure,
    ))
}
