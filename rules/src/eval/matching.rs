//! Operators between two vectors (`VectorBinop`, `VectorAnd`, `VectorOr`, `VectorUnless`,
//! `resultMetric` of promql/engine.go, Prometheus 3.5).

use std::collections::{BTreeMap, BTreeSet};

use super::operator::outcome;
use super::{Context, Element, EvalError, Vector, drops_name};
use crate::expr::{Answer, Cardinality, Key, Matched, SetOperator, Side};
use crate::labels::Labels;

/// `and`, `or`, `unless`: samples of the left side stay whole, name and all.
pub(super) fn sets(operator: SetOperator, key: &Key, left: Vector, right: Vector) -> Vector {
    let keys = |vector: &Vector| {
        let keys = vector.iter().map(|element| key.of(&element.labels));
        keys.collect::<BTreeSet<_>>()
    };
    let keep = |vector: Vector, keys: &BTreeSet<Labels>, with: bool| {
        let kept = |element: &Element| keys.contains(&key.of(&element.labels)) == with;
        vector.into_iter().filter(kept).collect::<Vector>()
    };
    match operator {
        SetOperator::And => keep(left, &keys(&right), true),
        SetOperator::Unless => keep(left, &keys(&right), false),
        SetOperator::Or => {
            let mut all = left;
            let others = keep(right, &keys(&all), false);
            all.extend(others);
            all
        }
    }
}

/// Arithmetic and comparisons.
pub(super) fn values(
    context: Context<'_>,
    operation: &Matched,
    left: &Vector,
    right: &Vector,
) -> Result<Vector, EvalError> {
    if left.is_empty() || right.is_empty() {
        return Ok(Vector::new());
    }
    let many_side = match operation.cardinality {
        Cardinality::OneToOne => Side::Left,
        Cardinality::Grouped { many, .. } => many,
    };
    let (many, one) = match many_side {
        Side::Left => (left, right),
        Side::Right => (right, left),
    };
    let ones = by_key(&operation.key, one, many_side)?;
    let mut matched = BTreeMap::<Labels, BTreeSet<Labels>>::new();
    let mut result = Vector::new();
    for element in many {
        let key = operation.key.of(&element.labels);
        let Some(other) = ones.get(&key) else {
            continue;
        };
        let (left, right) = match many_side {
            Side::Left => (element.value, other.value),
            Side::Right => (other.value, element.value),
        };
        let Some(value) = outcome(operation.operator, operation.answer, left, right, left) else {
            continue;
        };
        let labels = labels(context, operation, &element.labels, &other.labels);
        let shown = key.to_string();
        let before = matched.entry(key).or_default();
        match operation.cardinality {
            Cardinality::OneToOne if !before.is_empty() => {
                return Err(EvalError::ManyToOne(shown));
            }
            _ if !before.insert(labels.clone()) => {
                return Err(EvalError::GroupedTwice(labels.to_string()));
            }
            _ => result.push(Element {
                labels,
                value,
                name_goes: operation.answer == Answer::Bool,
            }),
        }
    }
    Ok(result)
}

fn by_key<'a>(
    key: &Key,
    one: &'a Vector,
    many_side: Side,
) -> Result<BTreeMap<Labels, &'a Element>, EvalError> {
    let mut by_key = BTreeMap::<Labels, &Element>::new();
    for element in one {
        let key = key.of(&element.labels);
        let shown = key.to_string();
        if let Some(first) = by_key.insert(key, element) {
            return Err(EvalError::ManyToMany {
                key: shown,
                side: match many_side {
                    Side::Left => "right",
                    Side::Right => "left",
                },
                first: first.labels.to_string(),
                second: element.labels.to_string(),
            });
        }
    }
    Ok(by_key)
}

fn labels(context: Context<'_>, operation: &Matched, many: &Labels, one: &Labels) -> Labels {
    // Arithmetic drops names at once, even where others do so late.
    let bool_drops = operation.answer == Answer::Bool && !context.query.late_names;
    let named = if drops_name(operation.operator) || bool_drops {
        many.clone().without_metadata()
    } else {
        many.clone()
    };
    match &operation.cardinality {
        Cardinality::OneToOne => match &operation.key {
            Key::On(names) => named.only(names),
            // The name is no part of the key, but stays with a filter.
            Key::Ignoring(names) => {
                let mut labels = named;
                names.iter().for_each(|name| labels.set(name, ""));
                labels
            }
        },
        Cardinality::Grouped { include, .. } => {
            let mut labels = named;
            include
                .iter()
                .for_each(|name| labels.set(name, one.get(name)));
            labels
        }
    }
}
