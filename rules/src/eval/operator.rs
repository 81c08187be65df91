//! Operators between values, and between a vector and a scalar.

use super::{Context, Vector, drops_name};
use crate::expr::{Answer, Comparison, Operator, Side, WithScalar};

impl Comparison {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Greater => left > right,
            Self::Less => left < right,
            Self::GreaterOrEqual => left >= right,
            Self::LessOrEqual => left <= right,
        }
    }
}

/// The value of an operator between two; a comparison gives 1 if it holds, else 0.
pub(super) fn apply(operator: Operator, left: f64, right: f64) -> f64 {
    match operator {
        Operator::Add => left + right,
        Operator::Sub => left - right,
        Operator::Mul => left * right,
        Operator::Div => left / right,
        Operator::Mod => left % right,
        Operator::Pow => left.powf(right),
        Operator::Atan2 => left.atan2(right),
        Operator::Compare(comparison) => f64::from(u8::from(comparison.holds(left, right))),
    }
}

/// What becomes of a sample: its value, or nothing if a filter lets it fall. `kept` is the value
/// that stays where a filter holds.
pub(super) fn outcome(
    operator: Operator,
    answer: Answer,
    left: f64,
    right: f64,
    kept: f64,
) -> Option<f64> {
    match (operator, answer) {
        (Operator::Compare(comparison), Answer::Filter) => {
            comparison.holds(left, right).then_some(kept)
        }
        _ => Some(apply(operator, left, right)),
    }
}

/// A filter keeps the value of the vector, whichever side the scalar is on.
pub(super) fn with_scalar(
    context: Context<'_>,
    operation: &WithScalar,
    vector: Vector,
    scalar: f64,
) -> Vector {
    let WithScalar {
        operator, answer, ..
    } = *operation;
    let outcomes = vector.into_iter().filter_map(|element| {
        let (left, right) = match operation.scalar_side {
            Side::Left => (scalar, element.value),
            Side::Right => (element.value, scalar),
        };
        let value = outcome(operator, answer, left, right, element.value)?;
        Some(if drops_name(operator) || answer == Answer::Bool {
            context.nameless(element.labels, value)
        } else {
            element
        })
    });
    outcomes.collect()
}
