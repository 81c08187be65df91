//! Others who collect garbage of the same store. Two at once bring no more than one after the
//! other, and Nix lets the second wait for the first anyway, without end and without a word.

use std::time::Duration;

use serde_json::json;

use super::{Reason, Refusal, Run};
use crate::record::Step;

const LOOK: Duration = Duration::from_secs(1);

impl Run<'_> {
    /// Waits until nobody else collects, as long as the policy allows.
    pub(super) fn wait_for_others(&mut self) -> Result<(), Refusal> {
        let begun = self.host.elapsed();
        let mut told = false;
        loop {
            let other = match self.host.other_collector() {
                Ok(None) => return Ok(()),
                Ok(Some(other)) => other,
                Err(error) => return Err(Refusal::blind(&error)),
            };
            let refuse = |why: &str| {
                Err(Refusal {
                    reason: Reason::Collecting,
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
}
