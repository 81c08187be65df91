//! What a collection sees and does.

use std::{ffi::OsString, time::Duration};

use snowguard_host::{FactError, LeftOver, store::FileSystem};

use super::Progress;
use crate::{
    act::delete_paths::Deleted,
    gc::{
        facts::{Facts, Scales},
        ladder::{StaleRoot, Victim},
        old_menu::OldMenu,
    },
    keep::KeepError,
};

/// What a collection sees and does. The host is one; tests have others.
pub trait Host {
    /// Reads everything that a plan is made from.
    ///
    /// # Errors
    /// What could not be read.
    fn facts(&mut self) -> Result<Facts, FactError>;
    /// Measures entries of the store directory.
    fn scales(&self) -> &dyn Scales;
    /// Asks for the file system alone.
    ///
    /// # Errors
    /// Why it did not answer.
    fn file_system(&mut self) -> Result<FileSystem, FactError>;
    /// Asks for the file system that Nix keeps its database on. It may be another one.
    ///
    /// # Errors
    /// Why it did not answer.
    fn state_file_system(&mut self) -> Result<FileSystem, FactError>;
    /// Deletes entries of the store directory through Nix.
    ///
    /// # Errors
    /// What Nix said; some may be gone all the same.
    fn delete(&mut self, entries: &[OsString]) -> Result<Deleted, FactError>;
    /// Bytes that the names of the entries of one call may take: they may have to fit into one
    /// command line.
    fn room_for_names(&self) -> usize;
    /// Lets the file system show what was freed, where it does so with a delay (btrfs frees with
    /// its next commit).
    fn settle(&mut self);
    /// Removes what a build left, if it still is what was found.
    ///
    /// # Errors
    /// Why it is there still, or a part of it.
    fn remove_left_over(&mut self, left: &LeftOver) -> Result<(), FactError>;
    /// Gives up an automatic root.
    ///
    /// # Errors
    /// Why it is there still.
    fn remove_root(&mut self, root: &StaleRoot) -> Result<(), FactError>;
    /// Gives up a generation.
    ///
    /// # Errors
    /// Why it is still there.
    fn remove_generation(&mut self, victim: &Victim) -> Result<(), FactError>;
    /// Writes the boot loader's menu anew, from the generations that are left. What was done, in
    /// a sentence; `None` where there is no menu to write.
    ///
    /// # Errors
    /// Why the menu is as it was.
    fn rewrite_boot_menu(&mut self, incident: &str) -> Result<Option<String>, FactError>;
    /// What the menu may name since a collection that could not write it, or was killed before.
    ///
    /// # Errors
    /// What is there cannot be read.
    fn old_menu(&mut self) -> Result<OldMenu, KeepError>;
    /// Keeps on disk what the menu may name.
    ///
    /// # Errors
    /// It is kept nowhere.
    fn keep_old_menu(&mut self, menu: &OldMenu) -> Result<(), KeepError>;
    /// Drops a slice of the ballast; false if there is none left.
    ///
    /// # Errors
    /// Why it could not be dropped.
    fn drop_ballast(&mut self) -> Result<bool, FactError>;
    /// Drops the reserve of Nix itself; false if there is none.
    ///
    /// # Errors
    /// Why it could not be dropped.
    fn drop_reserve(&mut self) -> Result<bool, FactError>;
    /// Who else collects garbage of this store now, as a sentence begins.
    ///
    /// # Errors
    /// What could not be read.
    fn other_collector(&mut self) -> Result<Option<String>, FactError>;
    /// Who holds the database of Nix for writing now, as a sentence begins.
    ///
    /// # Errors
    /// What could not be read.
    fn database_writer(&mut self) -> Result<Option<String>, FactError>;
    /// Lets time pass, or less of it if the end is asked for.
    fn pause(&mut self, span: Duration);
    /// Whether the end is asked for.
    fn is_asked_to_stop(&self) -> bool;
    /// Takes note of how far the collection is.
    fn report(&mut self, progress: Progress);
    /// Time since the collection began.
    fn elapsed(&self) -> Duration;
    /// The time of day, milliseconds since the epoch.
    fn now_ms(&self) -> i64;
}
