//! The verb that writes the boot loader's menu anew, after generations went: an entry that names a
//! deleted path would not boot. Removing a generation alone leaves its entry where it is.
//!
//! The system's own `switch-to-configuration boot` does it, as `nixos-rebuild boot` would, and makes
//! itself the boot default. So only the system that is the default may write the menu, whichever of
//! the profiles of systems it is a generation of: `system` may be where it was left years ago, where
//! another one deploys (comin, `nixos-rebuild --profile-name`).

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::sys::statvfs::statvfs;
use snowguard_host::{BootDefault, FactError, Kind, Layout, Profile, Profiles, System};

use super::switch::{Switch, SwitchEnd};
use crate::gc::ladder::is_in_boot_menu;

const ATTEMPT: &str = "write the boot menu";
const SCRIPT: &str = "bin/switch-to-configuration";
/// Menu entries and the boot loader's own files.
const ENTRIES: u64 = 2 << 20;

/// Writes the menu of one host.
#[derive(Debug, Clone)]
pub struct BootMenu {
    /// The host.
    pub layout: Layout,
    /// How the program is started.
    pub switch: Switch,
}

impl BootMenu {
    /// Writes it. What was done, in a sentence; `None` where no system has a program that could.
    ///
    /// # Errors
    /// Why the menu is as it was, or may be half new. A full `/boot` is seen before it is written.
    pub fn run(&self, incident: &str) -> Result<Option<String>, FactError> {
        let profiles = Profiles::read(&self.layout)?;
        let system = System::read(&self.layout, &profiles)?;
        let Some(writer) = Self::look(&self.layout, &profiles, &system, 0)? else {
            return Ok(None);
        };
        let script = writer.join(SCRIPT);
        let target = writer.display().to_string();
        let end = self
            .switch
            .boot(&target, &format!("{incident} boot menu"))?;
        match end {
            SwitchEnd::Switched => Ok(Some(format!(
                "wrote the boot menu anew by {script:?}, so that no entry names what is deleted"
            ))),
            other => Err(FactError::new(
                match other {
                    SwitchEnd::LockHeld => Kind::Busy,
                    _ => Kind::Io,
                },
                ATTEMPT,
                script,
                format!("it {other}"),
                "run it by hand: entries of generations that are gone do not boot",
            )),
        }
    }

    /// Whether the menu can be written anew: the system whose program does it, `None` where there
    /// is no menu to write. A boot loader that fails half-way leaves the menu in an unknown state,
    /// so what may have to be written must fit; `ballast` are bytes that make room beside the database
    /// of Nix before that.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn look(
        layout: &Layout,
        profiles: &Profiles,
        system: &System,
        ballast: u64,
    ) -> Result<Option<PathBuf>, FactError> {
        let Some(system) = writer(layout, profiles, system)? else {
            return Ok(None);
        };
        let script = system.join(SCRIPT);
        match fs::symlink_metadata(layout.inside(&script)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FactError::io(ATTEMPT, script, &error, "")),
        }
        let boot = layout.inside("/boot");
        let Ok(stat) = statvfs(&boot) else {
            // No /boot, or one that the program itself will find unreadable.
            return Ok(Some(system));
        };
        let mut free = stat.blocks_available().saturating_mul(stat.fragment_size());
        if is_on_one(&boot, &layout.state()) {
            free = free.saturating_add(ballast);
        }
        // GRUB starts kernels from the store where it can, unless `boot.loader.grub.copyKernels`
        // (`install-grub.pl`).
        let files: &[&str] = if is_on_one(&boot, &layout.store()) && !boot.join("kernels").exists()
        {
            &[]
        } else {
            &["kernel", "initrd"]
        };
        let copies = files
            .iter()
            .map(|file| to_copy(layout, &boot, &system.join(file)));
        let needed = ENTRIES + copies.sum::<u64>();
        if free >= needed {
            return Ok(Some(system));
        }
        Err(FactError::new(
            Kind::Io,
            ATTEMPT,
            boot,
            format!("{free} bytes are free and {needed} may be needed"),
            "free some space there; the menu is then written by the next collection",
        ))
    }
}

/// The system that may write the menu, because what boots by default stays what it is then: the
/// default itself where it can be read, else the current generation of `system`, and of several
/// profiles of systems that of the one that was set last, if it runs. `None` where no system has a menu.
fn writer(
    layout: &Layout,
    profiles: &Profiles,
    system: &System,
) -> Result<Option<PathBuf>, FactError> {
    let of_systems: Vec<&Profile> = (profiles.profiles.iter())
        .filter(|profile| is_in_boot_menu(&profile.name))
        .filter(|profile| (profile.generations.iter()).any(|one| has_menu(layout, &one.id.target)))
        .collect();
    let Some(some) = of_systems.first() else {
        return Ok(None);
    };
    let refused = |profile: &Profile, cause: String| {
        let cure = "run `switch-to-configuration boot` of the system that is to boot";
        Err(FactError::malformed(ATTEMPT, &profile.link, cause, cure))
    };
    match &system.boot_default {
        Ok(BootDefault::Unknown) => {}
        Ok(BootDefault::System(default)) => {
            let default = &default.path;
            let mut all = of_systems.iter().flat_map(|profile| &profile.generations);
            if all.any(|generation| leads_to(layout, &generation.id.target, default)) {
                return Ok(Some(default.clone()));
            }
            let cause =
                format!("{default:?} boots by default and is no generation: that would end");
            return refused(some, cause);
        }
        Err(error) => return refused(some, error.to_string()),
    }
    let set_at = |profile: &Profile| fs::symlink_metadata(&profile.link)?.modified();
    let mut newest = None;
    for profile in &of_systems {
        match set_at(profile) {
            Ok(at) => newest = newest.max(Some((at, profile.name.as_path()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(FactError::io(ATTEMPT, &profile.link, &error, "")),
        }
    }
    let last = newest.and_then(|(_, name)| profiles.get(name));
    let current = last.and_then(Profile::current_generation);
    let (Some(last), Some(current)) = (last, current) else {
        return refused(
            some,
            "no profile of systems leads to a generation".to_owned(),
        );
    };
    let current = &current.id.target;
    let runs = |running: &Path| leads_to(layout, current, running);
    let is_alone = of_systems.len() == 1 && last.name == Path::new("system");
    if is_alone || system.running.as_ref().is_some_and(|link| runs(&link.path)) {
        return Ok(Some(current.clone()));
    }
    refused(
        last,
        "what boots by default is not known: of several profiles of systems the one that was set \
         last does not lead to what runs"
            .to_owned(),
    )
}

/// Whether a generation is of NixOS, whose systems bring the program that writes the menu.
fn has_menu(layout: &Layout, generation: &Path) -> bool {
    let script = fs::symlink_metadata(layout.inside(generation.join(SCRIPT)));
    script.map_or_else(|error| error.kind() != io::ErrorKind::NotFound, |_| true)
}

/// Whether a generation is this system, or a wrapper of it (deploy-rs), whose `init` is that of the
/// system.
fn leads_to(layout: &Layout, generation: &Path, system: &Path) -> bool {
    let init = || fs::read_link(layout.inside(generation.join("init"))).ok();
    generation == system || init().as_deref().and_then(Path::parent) == Some(system)
}

fn is_on_one(one: &Path, other: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
    device(one).is_some_and(|one| Some(one) == device(other))
}

/// Bytes of a kernel or initial ramdisk that is not on `/boot` yet. Both boot loaders of NixOS
/// name a copy after its store path: `EFI/nixos/HASH-linux-6.12-bzImage.efi`
/// (`systemd-boot-builder.py`), `kernels/HASH-linux-6.12-bzImage` (`install-grub.pl`).
fn to_copy(layout: &Layout, boot: &Path, link: &Path) -> u64 {
    let Ok(target) = fs::read_link(layout.inside(link)) else {
        return 0;
    };
    let Ok(meta) = fs::metadata(layout.inside(&target)) else {
        return 0;
    };
    let parts: Vec<String> = (target.iter().rev().take(2))
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    let copy = parts.into_iter().rev().collect::<Vec<_>>().join("-");
    let copies: [PathBuf; 2] = [
        boot.join("EFI/nixos").join(format!("{copy}.efi")),
        boot.join("kernels").join(copy),
    ];
    if copies.iter().any(|copy| copy.exists()) {
        0
    } else {
        meta.len()
    }
}

#[cfg(test)]
mod tests;
