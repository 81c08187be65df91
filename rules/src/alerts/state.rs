//! The states of an alert (rules/alerting.go `Eval`, Prometheus 3.5).

use std::collections::BTreeMap;

use super::{Alert, Found, Step};
use crate::labels::Labels;
use crate::rule::{Alerting, Kind, Rule};

/// Whether an alert has fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertState {
    /// The condition holds, but not yet for as long as the rule's `for`.
    Pending,
    /// The alert pages, and heals if its rule asks for a remedy.
    Firing {
        /// Since when, in milliseconds since the Unix epoch.
        fired_at_ms: i64,
    },
}

/// An alert as the engine keeps it, beside its labels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Active {
    pub(super) active_at_ms: i64,
    pub(super) last_true_ms: i64,
    pub(super) phase: Phase,
    pub(super) found: Found,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Pending,
    Firing {
        fired_at_ms: i64,
        /// The first evaluation at which the condition held no longer, while `keep_firing_for`
        /// keeps the alert.
        lost_at_ms: Option<i64>,
    },
}

/// A step of one alert.
pub(super) struct Change {
    pub(super) step: Step,
    pub(super) labels: Labels,
    pub(super) active: Active,
}

impl Active {
    pub(super) fn alert(&self, rule: &Rule, labels: &Labels) -> Alert {
        Alert {
            rule: rule.id.clone(),
            state: match self.phase {
                Phase::Pending => AlertState::Pending,
                Phase::Firing { fired_at_ms, .. } => AlertState::Firing { fired_at_ms },
            },
            active_at_ms: self.active_at_ms,
            last_true_ms: self.last_true_ms,
            value: self.found.value,
            labels: labels.clone(),
            annotations: self.found.annotations.clone(),
            remedy: match &rule.kind {
                Kind::Alerting(alerting) => alerting.remedy,
                Kind::Recording => None,
            },
        }
    }

    pub(super) fn earlier_by(&mut self, back_ms: i64) {
        let earlier = |at: &mut i64| *at = at.saturating_sub(back_ms);
        earlier(&mut self.active_at_ms);
        earlier(&mut self.last_true_ms);
        if let Phase::Firing {
            fired_at_ms,
            lost_at_ms,
        } = &mut self.phase
        {
            earlier(fired_at_ms);
            lost_at_ms.iter_mut().for_each(earlier);
        }
    }

    /// Whether `keep_firing_for` keeps an alert whose condition does not hold at `at_ms`.
    fn keeps_firing(&mut self, alerting: &Alerting, at_ms: i64) -> bool {
        match &mut self.phase {
            Phase::Firing { lost_at_ms, .. } if alerting.keep_firing_ms > 0 => {
                let lost_at_ms = *lost_at_ms.get_or_insert(at_ms);
                at_ms.saturating_sub(lost_at_ms) < alerting.keep_firing_ms
            }
            _ => false,
        }
    }
}

/// Takes the alerts of a rule on to `at_ms`, given the results of its expression then.
pub(super) fn step(
    active: &mut BTreeMap<Labels, Active>,
    found: BTreeMap<Labels, Found>,
    alerting: &Alerting,
    at_ms: i64,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut change = |step, labels: &Labels, active: &Active| {
        changes.push(Change {
            step,
            labels: labels.clone(),
            active: active.clone(),
        });
    };
    active.retain(|labels, alert| {
        let keep = found.contains_key(labels) || alert.keeps_firing(alerting, at_ms);
        if !keep {
            let step = match alert.phase {
                Phase::Pending => Step::Cancelled,
                Phase::Firing { .. } => Step::Resolved,
            };
            change(step, labels, alert);
        }
        keep
    });
    for (labels, found) in found {
        let alert = active.entry(labels.clone()).or_insert_with(|| {
            let new = Active {
                active_at_ms: at_ms,
                last_true_ms: at_ms,
                phase: Phase::Pending,
                found: found.clone(),
            };
            change(Step::Began, &labels, &new);
            new
        });
        alert.last_true_ms = at_ms;
        alert.found = found;
        match &mut alert.phase {
            Phase::Firing { lost_at_ms, .. } => *lost_at_ms = None,
            Phase::Pending if at_ms.saturating_sub(alert.active_at_ms) >= alerting.hold_ms => {
                alert.phase = Phase::Firing {
                    fired_at_ms: at_ms,
                    lost_at_ms: None,
                };
                change(Step::Fired, &labels, alert);
            }
            Phase::Pending => {}
        }
    }
    changes
}

/// The end of every one of these alerts.
pub(super) fn ended(active: BTreeMap<Labels, Active>) -> Vec<Change> {
    let ended = |(labels, active): (Labels, Active)| Change {
        step: match active.phase {
            Phase::Pending => Step::Cancelled,
            Phase::Firing { .. } => Step::Resolved,
        },
        labels,
        active,
    };
    active.into_iter().map(ended).collect()
}
