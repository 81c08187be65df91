//! Alerts and the engine that keeps their state from one evaluation to the next.

use std::collections::{BTreeMap, BTreeSet};

use crate::labels::{ALERT_NAME, Labels, METRIC_NAME};
use crate::rule::{Alerting, Kind, Rule};
use crate::window::Window;
use crate::{Remedy, RuleError, RuleId, RuleSet, eval};

mod memory;
mod state;

pub use memory::{AlertMemory, RememberedAlert};
pub use state::AlertState;
use state::{Active, Change};

/// An alert whose condition holds, or held until not longer ago than `keep_firing_for`.
///
/// All times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// The rule that raised it.
    pub rule: RuleId,
    /// Pending, or firing and since when.
    pub state: AlertState,
    /// Since when the condition holds.
    pub active_at_ms: i64,
    /// The last evaluation at which the condition did hold: older than the last tick while the
    /// rule cannot be evaluated, and while `keep_firing_for` keeps the alert.
    pub last_true_ms: i64,
    /// The value of the expression then.
    pub value: f64,
    /// The labels as Prometheus would send them: of the result and of the rule, and `alertname`.
    pub labels: Labels,
    /// The annotations, filled in.
    pub annotations: BTreeMap<String, String>,
    /// The remedy that the rule asks for.
    pub remedy: Option<Remedy>,
}

/// A step in the life of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The condition holds: inactive to pending.
    Began,
    /// It held for as long as the rule's `for`: pending to firing.
    Fired,
    /// It holds no longer, and the alert had not fired: pending to inactive.
    Cancelled,
    /// It holds no longer: firing to inactive.
    Resolved,
}

/// What became of an alert at the last evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// What happened.
    pub step: Step,
    /// The alert: as it is, or, if it is no longer, as it was.
    pub alert: Alert,
}

/// What one rule gave at one evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The rule.
    pub rule: RuleId,
    /// Its alerts (none for a recording rule), or why it could not be evaluated: its alerts then
    /// are as they were.
    pub result: Result<Vec<Alert>, RuleError>,
}

/// The rules with the state of their alerts.
#[derive(Debug)]
pub struct Engine {
    rules: Vec<Tracked>,
    transitions: Vec<Transition>,
    evaluated_at_ms: Option<i64>,
    blind: Option<String>,
}

/// A rule and what is kept of it from one evaluation to the next.
#[derive(Debug)]
struct Tracked {
    rule: Rule,
    /// The alerts of an alerting rule, by their labels.
    active: BTreeMap<Labels, Active>,
    /// The series that a recording rule gave the last time.
    recorded: BTreeSet<Labels>,
}

impl Engine {
    /// An engine that knows of no alert yet.
    pub fn new(rules: RuleSet) -> Self {
        let tracked = |rule| Tracked {
            rule,
            active: BTreeMap::new(),
            recorded: BTreeSet::new(),
        };
        Self {
            rules: rules.into_rules().into_iter().map(tracked).collect(),
            transitions: Vec::new(),
            evaluated_at_ms: None,
            blind: None,
        }
    }

    /// Evaluates every rule at `at_ms` (milliseconds since the Unix epoch), in order; what a
    /// recording rule gives, later rules see.
    ///
    /// A rule that looks further back than the window covers gives
    /// [`RuleError::WindowTooShort`], and like any other error that changes none of its alerts.
    pub fn evaluate(&mut self, window: &mut Window, at_ms: i64) -> Vec<Outcome> {
        self.evaluate_seeing(window, at_ms, &BTreeSet::new())
    }

    /// The same while some metrics could not be collected: a rule that reads one of them, or a
    /// series recorded from one, gives [`RuleError::Unseen`] and changes none of its alerts.
    pub fn evaluate_seeing(
        &mut self,
        window: &mut Window,
        at_ms: i64,
        unseen: &BTreeSet<String>,
    ) -> Vec<Outcome> {
        self.transitions.clear();
        self.blind = None;
        self.evaluated_at_ms = Some(at_ms);
        let mut unseen = unseen.clone();
        let mut outcomes = Vec::new();
        for tracked in &mut self.rules {
            let result = match tracked.rule.expr.reads_one_of(&unseen).map(str::to_owned) {
                None => tracked.evaluate(window, at_ms, &mut self.transitions),
                Some(metric) => {
                    if let Kind::Recording = tracked.rule.kind {
                        unseen.insert(tracked.rule.id.name.clone());
                    }
                    Err(RuleError::Unseen { metric })
                }
            };
            outcomes.push(Outcome {
                rule: tracked.rule.id.clone(),
                result: result.map(|()| tracked.alerts().collect()),
            });
        }
        outcomes
    }

    /// Notes that nothing could be seen this time: no alert changes, and no transition happened.
    pub fn blind(&mut self, reason: impl Into<String>) {
        self.transitions.clear();
        self.blind = Some(reason.into());
    }

    /// Why nothing could be seen, if [`Engine::blind`] was called after the last evaluation.
    pub fn blind_reason(&self) -> Option<&str> {
        self.blind.as_deref()
    }

    /// Every alert that is pending or firing, in the order of the rules.
    pub fn alerts(&self) -> Vec<Alert> {
        self.rules.iter().flat_map(Tracked::alerts).collect()
    }

    /// What happened to alerts at the last evaluation, in the order of the rules.
    pub fn transitions(&self) -> &[Transition] {
        &self.transitions
    }
}

impl Tracked {
    fn alerts(&self) -> impl Iterator<Item = Alert> {
        let all = self.active.iter();
        all.map(|(labels, active)| active.alert(&self.rule, labels))
    }

    fn evaluate(
        &mut self,
        window: &mut Window,
        at_ms: i64,
        transitions: &mut Vec<Transition>,
    ) -> Result<(), RuleError> {
        let needed_ms = self.rule.reach().needed_ms;
        if needed_ms > 0 && !window.covers(at_ms.saturating_sub(needed_ms)) {
            let since_ms = window.since_ms().unwrap_or(at_ms);
            return Err(RuleError::WindowTooShort {
                needed_ms,
                collected_ms: at_ms.saturating_sub(since_ms),
            });
        }
        let vector = eval::evaluate(&self.rule.expr, window, at_ms)
            .map_err(|error| RuleError::Evaluation(error.to_string()))?;
        match &self.rule.kind {
            Kind::Recording => {
                let recorded = recorded(&self.rule, &vector)?;
                window.append_recorded(at_ms, &self.recorded, &recorded)?;
                self.recorded = recorded.into_keys().collect();
            }
            Kind::Alerting(alerting) => {
                let found = found(&self.rule, alerting, &vector)?;
                let changes = state::step(&mut self.active, found, alerting, at_ms);
                transitions.extend(changes.into_iter().map(
                    |Change {
                         step,
                         labels,
                         active,
                     }| Transition {
                        step,
                        alert: active.alert(&self.rule, &labels),
                    },
                ));
            }
        }
        Ok(())
    }
}

/// What a result says of an alert.
#[derive(Debug, Clone, PartialEq)]
struct Found {
    value: f64,
    annotations: BTreeMap<String, String>,
}

/// The results by the labels of their alerts (rules/alerting.go `Eval`, Prometheus 3.5).
fn found(
    rule: &Rule,
    alerting: &Alerting,
    vector: &[eval::Element],
) -> Result<BTreeMap<Labels, Found>, RuleError> {
    let mut found = BTreeMap::new();
    for element in vector {
        let mut labels = own_labels(rule, element);
        labels.set(ALERT_NAME, &rule.id.name);
        let annotations = alerting.annotations.iter().map(|(name, template)| {
            let text = template.render(&element.labels, element.value);
            (name.clone(), text)
        });
        let result = Found {
            value: element.value,
            annotations: annotations.collect(),
        };
        let shown = labels.to_string();
        if found.insert(labels, result).is_some() {
            return Err(RuleError::SameLabels { labels: shown });
        }
    }
    Ok(found)
}

fn recorded(rule: &Rule, vector: &[eval::Element]) -> Result<BTreeMap<Labels, f64>, RuleError> {
    let mut recorded = BTreeMap::new();
    for element in vector {
        let mut labels = own_labels(rule, element);
        labels.set(METRIC_NAME, &rule.id.name);
        let shown = labels.to_string();
        if recorded.insert(labels, element.value).is_some() {
            return Err(RuleError::SameLabels { labels: shown });
        }
    }
    Ok(recorded)
}

/// The labels of a result, nameless, with those of the rule over them.
fn own_labels(rule: &Rule, element: &eval::Element) -> Labels {
    let mut labels = element.labels.without_name();
    for (name, template) in &rule.labels {
        labels.set(name, template.render(&element.labels, element.value));
    }
    labels
}

#[cfg(test)]
mod tests;
