//! Room on the boot loader's file system.

use snowguard_host::{BootFileSystem, Kind as FactKind};

use super::{CollectError, Collector, Context, Name};
use crate::sample::{Family, count};

/// Stateless.
#[derive(Debug)]
pub(super) struct Boot;

impl Collector for Boot {
    fn name(&self) -> &'static str {
        Name::Boot.as_str()
    }

    fn families(&self) -> &'static [&'static str] {
        &[
            "nixos_boot_filesystem_size_bytes",
            "nixos_boot_filesystem_avail_bytes",
        ]
    }

    /// A host without a system profile has none of these families: its kernels come from elsewhere.
    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        if cx.profiles()?.get("system").is_none() {
            return Ok(Vec::new());
        }
        let found = match BootFileSystem::read(cx.layout()) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Vec::new()),
            // Below a directory that only root may enter; the watchdog publishes it then.
            Err(error) if error.kind == FactKind::Denied => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        Ok(vec![
            Family::gauge(
                "nixos_boot_filesystem_size_bytes",
                "Size of the boot loader's file system in bytes, by statvfs: /boot, /efi or /boot/efi",
                count(found.size_bytes),
            ),
            Family::gauge(
                "nixos_boot_filesystem_avail_bytes",
                "Bytes of the boot loader's file system that are free, by statvfs",
                count(found.avail_bytes),
            ),
        ])
    }
}
