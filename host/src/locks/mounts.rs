//! The device by which the kernel's lock table names a file: that of its mount.
//!
//! On btrfs `stat` shows a device of the subvolume that neither `/proc/locks` nor
//! `/proc/self/mountinfo` knows.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use super::ATTEMPT;
use crate::{FactError, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl Device {
    pub(crate) fn of(meta: &fs::Metadata) -> Self {
        // The encoding of dev_t in the C library (makedev(3)); both parts have 32 bits.
        let dev = meta.dev();
        let part = |bits: u64| u32::try_from(bits).unwrap_or(u32::MAX);
        Self {
            major: part(((dev >> 32) & 0xffff_f000) | ((dev >> 8) & 0xfff)),
            minor: part(((dev >> 12) & 0xffff_ff00) | (dev & 0xff)),
        }
    }
}

#[derive(Debug)]
struct Mount {
    device: Device,
    point: PathBuf,
    kind: String,
}

#[derive(Debug)]
pub(crate) struct Mounts(Vec<Mount>);

impl Mounts {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path)
            .map_err(|e| FactError::io(ATTEMPT, path, &e, "mount the process file system"))?;
        let mut mounts = Vec::new();
        for line in bytes.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()) {
            let mount = parse(line).ok_or_else(|| {
                let cause = format!("not a mount: {:?}", String::from_utf8_lossy(line));
                FactError::malformed(ATTEMPT, path, cause, "")
            })?;
            mounts.push(mount);
        }
        Ok(Self(mounts))
    }

    /// The type of the file system that is mounted exactly here, if one is; of several the one
    /// that was mounted last, which covers the others.
    pub(crate) fn kind_at(&self, point: &Path) -> Option<&str> {
        let mut here = self.0.iter().rev();
        here.find(|mount| mount.point == point)
            .map(|mount| mount.kind.as_str())
    }

    /// What the file system is called on which this place lies, by its name alone: nothing is looked at.
    pub(crate) fn kind_over(&self, place: &Path) -> Option<&str> {
        let over = self
            .0
            .iter()
            .filter(|mount| place.starts_with(&mount.point));
        // Of equally long mount points the last one mounted covers the others.
        let here = over.max_by_key(|mount| mount.point.as_os_str().len());
        here.map(|mount| mount.kind.as_str())
    }

    /// Whether two files are on one file system, subvolumes of it being the same. False if either
    /// is not there.
    pub(crate) fn are_on_one(&self, a: &Path, b: &Path) -> Result<bool> {
        let device = |file: &Path| match fs::symlink_metadata(file) {
            // It may be a mount point itself: what is looked for is the mount of what lies in it.
            Ok(meta) => self.device_of(Device::of(&meta), &file.join("-")).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(FactError::io(ATTEMPT, file, &e, "run as root")),
        };
        Ok(matches!((device(a)?, device(b)?), (Some(a), Some(b)) if a == b))
    }

    /// The device of the file system that `file` is on, `own` being what `stat` says of it.
    pub(crate) fn device_of(&self, own: Device, file: &Path) -> Result<Device> {
        // A device that some mount has is one of the kernel's own: no need to look further.
        if self.0.iter().any(|mount| mount.device == own) {
            return Ok(own);
        }
        let parent = file.parent().unwrap_or(file);
        let real = fs::canonicalize(parent)
            .map_err(|e| FactError::io(ATTEMPT, parent, &e, "make it searchable by this user"))?;
        // Of equally long mount points the last one mounted covers the others.
        let mut best: Option<&Mount> = None;
        for mount in &self.0 {
            let longer =
                best.is_none_or(|b| mount.point.as_os_str().len() >= b.point.as_os_str().len());
            if longer && real.starts_with(&mount.point) {
                best = Some(mount);
            }
        }
        Ok(best.map_or(own, |mount| mount.device))
    }
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
/// (proc_pid_mountinfo(5)).
fn parse(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    let (major, minor) = std::str::from_utf8(words.next()?).ok()?.split_once(':')?;
    let point = words.nth(1)?;
    // Optional fields of any number end with a lone hyphen.
    let kind = words.skip_while(|word| *word != b"-").nth(1)?;
    Some(Mount {
        device: Device {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        },
        point: PathBuf::from(OsString::from_vec(unescape(point))),
        kind: String::from_utf8_lossy(kind).into_owned(),
    })
}

/// Blank, tab, newline and backslash are written as `\` and three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail
            .get(..3)
            .filter(|_| first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(byte) = code {
            out.push(byte);
            rest = &tail[3..];
        } else {
            out.push(first);
            rest = tail;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_backslashes_in_a_mount_point_are_read_back() {
        let mount = parse(b"2 1 0:41 / /a\\040b\\134c rw - btrfs x rw").unwrap();
        assert_eq!(mount.point, Path::new("/a b\\c"));
        assert_eq!(mount.kind, "btrfs");
    }
}
