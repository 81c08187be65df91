//! Space and inodes of the store's file system. The machine's exporter has them too, but the
//! rules that heal must be evaluable from this page alone.

use snowguard_host::store::FileSystem;

use super::{CollectError, Collector, Context, Name};
use crate::sample::{Family, count};

/// Stateless.
#[derive(Debug)]
pub(super) struct Filesystem;

impl Collector for Filesystem {
    fn name(&self) -> &'static str {
        Name::Filesystem.as_str()
    }

    fn families(&self) -> &'static [&'static str] {
        &[
            "nix_store_filesystem_size_bytes",
            "nix_store_filesystem_avail_bytes",
            "nix_store_filesystem_files",
            "nix_store_filesystem_files_free",
        ]
    }

    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        let found = FileSystem::read(cx.layout())?;
        Ok(vec![
            Family::gauge(
                "nix_store_filesystem_size_bytes",
                "Size of the store's file system in bytes, by statvfs (f_blocks)",
                count(found.size_bytes),
            ),
            Family::gauge(
                "nix_store_filesystem_avail_bytes",
                "Bytes of the store's file system that are free to users without privilege, by statvfs (f_bavail)",
                count(found.avail_bytes),
            ),
            Family::gauge(
                "nix_store_filesystem_files",
                "Inodes of the store's file system, by statvfs; 0 where it makes them as needed (btrfs)",
                count(found.files),
            ),
            Family::gauge(
                "nix_store_filesystem_files_free",
                "Free inodes of the store's file system, by statvfs",
                count(found.files_free),
            ),
        ])
    }
}
