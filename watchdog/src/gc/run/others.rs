//! Others who are in the way: who collects garbage of the same store, and who holds its database.
//! Two collections at once bring no more than one after the other, and Nix lets the second wait
//! for the first anyway, without end and without a word; for the database it waits up to an hour.

use std::time::Duration;

use serde_json::json;
use snowguard_host::FactError;

use super::{Reason, Refusal, Run};
use crate::record::Step;

const LOOK: Duration = Duration::from_secs(1);

impl Run<'_> {
    /// Waits until nobody else collects, as long as the policy allows.
    pub(super) fn wait_for_others(&mut self) -> Result<(), Refusal> {
        let begun = self.host.elapsed();
        let mut told = false;
        let mut seen = None;
        loop {
            let (other, reason) = match self.other() {
                Ok(None) => return Ok(()),
                Ok(Some(other)) => other,
                Err(error) => return Err(Refusal::blind(&error)),
            };
            // A build that registers its outputs holds the database for milliseconds.
            if reason == Reason::DatabaseBusy {
                match seen.replace(other.clone()) {
                    Some(before) if before != other => return Ok(()),
                    Some(_) => {}
                    None => {
                        self.host.pause(LOOK);
                        continue;
                    }
                }
            }
            let refuse = |why: &str| {
                Err(Refusal {
                    reason,
                    detail: format!("{other}: {why}"),
                })
            };
            if self.host.is_asked_to_stop() {
                return refuse("it was not waited for to the end");
            }
            let elapsed = self.host.elapsed();
            if elapsed >= self.policy.deadline || elapsed.saturating_sub(begun) >= self.policy.wait
            {
                let waited = elapsed.saturating_sub(begun).as_secs();
                return refuse(&format!("it was waited for {waited}s"));
            }
            if !told {
                let most = self.policy.wait.as_secs();
                let message = format!("{other}: its end is waited for, {most}s at most");
                self.record(Step::State, "waiting", message, json!(null));
                told = true;
            }
            self.host.pause(LOOK);
        }
    }

    fn other(&mut self) -> Result<Option<(String, Reason)>, FactError> {
        if let Some(other) = self.host.other_collector()? {
            return Ok(Some((other, Reason::Collecting)));
        }
        let writer = self.host.database_writer()?;
        Ok(writer.map(|writer| (writer, Reason::DatabaseBusy)))
    }
}
