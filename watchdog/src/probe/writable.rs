//! The probe that writes: a file system that went read-only, is full or hangs serves nobody.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

const CONTENT: &[u8] = b"A probe of Snowguard wrote this.\n";

/// Makes a file of the probe's own in the directory, syncs it to the disk and removes it again.
/// Nobody else's file is opened: the file must be new.
pub(super) fn check(directory: &Path, name: &str) -> Result<String, String> {
    let path = directory.join(file_name(name));
    let failed = |what: &str, cause: &io::Error| format!("cannot {what} {path:?}: {cause}");
    // One that a kill left behind.
    match fs::remove_file(&path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", &cause));
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let file = options
        .open(&path)
        .map_err(|cause| failed("make", &cause))?;
    let written = write(file);
    let removed = fs::remove_file(&path);
    written.map_err(|cause| failed("write", &cause))?;
    removed.map_err(|cause| failed("remove", &cause))?;
    Ok(format!("{directory:?} can be written to"))
}

fn write(mut file: File) -> io::Result<()> {
    file.write_all(CONTENT)?;
    file.sync_all()
}

/// Of the probe's own, so that two probes of one directory do not meet.
fn file_name(probe: &str) -> PathBuf {
    let name: String = probe
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .take(100)
        .collect();
    PathBuf::from(format!(".snowguard-probe-{name}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_directory_that_takes_a_file_passes_and_is_left_as_it_was() {
        let root = tempfile::tempdir().expect("temporary directory");
        check(root.path(), "a/b").expect("writable");
        assert_eq!(fs::read_dir(root.path()).expect("directory").count(), 0);
        // What a kill left behind is cleared away, what it points to is not touched.
        let other = root.path().join("other");
        fs::write(&other, "precious").expect("file");
        symlink(&other, root.path().join(".snowguard-probe-p")).expect("link");
        assert!(check(root.path(), "p").is_ok());
        assert_eq!(fs::read_to_string(&other).expect("file"), "precious");
        assert_eq!(fs::read_dir(root.path()).expect("directory").count(), 1);
    }

    #[test]
    fn a_directory_that_takes_none_fails_with_its_path_and_the_cause() {
        let why = check(Path::new("/proc"), "p").expect_err("no file can be made there");
        assert!(why.contains("/proc/.snowguard-probe-p"), "{why}");
        let why = check(Path::new("/nonexistent"), "p").expect_err("not there");
        assert!(why.contains("No such file"), "{why}");
    }

    /// `/dev/full` is no directory; a tmpfs of one page would need root. What a full disk does to
    /// `write` is what it does to this.
    #[test]
    fn what_cannot_be_written_is_a_failure() {
        let full = OpenOptions::new().write(true).open("/dev/full");
        let cause = write(full.expect("/dev/full")).expect_err("full");
        assert_eq!(cause.kind(), io::ErrorKind::StorageFull);
    }
}
