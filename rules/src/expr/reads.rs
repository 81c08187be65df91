//! Which metrics an expression reads: what it cannot say anything about while they are not seen.

use std::collections::BTreeSet;

use super::parts::Part;
use super::{Expr, Selector};
use crate::labels::{ALERT_NAME, ALERTS, ALERTS_FOR_STATE};

impl Expr {
    /// The first of `metrics` that the expression reads.
    pub(crate) fn reads_one_of<'a>(&self, metrics: &'a BTreeSet<String>) -> Option<&'a str> {
        let mut found = None;
        self.part().each_selector(&mut |selector| {
            if found.is_none() {
                // Where the name is fixed it is looked up: there may be thousands of rules.
                found = match selector.metric() {
                    Some(name) => metrics.get(name).filter(|name| selector.may_match(name)),
                    None => metrics.iter().find(|metric| selector.may_match(metric)),
                };
            }
        });
        found.map(String::as_str)
    }

    /// The first of the alerts of these names whose series `ALERTS` or `ALERTS_FOR_STATE` the
    /// expression reads.
    pub(crate) fn reads_alerts_of<'a>(&self, alerts: &'a BTreeSet<String>) -> Option<&'a str> {
        let mut found = None;
        self.part().each_selector(&mut |selector| {
            if found.is_none() && selector.may_tell_of_alerts() {
                found = alerts.iter().find(|name| selector.may_match_alert(name));
            }
        });
        found.map(String::as_str)
    }
}

impl Part<'_> {
    fn each_selector(self, visit: &mut dyn FnMut(&Selector)) {
        match self {
            Part::Selector(selector) => visit(selector),
            Part::Scalar(_) | Part::Vector(_) | Part::Range(_) => {
                self.each(&mut |part| part.each_selector(visit));
            }
        }
    }
}

impl Selector {
    /// Whether it can select a series of this metric, whatever its other labels.
    fn may_match(&self, metric: &str) -> bool {
        let mut of_name = self
            .matchers
            .iter()
            .filter(|matcher| matcher.label == "__name__");
        of_name.all(|matcher| matcher.test.holds(metric))
    }

    /// Whether it can select a series that tells of alerts.
    fn may_tell_of_alerts(&self) -> bool {
        self.may_match(ALERTS) || self.may_match(ALERTS_FOR_STATE)
    }

    /// Whether what it selects of those can be of the alerts of this name.
    fn may_match_alert(&self, alert: &str) -> bool {
        let mut of_alert = self
            .matchers
            .iter()
            .filter(|matcher| matcher.label == ALERT_NAME);
        of_alert.all(|matcher| matcher.test.holds(alert))
    }
}
