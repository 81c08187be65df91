//! What failed before a deploy, and so is not the deploy's fault.

use std::collections::BTreeSet;

use super::Machine;
use crate::{
    probe::ProbeResult,
    rollback::{
        policy::Policy,
        soak,
        state::{State, Trial},
    },
};

impl Machine {
    /// Keeps since when each probe fails. A watchdog that was started anew has yet to see as many
    /// failures as count; until the probe passes it is the same failure.
    pub(super) fn note_probes(&mut self, probes: &[ProbeResult], policy: &Policy, now: i64) {
        let before = std::mem::take(&mut self.failing);
        self.failing = probes
            .iter()
            .filter(|probe| !probe.ok || (!probe.passed && before.contains_key(&probe.name)))
            .map(|probe| {
                let since = before.get(&probe.name).copied().unwrap_or(now);
                (probe.name.clone(), since)
            })
            .collect();
        self.failing_long = Some(self.failing_since_before(now, policy));
        // What failed before and passes now is from now on the deploy's to keep.
        let failing = |name: &String| probes.iter().any(|p| p.name == *name && !p.passed);
        let Some(before) = self.state.before_mut() else {
            return;
        };
        let excused = before.failing.len();
        before.failing.retain(failing);
        if before.failing.len() < excused
            && let State::Trial(Trial { soak, .. }) = &mut self.state
        {
            *soak = None;
        }
    }

    /// What failed before an activation that began when the link was made, or, if none tells,
    /// before it can have begun to stop units at the last look that saw the system before it.
    pub(super) fn failing_before(
        &self,
        linked: Option<i64>,
        policy: &Policy,
        now: i64,
    ) -> BTreeSet<String> {
        match (linked, &self.failing_long) {
            (Some(linked), _) => self.failing_since(linked),
            (None, Some(long)) => long.clone(),
            (None, None) => self.failing_since_before(now, policy),
        }
    }

    fn failing_since_before(&self, now: i64, policy: &Policy) -> BTreeSet<String> {
        self.failing_since(now.saturating_sub(soak::millis(policy.stopping)))
    }

    fn failing_since(&self, moment: i64) -> BTreeSet<String> {
        let earlier = self.failing.iter().filter(|(_, at)| **at < moment);
        earlier.map(|(probe, _)| probe.clone()).collect()
    }
}
