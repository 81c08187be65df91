//! Who holds `gc.lock`: a collection that deletes, or a listing of what is dead or alive, which
//! takes the same lock (`libstore/gc.cc`, all versions up to 2.35).

use crate::{Layout, Locks, Result};

/// The process that holds the lock of the garbage collector exclusively, if one does. Before Nix
/// 2.5 everything that adds to the store waits for it; since then it goes on.
///
/// # Errors
/// If the lock file may not be looked at.
pub fn gc_lock_holder(layout: &Layout, locks: &Locks) -> Result<Option<u32>> {
    locks.holder(&layout.state().join("gc.lock"))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn a_collection_is_seen_while_it_holds_the_lock_and_a_build_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let holder = || gc_lock_holder(&layout, &Locks::read(&layout).unwrap()).unwrap();
        fs::create_dir_all(layout.state()).unwrap();
        assert_eq!(holder(), None, "no collection since the store was made");
        let file = File::create(layout.state().join("gc.lock")).unwrap();
        file.lock_shared().unwrap();
        assert_eq!(holder(), None, "a build holds it shared for a moment");
        file.unlock().unwrap();
        file.lock().unwrap();
        assert_eq!(holder(), Some(std::process::id()));
    }
}
