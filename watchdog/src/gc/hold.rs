//! An operator's word that nothing is collected: a file, so that it needs no running watchdog and
//! outlives any.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::plan::{Reason, Refusal};

/// As much as is read of why.
const WHY: u64 = 400;

/// Where the file is.
pub fn path_in(state_dir: &Path) -> PathBuf {
    state_dir.join("hold")
}

/// The refusal of any collection, if an operator holds them.
pub fn standing(state_dir: &Path) -> Option<Refusal> {
    let path = path_in(state_dir);
    // Whatever is there, readable or not: an operator put it there.
    if matches!(path.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound) {
        return None;
    }
    let mut why = Vec::new();
    // Not read, the reason is not told; what holds is that the file is there.
    let _ = File::open(&path).and_then(|file| file.take(WHY).read_to_end(&mut why));
    let why = String::from_utf8_lossy(&why);
    let why = match why.trim() {
        "" => String::new(),
        why => format!(" ({why:?})"),
    };
    Some(Refusal {
        reason: Reason::Held,
        detail: format!(
            "an operator holds collections{why}: {path:?}; `snowguard release` ends that"
        ),
    })
}

/// Holds collections.
///
/// # Errors
/// The operating system refuses; then they are not held.
pub fn hold(state_dir: &Path, why: &str) -> io::Result<()> {
    fs::create_dir_all(state_dir)?;
    let mut file = File::create(path_in(state_dir))?;
    // On a full disk the empty file holds as well as one that says why.
    let _ = file
        .write_all(why.as_bytes())
        .and_then(|()| file.sync_all());
    Ok(())
}

/// Ends the hold. Whether there was one.
///
/// # Errors
/// The operating system refuses; then they are held as before.
pub fn release(state_dir: &Path) -> io::Result<bool> {
    match fs::remove_file(path_in(state_dir)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_stands_with_its_reason_until_it_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        assert_eq!(standing(&state), None);
        hold(&state, "a migration \u{1b}[2J").unwrap();
        let refusal = standing(&state).unwrap();
        assert_eq!(refusal.reason, Reason::Held);
        assert!(refusal.detail.contains("a migration"), "{}", refusal.detail);
        assert!(!refusal.detail.contains('\u{1b}'));
        assert!(release(&state).unwrap());
        assert!(!release(&state).unwrap());
        assert_eq!(standing(&state), None);
    }

    #[test]
    fn whatever_lies_in_its_place_holds() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/nowhere", dir.path().join("hold")).unwrap();
        assert!(standing(dir.path()).is_some());
    }
}
