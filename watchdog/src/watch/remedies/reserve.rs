//! The ballast between two collections.

use snowguard_host::{FactError, store::FileSystem};
use tracing::{info, warn};

use super::Remedies;
use crate::{gc::alone::Alone, record::Mode, watch::RUN_DIR};

/// After so long without an alert what took the ballast is no incident any more.
const QUIET_MS: i64 = 24 * 3_600_000;

impl Remedies {
    /// Puts the ballast in place where what it takes does not trip the next alert; after an incident
    /// that took it only once the disk has recovered to the target, or has been quiet for a day: a
    /// host may stay between trigger and target for weeks, and meet the next full disk there. One
    /// that is configured away is dropped.
    pub(super) fn keep_ballast(&mut self, now_ms: i64) {
        if self.settings.gc.mode != Mode::Act {
            return;
        }
        if self.ballast.size() == 0 {
            let outcome = self.ballast.drop_all();
            self.tell_of_ballast(outcome, "the ballast stays");
            return;
        }
        if self.ballast.is_whole() {
            self.ballast_wanted_ms = None;
            return;
        }
        let wanted_ms = *self.ballast_wanted_ms.get_or_insert(now_ms);
        // A clock that was set back counts as no time.
        let is_quiet = now_ms.saturating_sub(wanted_ms) >= QUIET_MS;
        let Ok(file_system) = FileSystem::read(&self.layout) else {
            return;
        };
        let (policy, takes) = (&self.settings.gc, self.ballast.takes());
        let may_be_made = if self.ballast.is_new() || is_quiet {
            policy.has_room_for(&file_system, takes)
        } else {
            policy.has_recovered(&file_system, takes)
        };
        // It lies beside the database, which may be on a disk of its own. One that it would all but
        // fill would be filled and emptied again in each tick.
        let room = FileSystem::of_state(&self.layout).map_or(0, |state| state.avail_bytes);
        if !may_be_made || room < self.ballast.size().saturating_mul(2) {
            return self.tell_of_no_ballast();
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

    fn tell_of_no_ballast(&mut self) {
        let cause = "too little is free for it";
        if self.ballast_error.as_deref() != Some(cause) {
            warn!(
                bytes = self.ballast.size(),
                "there is no ballast, or not all of it: {cause} above `gc.trigger`, or since an \
                 incident took it below `gc.target`; a disk that fills up now may leave Nix no \
                 room to collect"
            );
        }
        self.ballast_error = Some(cause.to_owned());
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
