//! What must outlive a restart, so that `for` need not begin anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::state::{Active, Phase};
use super::{Engine, Found, Tracked};
use crate::labels::Labels;
use crate::{RuleId, rule::Rule};

/// How long nothing may have been evaluated for alerts to be taken up again: Prometheus's
/// `--rules.alert.for-outage-tolerance`.
const OUTAGE_TOLERANCE_MS: i64 = 60 * 60 * 1000;

/// The alerts of an [`Engine`], to be kept on disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertMemory {
    /// The last evaluation, in milliseconds since the Unix epoch.
    pub evaluated_at_ms: Option<i64>,
    /// Every alert that was pending or firing.
    pub alerts: Vec<RememberedAlert>,
}

/// One alert of an [`AlertMemory`]. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RememberedAlert {
    /// The rule that raised it.
    pub rule: RuleId,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, filled in.
    pub annotations: BTreeMap<String, String>,
    /// The value of the expression, as the bits of an IEEE 754 double: JSON has no NaN and no Inf.
    pub value_bits: u64,
    /// Since when the condition held.
    pub active_at_ms: i64,
    /// The last evaluation at which it held.
    pub last_true_ms: i64,
    /// Since when the alert fires, if it does.
    pub fired_at_ms: Option<i64>,
}

impl Engine {
    /// The state of all alerts, for [`Engine::restore`] after a restart.
    pub fn memory(&self) -> AlertMemory {
        AlertMemory {
            evaluated_at_ms: self.evaluated_at_ms,
            alerts: self.tracked().flat_map(remembered).collect(),
        }
    }

    /// Takes up the alerts of before a restart at `at_ms` (milliseconds since the Unix epoch), and
    /// says how many. Call it before the first evaluation.
    ///
    /// As in Prometheus (rules/group.go `RestoreForState`, 3.5), the time for which nothing was
    /// evaluated does not count towards a rule's `for`, and after more than an hour of it nothing
    /// is taken up. Alerts of rules that are no longer there are left out.
    pub fn restore(&mut self, memory: AlertMemory, at_ms: i64) -> usize {
        let outage_ms = match memory.evaluated_at_ms {
            Some(evaluated_at_ms) => at_ms.saturating_sub(evaluated_at_ms),
            None => return 0,
        };
        if !(0..=OUTAGE_TOLERANCE_MS).contains(&outage_ms) {
            return 0;
        }
        self.evaluated_at_ms = memory.evaluated_at_ms;
        let mut restored = 0;
        for alert in memory.alerts {
            let labels = alert.labels.iter().collect::<Labels>();
            let mut rules = self.groups.iter_mut().flat_map(|group| &mut group.rules);
            let of = rules.find(|tracked| raised(&tracked.rule, &alert.rule, &labels));
            if let Some(tracked) = of {
                tracked.active.insert(labels, taken_up(alert, outage_ms));
                tracked.take_up_series();
                restored += 1;
            }
        }
        restored
    }
}

fn remembered(tracked: &Tracked) -> impl Iterator<Item = RememberedAlert> {
    let id = &tracked.rule.id;
    tracked
        .active
        .iter()
        .map(|(labels, active)| RememberedAlert {
            rule: id.clone(),
            labels: labels
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            annotations: active.found.annotations.clone(),
            value_bits: active.found.value.to_bits(),
            active_at_ms: active.active_at_ms,
            last_true_ms: active.last_true_ms,
            fired_at_ms: match active.phase {
                Phase::Pending => None,
                Phase::Firing { fired_at_ms, .. } => Some(fired_at_ms),
            },
        })
}

/// Whether a rule raised an alert: two severities of one condition are told apart by the labels
/// that the rule fixes.
fn raised(rule: &Rule, id: &RuleId, labels: &Labels) -> bool {
    let fixed = |(name, template): (&String, &crate::template::Template)| {
        template
            .plain()
            .is_none_or(|value| labels.get(name) == value)
    };
    let same = |rule: &RuleId| {
        (&rule.group, &rule.name) == (&id.group, &id.name)
            && without_hash(&rule.file) == without_hash(&id.file)
    };
    same(&rule.id) && rule.labels.iter().all(fixed)
}

/// A file of rules in the Nix store has another path with each change of it, or of anything else in
/// the tree that it is part of, and is the same for all that.
fn without_hash(file: &str) -> &str {
    let entry = file.strip_prefix("/nix/store/");
    let named = entry.and_then(|entry| entry.split_once('-'));
    named.map_or(file, |(_, name)| name)
}

fn taken_up(alert: RememberedAlert, outage_ms: i64) -> Active {
    let (phase, shift_ms) = match alert.fired_at_ms {
        None => (Phase::Pending, outage_ms),
        Some(fired_at_ms) => {
            let lost_at_ms = None;
            (
                Phase::Firing {
                    fired_at_ms,
                    lost_at_ms,
                },
                0,
            )
        }
    };
    Active {
        active_at_ms: alert.active_at_ms.saturating_add(shift_ms),
        last_true_ms: alert.last_true_ms,
        phase,
        found: Found {
            value: f64::from_bits(alert.value_bits),
            annotations: alert.annotations,
        },
    }
}
