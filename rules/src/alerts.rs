//! Alerts and the engine that keeps their state from one evaluation to the next.

use std::collections::{BTreeMap, BTreeSet};

use crate::labels::{ALERT_NAME, Labels, METRIC_NAME};
use crate::rule::{Alerting, Group, Kind, Rule, Terms};
use crate::template::Context;
use crate::window::Window;
use crate::{Remedy, RuleError, RuleId, RuleSet, eval};

mod memory;
mod series;
mod state;

pub use memory::{AlertMemory, RememberedAlert};
use state::Active;
pub use state::AlertState;

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
    groups: Vec<TrackedGroup>,
    /// Whether alerts are written into the window as the series `ALERTS` and `ALERTS_FOR_STATE`:
    /// only if something reads them.
    writes_alerts: bool,
    /// Whether this is a unit test of rules, as `promtool test rules` runs them: each group is due
    /// at each evaluation, and the samples given are all that there are.
    unit_test: bool,
    external: External,
    transitions: Vec<Transition>,
    evaluated_at_ms: Option<i64>,
    blind: Option<String>,
}

/// What templates are told of the server: nothing but in unit tests of rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct External {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) url: String,
}

/// A group and what is kept of it from one evaluation to the next.
#[derive(Debug)]
struct TrackedGroup {
    terms: Terms,
    rules: Vec<Tracked>,
    evaluated_at_ms: Option<i64>,
}

/// A rule and what is kept of it from one evaluation to the next.
#[derive(Debug)]
struct Tracked {
    rule: Rule,
    /// The alerts of an alerting rule, by their labels.
    active: BTreeMap<Labels, Active>,
    /// The series that the rule gave the last time: those that are marked stale once it does not.
    recorded: BTreeSet<Labels>,
    /// Whether it had an answer the last time it was evaluated.
    outcome: Result<(), RuleError>,
}

/// What is the same for all rules of one evaluation of one group.
#[derive(Debug, Clone, Copy)]
struct Occasion<'a> {
    terms: Terms,
    context: Context<'a>,
    /// The time of the tick, in milliseconds since the Unix epoch.
    at_ms: i64,
    writes_alerts: bool,
    unit_test: bool,
}

impl Occasion<'_> {
    /// The time that the rules see.
    fn query_ms(self) -> i64 {
        self.at_ms.saturating_sub(self.terms.query_offset_ms)
    }

    fn within_limit(self, given: usize) -> Result<(), RuleError> {
        match self.terms.limit {
            Some(limit) if given > limit => Err(RuleError::Limit { given, limit }),
            _ => Ok(()),
        }
    }
}

impl Engine {
    /// An engine that knows of no alert yet.
    pub fn new(rules: RuleSet) -> Self {
        let tracked = |rule| Tracked {
            rule,
            active: BTreeMap::new(),
            recorded: BTreeSet::new(),
            outcome: Ok(()),
        };
        let group = |Group { terms, rules, .. }| TrackedGroup {
            terms,
            rules: rules.into_iter().map(tracked).collect(),
            evaluated_at_ms: None,
        };
        let synthetic = series::names();
        let writes_alerts = rules
            .rules()
            .any(|rule| rule.expr.reads_one_of(&synthetic).is_some());
        Self {
            groups: rules.into_groups().into_iter().map(group).collect(),
            writes_alerts,
            unit_test: false,
            external: External::default(),
            transitions: Vec::new(),
            evaluated_at_ms: None,
            blind: None,
        }
    }

    /// An engine for a unit test of rules, in which each group is due at each evaluation, nothing
    /// is ever too short, and alerts can always be read as series.
    pub(crate) fn for_unit_test(rules: RuleSet, external: External) -> Self {
        Self {
            writes_alerts: true,
            unit_test: true,
            external,
            ..Self::new(rules)
        }
    }

    /// Takes every alert along with a clock that was put forward by so many milliseconds, of which only
    /// the caller can know: an alert is as old as it was, and time that did not pass fires none.
    pub fn later_by(&mut self, forward_ms: i64) {
        let alerts = self.groups.iter_mut().flat_map(|group| &mut group.rules);
        alerts.for_each(|tracked| tracked.earlier_by(forward_ms.saturating_neg()));
    }

    /// Evaluates at `at_ms` (milliseconds since the Unix epoch) every rule of the groups that are
    /// due, in order; what a recording rule gives, later rules see.
    ///
    /// A time before that of the last evaluation means that the clock was set back: every alert goes
    /// with it.
    ///
    /// A rule that looks further back than the window covers gives
    /// [`RuleError::WindowTooShort`], and like any other error that changes none of its alerts. A
    /// group with an `interval` that has not passed stays as it was, errors too.
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
        if !self.unit_test
            && let Some(last_ms) = self.evaluated_at_ms
            && last_ms > at_ms
        {
            let alerts = self.groups.iter_mut().flat_map(|group| &mut group.rules);
            alerts.for_each(|tracked| tracked.earlier_by(last_ms.saturating_sub(at_ms)));
        }
        self.evaluated_at_ms = Some(at_ms);
        let mut unseen = Unseen {
            metrics: unseen.clone(),
            alerts: BTreeSet::new(),
        };
        let mut outcomes = Vec::new();
        for group in &mut self.groups {
            let due = self.unit_test || group.terms.due(group.evaluated_at_ms, at_ms);
            if due {
                group.evaluated_at_ms = Some(at_ms);
            }
            let occasion = Occasion {
                terms: group.terms,
                context: Context {
                    external_labels: &self.external.labels,
                    external_url: &self.external.url,
                },
                at_ms,
                writes_alerts: self.writes_alerts,
                unit_test: self.unit_test,
            };
            for tracked in &mut group.rules {
                if due {
                    tracked.outcome = match unseen.read_by(&tracked.rule) {
                        None => tracked.evaluate(window, occasion, &mut self.transitions),
                        Some(metric) => Err(RuleError::Unseen { metric }),
                    };
                }
                if tracked.outcome.is_err() {
                    unseen.add(&tracked.rule);
                }
                outcomes.push(Outcome {
                    rule: tracked.rule.id.clone(),
                    result: tracked.outcome.clone().map(|()| tracked.alerts().collect()),
                });
            }
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
        self.tracked().flat_map(Tracked::alerts).collect()
    }

    /// What happened to alerts at the last evaluation, in the order of the rules.
    pub fn transitions(&self) -> &[Transition] {
        &self.transitions
    }

    fn tracked(&self) -> impl Iterator<Item = &Tracked> {
        self.groups.iter().flat_map(|group| &group.rules)
    }
}

/// What rules cannot say anything about at one evaluation.
struct Unseen {
    metrics: BTreeSet<String>,
    /// The names of the alerts whose rules had no answer.
    alerts: BTreeSet<String>,
}

impl Unseen {
    /// The first metric that the rule reads and that is not seen.
    fn read_by(&self, rule: &Rule) -> Option<String> {
        let metric = rule.expr.reads_one_of(&self.metrics);
        metric
            .or_else(|| rule.expr.reads_alerts_of(&self.alerts))
            .map(str::to_owned)
    }

    /// What a rule without an answer would have given is not seen either.
    fn add(&mut self, rule: &Rule) {
        match rule.kind {
            Kind::Recording => self.metrics.insert(rule.id.name.clone()),
            Kind::Alerting(_) => self.alerts.insert(rule.id.name.clone()),
        };
    }
}

impl Tracked {
    fn alerts(&self) -> impl Iterator<Item = Alert> {
        let all = self.active.iter();
        all.map(|(labels, active)| active.alert(&self.rule, labels))
    }

    /// Takes the alerts along with a clock that was set back: they are as old as they were, and none
    /// began in the future.
    fn earlier_by(&mut self, back_ms: i64) {
        self.active
            .values_mut()
            .for_each(|active| active.earlier_by(back_ms));
    }

    fn evaluate(
        &mut self,
        window: &mut Window,
        occasion: Occasion<'_>,
        transitions: &mut Vec<Transition>,
    ) -> Result<(), RuleError> {
        let query_ms = occasion.query_ms();
        let needed_ms = self.rule.reach().needed_ms;
        let needed_ms = needed_ms.saturating_add(occasion.terms.query_offset_ms);
        let since_ms = occasion.at_ms.saturating_sub(needed_ms);
        if needed_ms > 0 && !occasion.unit_test && !window.covers(since_ms) {
            let since_ms = window.since_ms().unwrap_or(occasion.at_ms);
            return Err(RuleError::WindowTooShort {
                needed_ms,
                collected_ms: occasion.at_ms.saturating_sub(since_ms),
            });
        }
        let vector = eval::evaluate(&self.rule.expr, window, query_ms)
            .map_err(|error| RuleError::Evaluation(error.to_string()))?;
        match &self.rule.kind {
            Kind::Recording => {
                let recorded = recorded(&self.rule, &vector, occasion.context)?;
                occasion.within_limit(recorded.len())?;
                let (given, result) = window.append_recorded(query_ms, &self.recorded, &recorded);
                self.recorded = given;
                result?;
            }
            Kind::Alerting(alerting) => {
                let found = found(&self.rule, alerting, &vector, occasion.context)?;
                let before = match occasion.terms.limit {
                    Some(_) => self.active.clone(),
                    None => BTreeMap::new(),
                };
                let mut changes = state::step(&mut self.active, found, alerting, occasion.at_ms);
                let outcome = occasion.within_limit(self.active.len());
                if outcome.is_err() {
                    self.active.clear();
                    changes = state::ended(before);
                }
                for change in changes {
                    transitions.push(Transition {
                        step: change.step,
                        alert: change.active.alert(&self.rule, &change.labels),
                    });
                }
                outcome?;
                if occasion.writes_alerts {
                    let written = self.write_alerts(window, query_ms);
                    // That two rules raise one alert since different times is an error to
                    // promtool. A server notes it too, and sends the alerts all the same.
                    if occasion.unit_test {
                        written?;
                    }
                }
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
    context: Context<'_>,
) -> Result<BTreeMap<Labels, Found>, RuleError> {
    let mut found = BTreeMap::new();
    for element in vector {
        let mut labels = own_labels(rule, element, context);
        labels.set(ALERT_NAME, &rule.id.name);
        let annotations = alerting.annotations.iter().map(|(name, template)| {
            let text = template.render(&element.labels, element.value, context);
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

fn recorded(
    rule: &Rule,
    vector: &[eval::Element],
    context: Context<'_>,
) -> Result<BTreeMap<Labels, f64>, RuleError> {
    let mut recorded = BTreeMap::new();
    for element in vector {
        let mut labels = own_labels(rule, element, context);
        labels.set(METRIC_NAME, &rule.id.name);
        let shown = labels.to_string();
        if recorded.insert(labels, element.value).is_some() {
            return Err(RuleError::SameLabels { labels: shown });
        }
    }
    Ok(recorded)
}

/// The labels of a result, nameless, with those of the rule over them.
fn own_labels(rule: &Rule, element: &eval::Element, context: Context<'_>) -> Labels {
    let mut labels = element.labels.without_name();
    for (name, template) in &rule.labels {
        labels.set(
            name,
            template.render(&element.labels, element.value, context),
        );
    }
    labels
}

#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod tests;
