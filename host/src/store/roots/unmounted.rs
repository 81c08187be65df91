//! Roots that lie on a file system which is not mounted now, though `fstab(5)` or a mount unit that
//! comes up with the host says that it is to be.
//!
//! Nix takes an automatic root whose target it does not find for stale, and unlinks it. A home that
//! failed to be mounted makes so of all roots in it: what they keep is alive, and nobody can see it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::Roots;
use crate::{FactError, Kind, Layout, Result, locks::Mounts};

const ATTEMPT: &str = "read the roots of a file system";

/// Names each such file system in which a stale link ends.
pub(super) fn note(layout: &Layout, roots: &mut Roots) -> Result<()> {
    if roots.stale.is_empty() {
        return Ok(());
    }
    // Where systemd made units of `fstab(5)`, they say what it takes of it: nothing in a container.
    let mut points = if layout.inside(GENERATED).is_dir() {
        Vec::new()
    } else {
        let (points, unread) = in_fstab(layout);
        roots.unreadable.extend(unread);
        points
    };
    points.extend(units(layout));
    points.sort();
    points.dedup();
    let ends_in = |point: &PathBuf| {
        let mut stale = roots.stale.iter();
        stale.any(|link| link.target.starts_with(point))
    };
    points.retain(ends_in);
    if points.is_empty() {
        return Ok(());
    }
    let mounts = Mounts::read(&layout.proc_dir().join("self/mountinfo"))?;
    // The kernel has the name that a link leads to.
    let is_mounted = |point: &PathBuf| {
        let named = layout.inside(point);
        let real = fs::canonicalize(&named).ok();
        let mut names = [Some(named), real].into_iter().flatten();
        names.any(|name| mounts.kind_at(&name).is_some())
    };
    points.retain(|point| !is_mounted(point));
    roots.unreadable.extend(points.into_iter().map(|point| {
        let cause = "it is to be mounted and is not, so that what its roots keep looks dead";
        let cure = "mount it, or take it out of /etc/fstab or of systemd's mounts";
        FactError::new(Kind::Io, ATTEMPT, point, cause, cure)
    }));
    Ok(())
}

/// The mount points of `fstab(5)` that are to be there all the time, and why it could not be read.
fn in_fstab(layout: &Layout) -> (Vec<PathBuf>, Option<FactError>) {
    let read = layout
        .resolve(ATTEMPT, Path::new("/etc/fstab"))
        .and_then(|path| {
            let path = layout.inside(path);
            fs::read(&path)
                .map_err(|cause| FactError::io(ATTEMPT, path, &cause, "make it readable"))
        });
    let text = match read {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind == Kind::Missing => return (Vec::new(), None),
        Err(error) => return (Vec::new(), Some(error)),
    };
    let points = text.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (source, point, kind) = (fields.next()?, fields.next()?, fields.next()?);
        let options = fields.next().unwrap_or_default();
        let stays = kind != "swap" && !options.split(',').any(|option| option == "noauto");
        let is_one = !source.starts_with('#') && point.starts_with('/') && point != "/";
        (stays && is_one).then(|| PathBuf::from(unescaped(point)))
    });
    (points.collect(), None)
}

/// The same of mount units that a target of the boot wants: written by hand, or by a generator (that of
/// ZFS). Those that nobody may read are left to `fstab(5)`, from which most come.
fn units(layout: &Layout) -> Vec<PathBuf> {
    let mut points = Vec::new();
    for directory in UNITS {
        for target in ["local-fs", "remote-fs", "multi-user"] {
            for kind in ["wants", "requires"] {
                let links = layout.inside(format!("{directory}/{target}.target.{kind}"));
                let links = fs::read_dir(links).into_iter().flatten().flatten();
                let names = links.map(|link| link.file_name());
                let mounts = names.filter(|name| name.as_encoded_bytes().ends_with(b".mount"));
                points.extend(mounts.filter_map(|name| place(layout, Path::new(&name))));
            }
        }
    }
    points
}

/// What `systemd-fstab-generator(8)` and others write.
const GENERATED: &str = "/run/systemd/generator";

const UNITS: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    GENERATED,
    "/usr/local/lib/systemd/system",
];

/// `Where=` of a mount unit, by the first directory that has it.
fn place(layout: &Layout, name: &Path) -> Option<PathBuf> {
    let mut texts = UNITS.iter().filter_map(|directory| {
        let unit = layout.inside(Path::new(directory).join(name));
        fs::read_to_string(unit).ok()
    });
    let text = texts.next()?;
    let mut lines = text.lines();
    let place = lines.find_map(|line| line.trim().strip_prefix("Where="))?;
    (place.starts_with('/') && place != "/").then(|| PathBuf::from(place))
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
    use std::time::UNIX_EPOCH;

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
        fs::create_dir_all(host.path().join("etc")).unwrap();
        fs::write(host.path().join("etc/fstab"), fstab).unwrap();
        unread_of(host.path(), mounted, targets)
    }

    fn unread_of(root: &Path, mounted: &str, targets: &[&str]) -> Vec<PathBuf> {
        fs::create_dir_all(root.join("proc/self")).unwrap();
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
    fn a_mount_unit_that_comes_up_with_the_host_counts_like_a_line_of_fstab() {
        let host = tempfile::tempdir().unwrap();
        let units = host.path().join("run/systemd/generator");
        fs::create_dir_all(units.join("local-fs.target.wants")).unwrap();
        for (name, place) in [("home", "/home"), ("srv", "/srv")] {
            let text = format!("[Unit]\n[Mount]\nWhat=pool/{name}\nWhere={place}\nType=zfs\n");
            fs::write(units.join(format!("{name}.mount")), text).unwrap();
        }
        let wanted = units.join("local-fs.target.wants/home.mount");
        std::os::unix::fs::symlink("../home.mount", wanted).unwrap();
        let ends = ["/home/me/result", "/srv/result"];
        assert_eq!(unread_of(host.path(), "/mnt", &ends), [Path::new("/home")]);
        assert!(unread_of(host.path(), "/home", &ends).is_empty());
    }

    #[test]
    fn a_mount_point_that_is_a_link_is_mounted_where_it_leads() {
        let host = tempfile::tempdir().unwrap();
        for directory in ["etc", "var/home"] {
            fs::create_dir_all(host.path().join(directory)).unwrap();
        }
        std::os::unix::fs::symlink("var/home", host.path().join("home")).unwrap();
        fs::write(host.path().join("etc/fstab"), FSTAB).unwrap();
        let ends = ["/home/me/result"];
        assert!(unread_of(host.path(), "/var/home", &ends).is_empty());
        assert_eq!(unread_of(host.path(), "/srv", &ends), [Path::new("/home")]);
    }

    #[test]
    fn an_fstab_that_is_no_text_throughout_is_read_all_the_same() {
        let host = tempfile::tempdir().unwrap();
        fs::create_dir_all(host.path().join("etc")).unwrap();
        let text = [b"# f\xfcr alle\n".as_slice(), FSTAB.as_bytes()].concat();
        fs::write(host.path().join("etc/fstab"), text).unwrap();
        let ends = ["/home/me/result"];
        assert_eq!(unread_of(host.path(), "/srv", &ends), [Path::new("/home")]);
    }

    #[test]
    fn a_link_that_ends_anywhere_else_is_merely_stale() {
        let ends = ["/tmp/result", "/homes/me/result", "/mnt/usb/result"];
        assert!(unread(FSTAB, "/srv", &ends).is_empty());
        assert!(unread(FSTAB, "/srv", &[]).is_empty());
    }
}
