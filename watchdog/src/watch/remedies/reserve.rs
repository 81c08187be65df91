//! The ballast between two collections.

use snowguard_host::{FactError, store::FileSystem};
use tracing::{info, warn};

use super::Remedies;
use crate::{gc::alone::Alone, record::Mode, watch::RUN_DIR};

impl Remedies {
    /// Puts the ballast back in place, once the disk has recovered: the target is reached, and
    /// what the ballast takes does not trip the next alert. One that is configured away is
    /// dropped.
    pub(super) fn keep_ballast(&mut self) {
        if self.settings.gc.mode != Mode::Act {
            return;
        }
        if self.ballast.size() == 0 {
            let outcome = self.ballast.drop_all();
            self.tell_of_ballast(outcome, "the ballast stays");
            return;
        }
        if self.ballast.is_whole() {
            return;
        }
        let Ok(file_system) = FileSystem::read(&self.layout) else {
            return;
        };
        if !(self.settings.gc).has_recovered(&file_system, self.ballast.size()) {
            return;
        }
        // It lies beside the database, which may be on a disk of its own. One that it would all but
        // fill would be filled and emptied again in each tick.
        let room = FileSystem::of_state(&self.layout).map_or(0, |state| state.avail_bytes);
        if room < self.ballast.size().saturating_mul(2) {
            return;
        }
        // A collection by hand may be about to drop it.
        let Ok(_alone) = Alone::take(&self.layout.inside(RUN_DIR)) else {
            return;
        };
        let outcome = self.ballast.make();
        if outcome.is_ok() {
            info!(bytes = self.ballast.size(), "the ballast is in place");
        }
        self.tell_of_ballast(outcome, "there is no ballast, or not all of it");
    }

    /// Logs what is wrong, once for as long as it stays the same: it is tried in each tick.
    fn tell_of_ballast(&mut self, outcome: Result<(), FactError>, what: &str) {
        let error = outcome.err().map(|error| error.to_string());
        if let Some(error) = &error
            && self.ballast_error.as_ref() != Some(error)
        {
            warn!(%error, "{what}");
        }
        self.ballast_error = error;
    }
}
