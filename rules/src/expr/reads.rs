//! Which metrics an expression reads: what it cannot say anything about while they are not seen.

use std::collections::BTreeSet;

use super::{EachFunction, Expr, RangeFunction, ScalarExpr, Selector, VectorExpr};
use crate::labels::{ALERT_NAME, ALERTS, ALERTS_FOR_STATE, Labels};

impl Expr {
    /// The first of `metrics` that the expression reads.
    pub(crate) fn reads_one_of<'a>(&self, metrics: &'a BTreeSet<String>) -> Option<&'a str> {
        let mut found = None;
        self.each_selector(&mut |selector| {
            if found.is_none() {
                found = metrics.iter().find(|metric| selector.may_match(metric));
            }
        });
        found.map(String::as_str)
    }

    /// The first of the alerts of these names whose series `ALERTS` or `ALERTS_FOR_STATE` the
    /// expression reads.
    pub(crate) fn reads_alerts_of<'a>(&self, alerts: &'a BTreeSet<String>) -> Option<&'a str> {
        let mut found = None;
        self.each_selector(&mut |selector| {
            let alerts = || alerts.iter().find(|name| selector.may_match_alert(name));
            found = found.or_else(alerts);
        });
        found.map(String::as_str)
    }

    fn each_selector(&self, visit: &mut dyn FnMut(&Selector)) {
        match self {
            Self::Scalar(scalar) => scalar.each_selector(visit),
            Self::Vector(vector) => vector.each_selector(visit),
        }
    }
}

impl ScalarExpr {
    fn each_selector(&self, visit: &mut dyn FnMut(&Selector)) {
        match self {
            Self::Number(_) | Self::Time => {}
            Self::Negate(of) => of.each_selector(visit),
            Self::Binary(_, left, right) => {
                left.each_selector(visit);
                right.each_selector(visit);
            }
            Self::Only(of) => of.each_selector(visit),
        }
    }
}

impl VectorExpr {
    fn each_selector(&self, visit: &mut dyn FnMut(&Selector)) {
        match self {
            Self::Select(selector) => visit(selector),
            Self::Constant(scalar) => scalar.each_selector(visit),
            Self::Negate(of) | Self::Aggregate(_, _, of) | Self::Absent(_, of) => {
                of.each_selector(visit);
            }
            Self::WithScalar(operation) => {
                operation.vector.each_selector(visit);
                operation.scalar.each_selector(visit);
            }
            Self::Matched(operation) => {
                operation.left.each_selector(visit);
                operation.right.each_selector(visit);
            }
            Self::Set(_, _, left, right) => {
                left.each_selector(visit);
                right.each_selector(visit);
            }
            Self::OverRange(function, range) => {
                visit(&range.selector);
                if let RangeFunction::PredictLinear(ahead) = function {
                    ahead.each_selector(visit);
                }
            }
            Self::Each(function, of) => {
                of.each_selector(visit);
                match function {
                    EachFunction::Abs => {}
                    EachFunction::ClampMin(bound) | EachFunction::ClampMax(bound) => {
                        bound.each_selector(visit);
                    }
                }
            }
        }
    }
}

impl Selector {
    /// Whether it can select a series of this metric, whatever its other labels.
    fn may_match(&self, metric: &str) -> bool {
        let bare = Labels::metric(metric);
        let mut of_name = self
            .matchers
            .iter()
            .filter(|matcher| matcher.label == "__name__");
        of_name.all(|matcher| matcher.test.holds(bare.name()))
    }

    /// Whether it can select a series that tells of the alerts of this name.
    fn may_match_alert(&self, alert: &str) -> bool {
        let mut of_alert = self
            .matchers
            .iter()
            .filter(|matcher| matcher.label == ALERT_NAME);
        [ALERTS, ALERTS_FOR_STATE]
            .iter()
            .any(|metric| self.may_match(metric))
            && of_alert.all(|matcher| matcher.test.holds(alert))
    }
}
