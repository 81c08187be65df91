//! The verb that writes the boot loader's menu anew, after generations went: an entry that names a
//! deleted path would not boot. Removing a generation alone leaves its entry where it is.
//!
//! The current generation's own `switch-to-configuration boot` does it, as `nixos-rebuild boot`
//! would. What boots by default becomes the current generation, which is what it says anyway.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::sys::statvfs::statvfs;
use snowguard_host::{FactError, Kind, Layout, Profiles, System};

use super::switch::{Switch, SwitchEnd};

const ATTEMPT: &str = "write the boot menu";
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
    /// Writes it. What was done, in a sentence; `None` where the system profile has no program
    /// that could.
    ///
    /// # Errors
    /// Why the menu is as it was, or may be half new. A full `/boot` is seen before it is written.
    pub fn run(&self, incident: &str) -> Result<Option<String>, FactError> {
        let profiles = Profiles::read(&self.layout)?;
        let system = System::read(&self.layout, &profiles)?;
        let Some(current) = system.current else {
            return Ok(None);
        };
        let Some(script) = Self::look(&self.layout, Some(&current.path))? else {
            return Ok(None);
        };
        let target = current.path.display().to_string();
        let end = self
            .switch
            .boot(&target, &format!("{incident} boot menu"))?;
        match end {
            SwitchEnd::Switched => Ok(Some(format!(
                "wrote the boot menu anew by {script:?}, so that no entry names what is deleted"
            ))),
            other => Err(FactError::new(
                Kind::Io,
                ATTEMPT,
                script,
                format!("it {other}"),
                "run it by hand: entries of generations that are gone do not boot",
            )),
        }
    }

    /// Whether the menu can be written anew: the program of the current system that does it,
    /// `None` where there is no menu to write. A boot loader that fails half-way leaves the menu
    /// in an unknown state, so what may have to be written must fit.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn look(layout: &Layout, current: Option<&Path>) -> Result<Option<PathBuf>, FactError> {
        let Some(system) = current else {
            return Ok(None);
        };
        let script = system.join("bin/switch-to-configuration");
        match fs::symlink_metadata(layout.inside(&script)) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FactError::io(ATTEMPT, script, &error, "")),
        }
        let boot = layout.inside("/boot");
        let Ok(stat) = statvfs(&boot) else {
            // No /boot, or one that the program itself will find unreadable.
            return Ok(Some(script));
        };
        let free = stat.blocks_available().saturating_mul(stat.fragment_size());
        let needed = ENTRIES
            + ["kernel", "initrd"]
                .iter()
                .map(|file| to_copy(layout, &boot, &system.join(file)))
                .sum::<u64>();
        if free >= needed {
            return Ok(Some(script));
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
