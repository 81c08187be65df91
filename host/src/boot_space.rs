//! Room for kernels: the file system that the boot loader reads them from.
//!
//! NixOS copies the kernel and the initial ramdisk of each generation there, so that it fills up
//! with generations, and a switch fails half way when it is full.

use std::{fs, io, path::PathBuf};

use nix::sys::statvfs::statvfs;

use crate::{FactError, Layout, Result, locks::Mounts};

const ATTEMPT: &str = "measure the file system of the boot loader";

/// Where it is mounted, by custom.
const PLACES: [&str; 3] = ["/boot", "/efi", "/boot/efi"];

/// What `statvfs` says of the boot loader's file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFileSystem {
    /// The directory, as the host names it.
    pub place: PathBuf,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Bytes that a process without privilege may still use.
    pub avail_bytes: u64,
}

impl BootFileSystem {
    /// The first of `/boot`, `/efi` and `/boot/efi` that is a mount of its own; else `/boot` if
    /// there is such a directory; else none, as in a container. One that is only mounted when it
    /// is used (autofs) is left alone: looking would mount it.
    ///
    /// # Errors
    /// If the mounts, or the file system, cannot be looked at.
    pub fn read(layout: &Layout) -> Result<Option<Self>> {
        let mounts = Mounts::read(&layout.proc_dir().join("self/mountinfo"))?;
        for place in PLACES {
            match mounts.kind_at(&layout.inside(place)) {
                Some("autofs") => return Ok(None),
                Some(_) => return measure(layout, place).map(Some),
                None => {}
            }
        }
        let [boot, ..] = PLACES;
        let directory = layout.inside(boot);
        match fs::metadata(&directory) {
            Ok(meta) if meta.is_dir() => measure(layout, boot).map(Some),
            Ok(_) => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(FactError::io(ATTEMPT, directory, &e, "")),
        }
    }
}

fn measure(layout: &Layout, place: &str) -> Result<BootFileSystem> {
    let path = layout.inside(place);
    let stat = statvfs(&path).map_err(|errno| {
        let cure = "only root may where the directory above it is closed; an unprivileged reader \
                    gets it from the watchdog's state file";
        FactError::io(ATTEMPT, &path, &errno.into(), cure)
    })?;
    let unit = stat.fragment_size();
    Ok(BootFileSystem {
        place: PathBuf::from(place),
        size_bytes: stat.blocks().saturating_mul(unit),
        avail_bytes: stat.blocks_available().saturating_mul(unit),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host with these directories and these mounts, as `PLACE KIND`.
    fn read(directories: &[&str], mounts: &[(&str, &str)]) -> Option<PathBuf> {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path()).with_proc(dir.path().join("proc"));
        for directory in directories.iter().chain(&["/proc/self"]) {
            fs::create_dir_all(layout.inside(directory)).unwrap();
        }
        let lines = mounts.iter().map(|(place, kind)| {
            let point = layout.inside(place);
            format!("2 1 8:1 / {} rw - {kind} /dev/x rw\n", point.display())
        });
        fs::write(
            dir.path().join("proc/self/mountinfo"),
            lines.collect::<String>(),
        )
        .unwrap();
        BootFileSystem::read(&layout)
            .unwrap()
            .map(|boot| boot.place)
    }

    #[test]
    fn the_first_mount_is_where_kernels_go_and_a_plain_directory_only_without_one() {
        let all = ["/boot/efi", "/efi"];
        let place = |name: &str| Some(PathBuf::from(name));
        assert_eq!(read(&all, &[("/boot", "vfat")]), place("/boot"));
        assert_eq!(read(&all, &[("/boot/efi", "vfat")]), place("/boot/efi"));
        assert_eq!(
            read(&all, &[("/boot/efi", "vfat"), ("/efi", "vfat")]),
            place("/efi")
        );
        assert_eq!(read(&all, &[]), place("/boot"));
        assert_eq!(read(&[], &[]), None);
    }

    #[test]
    fn a_file_system_that_waits_to_be_used_is_not_mounted_by_looking() {
        assert_eq!(read(&["/boot"], &[("/boot", "autofs")]), None);
        // Once it is mounted, its own file system lies over the one that waits.
        let mounted = [("/boot", "autofs"), ("/boot", "vfat")];
        assert_eq!(read(&["/boot"], &mounted), Some(PathBuf::from("/boot")));
    }

    #[test]
    fn the_figures_are_those_of_the_file_system() {
        let layout = Layout::new("/");
        let boot = measure(&layout, "/proc/..").unwrap();
        let stat = statvfs("/").unwrap();
        assert_eq!(boot.size_bytes, stat.blocks() * stat.fragment_size());
        assert!(boot.avail_bytes <= boot.size_bytes);
    }
}
