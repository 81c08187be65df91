//! Evaluates a checked expression at one time over a window, as Prometheus 3 would.

use std::collections::BTreeSet;

use crate::expr::{EachFunction, Expr, Operator, ScalarExpr, VectorExpr};
use crate::labels::Labels;
use crate::window::Window;

mod aggregate;
mod float;
mod matching;
mod operator;
mod over_range;
mod select;

/// One sample of an instant vector.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

impl Element {
    fn nameless(&self, value: f64) -> Self {
        Self {
            labels: self.labels.without_name(),
            value,
        }
    }
}

pub(crate) type Vector = Vec<Element>;

/// An expression that has no answer over the samples at hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
}

/// Where and when an expression is evaluated.
#[derive(Clone, Copy)]
struct Context<'a> {
    window: &'a Window,
    at_ms: i64,
}

/// Evaluates an expression at `at_ms`. A scalar becomes one sample without labels, as in a rule
/// (rules/manager.go, `EngineQueryFunc`, Prometheus 3.5).
pub(crate) fn evaluate(expr: &Expr, window: &Window, at_ms: i64) -> Result<Vector, EvalError> {
    let context = Context { window, at_ms };
    match expr {
        Expr::Vector(vector) => context.vector(vector),
        Expr::Scalar(scalar) => Ok(constant(context.scalar(scalar)?)),
    }
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
            VectorExpr::Select(selector) => Ok(select::instant(selector, self.window, self.at_ms)),
            VectorExpr::Constant(scalar) => Ok(constant(self.scalar(scalar)?)),
            VectorExpr::Negate(of) => unique(nameless(self.vector(of)?, |value| -value)),
            VectorExpr::WithScalar(operation) => {
                let vector = self.vector(&operation.vector)?;
                let scalar = self.scalar(&operation.scalar)?;
                unique(operator::with_scalar(operation, &vector, scalar))
            }
            VectorExpr::Matched(operation) => {
                let left = self.vector(&operation.left)?;
                let right = self.vector(&operation.right)?;
                unique(matching::values(operation, &left, &right)?)
            }
            VectorExpr::Set(op, key, left, right) => {
                let (left, right) = (self.vector(left)?, self.vector(right)?);
                unique(matching::sets(*op, key, left, right))
            }
            VectorExpr::Aggregate(aggregation, grouping, of) => {
                let of = self.vector(of)?;
                Ok(aggregate::aggregate(*aggregation, grouping, &of))
            }
            VectorExpr::OverRange(function, range) => {
                unique(over_range::evaluate(self, function, range)?)
            }
            VectorExpr::Absent(labels, of) => Ok(if self.vector(of)?.is_empty() {
                vec![Element {
                    labels: labels.clone(),
                    value: 1.0,
                }]
            } else {
                Vec::new()
            }),
            VectorExpr::Each(function, of) => {
                let of = self.vector(of)?;
                unique(match function {
                    EachFunction::Abs => nameless(of, f64::abs),
                    EachFunction::ClampMin(bound) => {
                        let bound = self.scalar(bound)?;
                        nameless(of, |value| float::max(bound, value))
                    }
                    EachFunction::ClampMax(bound) => {
                        let bound = self.scalar(bound)?;
                        nameless(of, |value| float::min(bound, value))
                    }
                })
            }
        }
    }
}

/// A vector of one sample without labels.
pub(crate) fn constant(value: f64) -> Vector {
    vec![Element {
        labels: Labels::default(),
        value,
    }]
}

fn nameless(vector: Vector, change: impl Fn(f64) -> f64) -> Vector {
    let change = |element: &Element| element.nameless(change(element.value));
    vector.iter().map(change).collect()
}

/// Dropping names can make two samples one: that is an error of the whole query.
fn unique(vector: Vector) -> Result<Vector, EvalError> {
    let mut seen = BTreeSet::new();
    for element in &vector {
        if !seen.insert(&element.labels) {
            return Err(EvalError::SameLabels(element.labels.to_string()));
        }
    }
    Ok(vector)
}

/// Arithmetic makes another quantity of a sample, so its name goes; a filter keeps it.
fn drops_name(operator: Operator) -> bool {
    !matches!(operator, Operator::Compare(_))
}

#[cfg(test)]
mod tests;
