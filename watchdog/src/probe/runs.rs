//! What the last runs of a probe say of it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{config::ProbeConfig, run::SLACK};

/// The last runs of a probe that count.
#[derive(Debug)]
pub(crate) struct Runs {
    failures: usize,
    of: usize,
    grace: Duration,
    /// When each was and whether it failed, the newest last.
    kept: VecDeque<(Instant, bool)>,
}

impl Runs {
    pub(crate) fn of(config: &ProbeConfig) -> Self {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            failures: count(config.failures),
            of: count(config.of),
            grace: config.grace,
            kept: VecDeque::new(),
        }
    }

    /// One more run.
    pub(crate) fn note(&mut self, at: Instant, failed: bool) {
        self.kept.push_back((at, failed));
        while self.kept.len() > self.of {
            self.kept.pop_front();
        }
    }

    /// Forgets what says nothing of the deploy that was activated then: what was seen before, and
    /// failures within the grace. When those were seen, it may not have been known that there is a
    /// deploy: the running system changes last.
    pub(crate) fn since(&mut self, activated: Option<Instant>) {
        let Some(activated) = activated else { return };
        let grace = self.grace;
        self.kept.retain(|(at, failed)| {
            let after = at.saturating_duration_since(activated);
            let in_grace = *failed && after < grace;
            *at + SLACK >= activated && !in_grace
        });
    }

    /// False if so many of them failed that the probe counts as failed.
    pub(crate) fn are_well(&self) -> bool {
        let failures = self.kept.iter().filter(|(_, failed)| *failed).count();
        failures < self.failures
    }
}
