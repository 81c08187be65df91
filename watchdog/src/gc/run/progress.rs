//! How far a collection is, for those who watch it.

use super::{Run, Space};

/// How far a collection is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Entries of the store directory that Nix has deleted.
    pub deleted_paths: u64,
    /// What `statvfs` shows, the ballast not counted.
    pub freed: Space,
    /// What is still missing to the target.
    pub remaining: Space,
}

impl Run<'_> {
    /// Tells how far it is, with so much still missing.
    pub(super) fn tell_progress(&mut self, remaining: Space) {
        let now = self.host.file_system().ok().map(|now| Space::free(&now));
        if let (Some(before), Some(now)) = (self.before, now) {
            self.progress.freed = now.minus(before);
        }
        self.progress.remaining = remaining;
        self.host.report(self.progress);
    }
}
