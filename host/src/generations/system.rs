//! The system of a NixOS host: what its profile says, what runs, what was booted, what boots next.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{BootDefault, Profile, Profiles, boot, profiles::link_target};
use crate::{FactError, Layout, Result};

const ATTEMPT: &str = "read the state of the system";

/// A system that a link of the host points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemLink {
    /// The store path.
    pub path: PathBuf,
    /// The generation of the `system` profile that is this store path, or a wrapper of it (deploy-rs).
    /// `None` if there is none: after `nixos-rebuild test`, when another profile leads to it (comin),
    /// or when the generation was deleted under the running system.
    pub generation: Option<u64>,
}

/// The four systems of a host, which differ after a test, a failed switch, or before a reboot.
#[derive(Debug)]
pub struct System {
    /// What the `system` profile points at.
    pub current: Option<SystemLink>,
    /// `/run/current-system`.
    pub running: Option<SystemLink>,
    /// `/run/booted-system`.
    pub booted: Option<SystemLink>,
    /// What the boot loader starts by default.
    pub boot_default: Result<BootDefault>,
    /// When the running system was activated: the activation script makes the link anew.
    pub activated: Option<SystemTime>,
    /// True if kernel, initial ramdisk or kernel modules of the booted system differ from those
    /// of the current one. `None` if one of the two is not there, as on a host without NixOS.
    pub reboot_required: Option<bool>,
}

impl System {
    /// Reads the links of the host's system.
    ///
    /// # Errors
    /// If a link is there but cannot be read. A link that is not there is `None`.
    pub fn read(layout: &Layout, profiles: &Profiles) -> Result<Self> {
        let profile = profiles.get("system");
        let current = profile
            .and_then(Profile::current_generation)
            .map(|g| SystemLink {
                path: g.id.target.clone(),
                generation: Some(g.id.number),
            });
        let running_link = layout.inside("/run/current-system");
        let running = follow(layout, &running_link, profile)?;
        let booted = follow(layout, &layout.inside("/run/booted-system"), profile)?;
        let activated = match &running {
            Some(_) => modified(&running_link)?,
            None => None,
        };
        let reboot_required = match (&booted, &current) {
            (Some(booted), Some(current)) => {
                let wrapped = unwrapped(layout, &current.path);
                let current = wrapped.as_deref().unwrap_or(&current.path);
                reboot_required(layout, &booted.path, current)?
            }
            _ => None,
        };
        Ok(Self {
            boot_default: boot::read(layout, profile),
            current,
            running,
            booted,
            activated,
            reboot_required,
        })
    }

    /// The store paths whose generations are never given up: of the current, the running, the
    /// booted system and the boot default, as far as that could be read.
    pub fn stay(&self) -> Vec<&Path> {
        let boot_default = match &self.boot_default {
            Ok(BootDefault::System(link)) => Some(link),
            Ok(BootDefault::Unknown) | Err(_) => None,
        };
        let links = [
            self.current.as_ref(),
            self.running.as_ref(),
            self.booted.as_ref(),
        ];
        let links = links.into_iter().chain([boot_default]).flatten();
        links.map(|link| link.path.as_path()).collect()
    }
}

fn follow(layout: &Layout, link: &Path, profile: Option<&Profile>) -> Result<Option<SystemLink>> {
    let Some(path) = link_target(ATTEMPT, link)? else {
        return Ok(None);
    };
    let mut found = with_generation(path, profile);
    if found.generation.is_none() {
        let all = profile.into_iter().flat_map(|profile| &profile.generations);
        let wrappers =
            all.filter(|g| unwrapped(layout, &g.id.target).as_ref() == Some(&found.path));
        found.generation = wrappers.map(|g| g.id.number).max();
    }
    Ok(Some(found))
}

/// The system that a wrapper of it leads to: deploy-rs puts one into the profile, a tree of links to
/// the system beside a program of its own, and activates the system (`activate.nixos` of its flake).
fn unwrapped(layout: &Layout, generation: &Path) -> Option<PathBuf> {
    // A system's own init is no link, or one to systemd.
    let init = fs::read_link(layout.inside(generation.join("init"))).ok()?;
    let system = init.parent()?;
    let is_one = init.ends_with("init") && system.parent() == generation.parent();
    is_one.then(|| system.to_owned())
}

pub(super) fn with_generation(path: PathBuf, profile: Option<&Profile>) -> SystemLink {
    SystemLink {
        generation: profile
            .and_then(|p| p.generation_of(&path))
            .map(|g| g.id.number),
        path,
    }
}

fn modified(link: &Path) -> Result<Option<SystemTime>> {
    match fs::symlink_metadata(link).and_then(|meta| meta.modified()) {
        Ok(time) => Ok(Some(time)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(FactError::io(ATTEMPT, link, &e, "")),
    }
}

/// As NixOS's `system.autoUpgrade` decides (`nixos/modules/tasks/auto-upgrade.nix`): by the
/// targets of these three links.
pub(super) fn reboot_required(
    layout: &Layout,
    booted: &Path,
    current: &Path,
) -> Result<Option<bool>> {
    let mut required = false;
    let mut compared = false;
    for part in ["initrd", "kernel", "kernel-modules"] {
        let [ours, theirs] =
            [booted, current].map(|s| link_target(ATTEMPT, &layout.inside(s.join(part))));
        let (ours, theirs) = (ours?, theirs?);
        compared |= ours.is_some() && theirs.is_some();
        required |= ours != theirs;
    }
    // A system of a container has neither kernel nor ramdisk.
    Ok(compared.then_some(required))
}
