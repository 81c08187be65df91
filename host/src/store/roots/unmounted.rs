//! Roots that lie on a file system which is not mounted now.
//!
//! Nix takes an automatic root whose target it does not find for stale, and unlinks it. A home that
//! failed to be mounted makes so of all roots in it: what they keep is alive, and nobody can see it.

use std::{fs, io, path::PathBuf};

use super::Roots;
use crate::{FactError, Kind, Layout, Result, locks::Mounts};

const ATTEMPT: &str = "read the roots of a file system";

/// Names each file system of `fstab(5)` that is not mounted and in which a stale link ends.
pub(super) fn note(layout: &Layout, roots: &mut Roots) -> Result<()> {
    let points = wanted(layout)?;
    let ends_in = |point: &&PathBuf| {
        let mut stale = roots.stale.iter();
        stale.any(|link| link.target.starts_with(point))
    };
    let mut points = points.iter().filter(ends_in).peekable();
    if points.peek().is_none() {
        return Ok(());
    }
    let mounts = Mounts::read(&layout.proc_dir().join("self/mountinfo"))?;
    let missing = points.filter(|point| mounts.kind_at(&layout.inside(point)).is_none());
    let errors = missing.map(|point| {
        let cause = "it is in /etc/fstab and not mounted, so that what its roots keep looks dead";
        FactError::new(
            Kind::Io,
            ATTEMPT,
            point,
            cause,
            "mount it, or take it out of /etc/fstab",
        )
    });
    let errors: Vec<FactError> = errors.collect();
    roots.unreadable.extend(errors);
    Ok(())
}

/// The mount points that are to be there all the time.
fn wanted(layout: &Layout) -> Result<Vec<PathBuf>> {
    let path = layout.inside("/etc/fstab");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(FactError::io(ATTEMPT, &path, &cause, "make it readable")),
    };
    let points = text.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (source, point, kind) = (fields.next()?, fields.next()?, fields.next()?);
        let options = fields.next().unwrap_or_default();
        let stays = kind != "swap" && !options.split(',').any(|option| option == "noauto");
        let is_one = !source.starts_with('#') && point.starts_with('/') && point != "/";
        (stays && is_one).then(|| PathBuf::from(unescaped(point)))
    });
    Ok(points.collect())
}

/// As `getmntent(3)` has it: a space is `\040`, a tab `\011`, a backslash `\134`.
fn unescaped(point: &str) -> String {
    point
        .replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::UNIX_EPOCH};

    use super::*;
    use crate::store::{RootKind, StaleLink, StaleReason};

    fn stale(target: &str) -> StaleLink {
        StaleLink {
            link: PathBuf::from("/nix/var/nix/gcroots/auto/a"),
            target: PathBuf::from(target),
            kind: RootKind::Indirect,
            reason: StaleReason::TargetGone,
            made: Some(UNIX_EPOCH),
        }
    }

    fn unread(fstab: &str, mounted: &str, targets: &[&str]) -> Vec<PathBuf> {
        let host = tempfile::tempdir().unwrap();
        let root = host.path();
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir_all(root.join("proc/self")).unwrap();
        fs::write(root.join("etc/fstab"), fstab).unwrap();
        let point = root.join(mounted.trim_start_matches('/'));
        let line = format!("30 1 8:2 / {} rw - ext4 /dev/sda2 rw\n", point.display());
        fs::write(root.join("proc/self/mountinfo"), line).unwrap();
        let layout = Layout::new(root).with_proc(root.join("proc"));
        let mut roots = Roots {
            stale: targets.iter().map(|target| stale(target)).collect(),
            ..Roots::default()
        };
        note(&layout, &mut roots).unwrap();
        roots.unreadable.iter().map(|e| e.path.clone()).collect()
    }

    const FSTAB: &str = "# comment /home ext4\n/dev/sda1 / ext4 defaults 0 1\n\
                         /dev/sda2 /home ext4 nofail 0 2\n/dev/sdb1 /mnt/usb vfat noauto 0 0\n\
                         /dev/sda3 none swap sw 0 0\n";

    #[test]
    fn links_that_end_on_a_file_system_that_is_not_mounted_make_the_roots_incomplete() {
        let home = Path::new("/home");
        assert_eq!(unread(FSTAB, "/srv", &["/home/me/result"]), [home]);
        assert!(unread(FSTAB, "/home", &["/home/me/result"]).is_empty());
    }

    #[test]
    fn a_link_that_ends_anywhere_else_is_merely_stale() {
        let ends = ["/tmp/result", "/homes/me/result", "/mnt/usb/result"];
        assert!(unread(FSTAB, "/srv", &ends).is_empty());
        assert!(unread(FSTAB, "/srv", &[]).is_empty());
    }
}
