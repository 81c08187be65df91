//! The verb that drops the reserve of Nix itself, `db/reserved`, for Nix to have room to open its
//! database. Nix makes it whenever it opens a store, and drops it when it collects (`gc.cc`), but
//! only after it has opened the database, which is what fails on a full disk without a write-ahead
//! log. It is left to Nix to make it anew.
//!
//! The state directory may be a user's, so that no link is followed in it.

use std::io;

use nix::{
    fcntl::{OFlag, open, openat},
    sys::stat::Mode,
};
use snowguard_host::{FactError, Layout};

use super::ballast::drop_file;

const ATTEMPT: &str = "drop the reserve of Nix";

/// Drops the reserve of the store of one host.
#[derive(Debug)]
pub struct DropReserve {
    /// The host.
    pub layout: Layout,
}

impl DropReserve {
    /// Drops it; false if there is none.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn run(&self) -> Result<bool, FactError> {
        let state = self.layout.state();
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let dropped = open(&state, flags, Mode::empty())
            .and_then(|state| openat(&state, "db", flags, Mode::empty()))
            .map_err(io::Error::from)
            .and_then(|db| drop_file(&db, "reserved"));
        dropped.map_err(|source| {
            let path = state.join("db/reserved");
            FactError::io(ATTEMPT, path, &source, "run as root")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn the_reserve_goes_and_nothing_that_a_link_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let verb = DropReserve {
            layout: layout.clone(),
        };
        let db = layout.state().join("db");
        fs::create_dir_all(&db).unwrap();
        assert!(!verb.run().unwrap());
        fs::write(db.join("reserved"), "x").unwrap();
        assert!(verb.run().unwrap());
        assert!(!db.join("reserved").exists());

        let other = dir.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("reserved"), "mine").unwrap();
        fs::remove_dir(&db).unwrap();
        symlink(&other, &db).unwrap();
        verb.run().unwrap_err();
        assert!(other.join("reserved").exists());
    }
}
