//! Evaluates a checked expression at one time over a window, as Prometheus 3 would.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::expr::{EachFunction, Expr, Operator, Order, Relabel, ScalarExpr, VectorExpr};
use crate::labels::Labels;
use crate::window::Window;

mod aggregate;
mod curve;
mod date;
pub(crate) mod float;
mod histogram;
mod matching;
mod operator;
mod over_range;
mod relabel;
mod select;
mod subquery;

/// One sample of an instant vector.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub(crate) labels: Labels,
    pub(crate) value: f64,
    /// Whether the name goes at the end: only where names are dropped late.
    name_goes: bool,
}

impl Element {
    pub(crate) fn new(labels: Labels, value: f64) -> Self {
        Self {
            labels,
            value,
            name_goes: false,
        }
    }
}

pub(crate) type Vector = Vec<Element>;

/// An expression that has no answer over the samples at hand.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum EvalError {
    #[error("vector cannot contain metrics with the same labelset: {0} is there twice")]
    SameLabels(String),
    #[error(
        "found duplicate series for the match group {key} on the {side} hand-side of the \
         operation: {first} and {second}; many-to-many matching is not allowed"
    )]
    ManyToMany {
        key: String,
        side: &'static str,
        first: String,
        second: String,
    },
    #[error(
        "multiple matches for labels {0}: many-to-one matching must be explicit \
         (group_left/group_right)"
    )]
    ManyToOne(String),
    #[error("multiple matches for labels {0}: grouping labels must ensure unique matches")]
    GroupedTwice(String),
    #[error("{0} cannot be the number of samples to keep")]
    NoCount(f64),
    #[error("{0} is no time in seconds that a date could be told of")]
    NoDate(f64),
}

/// When a query is evaluated, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query {
    /// The first and the last time of evaluation: what `@ start()` and `@ end()` name.
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    /// Whether names are dropped from the result, and not by each operator and function: the
    /// feature `promql-delayed-name-removal` of Prometheus, which servers do not have by default.
    pub(crate) late_names: bool,
}

/// Where and when a part of an expression is evaluated.
#[derive(Clone, Copy)]
struct Context<'a> {
    window: &'a Window,
    at_ms: i64,
    query: Query,
    /// What the subquery around it has seen, if there is one.
    seen: Option<&'a RefCell<subquery::Seen>>,
}

/// Evaluates the expression of a rule at `at_ms`. A scalar becomes one sample without labels, as
/// in a rule (rules/manager.go, `EngineQueryFunc`, Prometheus 3.5).
pub(crate) fn evaluate(expr: &Expr, window: &Window, at_ms: i64) -> Result<Vector, EvalError> {
    let query = Query {
        start_ms: at_ms,
        end_ms: at_ms,
        late_names: false,
    };
    evaluate_query(expr, window, at_ms, query)
}

/// Evaluates an expression at `at_ms`, one of the times of evaluation of a query.
pub(crate) fn evaluate_query(
    expr: &Expr,
    window: &Window,
    at_ms: i64,
    query: Query,
) -> Result<Vector, EvalError> {
    let context = Context {
        window,
        at_ms,
        query,
        seen: None,
    };
    let mut vector = match expr {
        Expr::Vector(vector) => context.vector(vector)?,
        Expr::Scalar(scalar) => constant(context.scalar(scalar)?),
    };
    if !query.late_names {
        return Ok(vector);
    }
    for element in vector.iter_mut().filter(|element| element.name_goes) {
        element.labels = std::mem::take(&mut element.labels).without_metadata();
    }
    must_differ(&vector)?;
    Ok(vector)
}

impl Context<'_> {
    fn scalar(self, expr: &ScalarExpr) -> Result<f64, EvalError> {
        Ok(match expr {
            ScalarExpr::Number(number) => *number,
            ScalarExpr::Time => float::seconds(self.at_ms),
            ScalarExpr::Negate(of) => -self.scalar(of)?,
            ScalarExpr::Binary(op, left, right) => {
                operator::apply(*op, self.scalar(left)?, self.scalar(right)?)
            }
            ScalarExpr::Only(of) => match self.vector(of)?.as_slice() {
                [only] => only.value,
                _ => f64::NAN,
            },
        })
    }

    fn vector(self, expr: &VectorExpr) -> Result<Vector, EvalError> {
        match expr {
            VectorExpr::Select(selector) => Ok(select::instant(self, selector)
                .map(|(labels, sample)| Element::new(labels.clone(), sample.value))
                .collect()),
            VectorExpr::TimeOf(selector) => {
                let times = select::instant(self, selector).map(|(labels, sample)| {
                    self.nameless(labels.clone(), float::seconds(sample.at_ms))
                });
                self.unique(times.collect())
            }
            VectorExpr::Constant(scalar) => Ok(constant(self.scalar(scalar)?)),
            VectorExpr::Negate(of) => {
                let of = self.vector(of)?;
                self.must_stay_one_series(expr, of.iter().map(|element| &element.labels))?;
                self.map(of, |value| -value)
            }
            VectorExpr::WithScalar(operation) => {
                let vector = self.vector(&operation.vector)?;
                let scalar = self.scalar(&operation.scalar)?;
                self.unique(operator::with_scalar(self, operation, vector, scalar))
            }
            VectorExpr::Matched(operation) => {
                let left = self.vector(&operation.left)?;
                let right = self.vector(&operation.right)?;
                self.unique(matching::values(self, operation, &left, &right)?)
            }
            VectorExpr::Set(op, key, left, right) => {
                let (left, right) = (self.vector(left)?, self.vector(right)?);
                self.unique(matching::sets(*op, key, left, right))
            }
            VectorExpr::Aggregate(aggregation, grouping, of) => {
                aggregate::aggregate(self, aggregation, grouping, self.vector(of)?)
            }
            VectorExpr::OverRange(function, range) => {
                over_range::evaluate(self, expr, function, range)
            }
            VectorExpr::Absent(labels, of) => {
                let absent = self.vector(of)?.is_empty();
                Ok(absent
                    .then(|| Element::new(labels.clone(), 1.0))
                    .into_iter()
                    .collect())
            }
            VectorExpr::AbsentOverRange(labels, range) => {
                let mut absent = true;
                select::range(self, range, |_, _| absent = false)?;
                Ok(absent
                    .then(|| Element::new(labels.clone(), 1.0))
                    .into_iter()
                    .collect())
            }
            VectorExpr::Each(function, of) => self.each(function, of),
            VectorExpr::Relabel(relabel, of) => {
                let mut of = self.vector(of)?;
                self.must_stay_one_series_after(expr, relabel, &of)?;
                for element in &mut of {
                    relabel::relabel(relabel, element);
                }
                must_differ(&of)?;
                Ok(of)
            }
            VectorExpr::Sort(order, of) => {
                let mut of = self.vector(of)?;
                sort(*order, &mut of);
                Ok(of)
            }
            VectorExpr::HistogramQuantile(share, of) => {
                let share = self.scalar(share)?;
                self.unique(histogram::quantile(share, &self.vector(of)?))
            }
        }
    }

    fn each(self, function: &EachFunction, of: &VectorExpr) -> Result<Vector, EvalError> {
        let of = self.vector(of)?;
        match function {
            EachFunction::Of(curve) => self.map(of, |value| curve::at(*curve, value)),
            EachFunction::Clamp { min, max } => {
                let (min, max) = (self.scalar(min)?, self.scalar(max)?);
                if max < min {
                    return Ok(Vector::new());
                }
                self.map(of, |value| float::max(min, float::min(max, value)))
            }
            EachFunction::Round(to) => {
                // Prometheus inverts too, and so rounds in the last place as it does.
                let inverse = 1.0 / self.scalar(to)?;
                self.map(of, |value| (value * inverse + 0.5).floor() / inverse)
            }
            EachFunction::Date(part) => {
                let parts = of.into_iter().map(|element| {
                    let value = date::part(*part, element.value)?;
                    Ok(self.nameless(element.labels, value))
                });
                self.unique(parts.collect::<Result<_, _>>()?)
            }
            EachFunction::Timestamp => self.map(of, |_| float::seconds(self.at_ms)),
        }
    }

    /// Changes each value, and with it the quantity: the names go.
    fn map(self, of: Vector, change: impl Fn(f64) -> f64) -> Result<Vector, EvalError> {
        let of = of.into_iter();
        let changed = of.map(|element| self.nameless(element.labels, change(element.value)));
        self.unique(changed.collect())
    }

    /// An element that has no name, from now on or in the end.
    fn nameless(self, labels: Labels, value: f64) -> Element {
        Element {
            labels: if self.query.late_names {
                labels
            } else {
                labels.without_metadata()
            },
            value,
            name_goes: true,
        }
    }

    /// Dropping names can make two samples one: that is an error of the whole query.
    fn unique(self, vector: Vector) -> Result<Vector, EvalError> {
        if !self.query.late_names {
            must_differ(&vector)?;
        }
        Ok(vector)
    }

    /// Prometheus evaluates the inside of a subquery as one range, and functions of series look
    /// at all of it: series that become one must not do so at different times either.
    fn must_stay_one_series<'a>(
        self,
        of: &VectorExpr,
        labels: impl Iterator<Item = &'a Labels>,
    ) -> Result<(), EvalError> {
        match self.seen {
            Some(seen) if !self.query.late_names => seen.borrow_mut().check(
                of,
                labels.map(|labels| (labels, labels.clone().without_metadata())),
            ),
            _ => Ok(()),
        }
    }

    fn must_stay_one_series_after(
        self,
        of: &VectorExpr,
        relabel: &Relabel,
        vector: &Vector,
    ) -> Result<(), EvalError> {
        let Some(seen) = self.seen else {
            return Ok(());
        };
        seen.borrow_mut().check(
            of,
            vector.iter().map(|element| {
                let mut after = element.clone();
                relabel::relabel(relabel, &mut after);
                (&element.labels, after.labels)
            }),
        )
    }
}

/// A vector of one sample without labels.
pub(crate) fn constant(value: f64) -> Vector {
    vec![Element::new(Labels::default(), value)]
}

fn must_differ(vector: &Vector) -> Result<(), EvalError> {
    let mut seen = BTreeSet::new();
    for element in vector.iter().filter(|_| vector.len() > 1) {
        if !seen.insert(&element.labels) {
            return Err(EvalError::SameLabels(element.labels.to_string()));
        }
    }
    Ok(())
}

/// Sorts by value, NaN last; which of two equal ones comes first, Prometheus leaves open.
fn sort(order: Order, vector: &mut Vector) {
    vector.sort_by(|a, b| {
        let (a, b) = (a.value, b.value);
        a.is_nan().cmp(&b.is_nan()).then(match order {
            Order::Ascending => float::compare(a, b),
            Order::Descending => float::compare(b, a),
        })
    });
}

/// Arithmetic makes another quantity of a sample, so its name goes; a filter keeps it.
fn drops_name(operator: Operator) -> bool {
    !matches!(operator, Operator::Compare(_))
}

#[cfg(test)]
mod tests;
