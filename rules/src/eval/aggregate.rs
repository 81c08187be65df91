//! Aggregations over a vector (`aggregation`, `aggregationK`, `aggregationCountValues` of
//! promql/engine.go, Prometheus 3.5).

use std::collections::BTreeMap;

use super::{Context, Element, EvalError, Vector, float, sort};
use crate::expr::{Aggregation, Grouping};
use crate::labels::Labels;

/// 2^63: what Prometheus cannot count.
const MOST_COUNTED: f64 = 9_223_372_036_854_775_808.0;

pub(super) fn aggregate(
    context: Context<'_>,
    aggregation: &Aggregation,
    grouping: &Grouping,
    of: Vector,
) -> Result<Vector, EvalError> {
    Ok(match aggregation {
        Aggregation::Sum => values(grouping, of, |values| float::sum(values.iter().copied())),
        Aggregation::Min => values(grouping, of, |values| float::least(values.iter().copied())),
        Aggregation::Max => values(grouping, of, |values| {
            float::greatest(values.iter().copied())
        }),
        Aggregation::Avg => values(grouping, of, |values| float::mean(values.iter().copied())),
        Aggregation::Count => values(grouping, of, |values| float::count(values.len())),
        Aggregation::Group => values(grouping, of, |_| 1.0),
        Aggregation::Stddev => values(grouping, of, |values| variance(values).sqrt()),
        Aggregation::Stdvar => values(grouping, of, |values| variance(values)),
        Aggregation::Quantile(share) => {
            let share = context.scalar(share)?;
            values(grouping, of, |values| float::quantile(share, values))
        }
        Aggregation::First(order, count) => {
            let count = context.scalar(count)?;
            let Some(count) = first(count, of.len())? else {
                return Ok(Vector::new());
            };
            let groups = groups(grouping, of).into_values();
            let first = groups.flat_map(|mut group| {
                sort(*order, &mut group);
                group.truncate(count);
                group
            });
            first.collect()
        }
        Aggregation::CountValues(label) => count_values(label, grouping, of),
    })
}

fn group_of(grouping: &Grouping, labels: &Labels) -> Labels {
    match grouping {
        Grouping::By(names) => labels.only(names),
        Grouping::Without(names) => labels.without(names),
    }
}

fn groups(grouping: &Grouping, of: Vector) -> BTreeMap<Labels, Vector> {
    let mut groups = BTreeMap::<_, Vector>::new();
    for element in of {
        let group = group_of(grouping, &element.labels);
        groups.entry(group).or_default().push(element);
    }
    groups
}

/// One sample for each group, from the values in it.
fn values(grouping: &Grouping, of: Vector, value: impl Fn(&mut Vec<f64>) -> f64) -> Vector {
    let mut groups = BTreeMap::<_, (Vec<f64>, bool)>::new();
    for element in of {
        let group = group_of(grouping, &element.labels);
        let (values, _) = groups
            .entry(group)
            .or_insert_with(|| (Vec::new(), element.name_goes));
        values.push(element.value);
    }
    let element = |(labels, (mut values, name_goes)): (_, (Vec<f64>, bool))| Element {
        labels,
        value: value(&mut values),
        name_goes,
    };
    groups.into_iter().map(element).collect()
}

/// Welford's way, in the order of operations of Prometheus.
fn variance(values: &[f64]) -> f64 {
    let [first, others @ ..] = values else {
        return f64::NAN;
    };
    let mut sum = if first.is_finite() { 0.0 } else { f64::NAN };
    let (mut mean, mut count) = (*first, 1.0);
    for value in others {
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        sum += delta * (value - mean);
    }
    sum / count
}

/// How many to keep of each group; nothing is, for less than one.
fn first(count: f64, most: usize) -> Result<Option<usize>, EvalError> {
    if most == 0 || count < 1.0 {
        return Ok(None);
    }
    if count.is_nan() || count >= MOST_COUNTED {
        return Err(EvalError::NoCount(count));
    }
    let kept = (1..=most).take_while(|kept| float::count(*kept) <= count);
    Ok(kept.last())
}

/// The value becomes a label of the group, and what is counted is how often it is there.
fn count_values(label: &str, grouping: &Grouping, of: Vector) -> Vector {
    let grouping = match grouping {
        Grouping::By(names) => {
            let with_value = names.iter().cloned().chain([label.to_owned()]);
            Grouping::By(with_value.collect())
        }
        Grouping::Without(names) => Grouping::Without(names.clone()),
    };
    let mut groups = BTreeMap::<_, usize>::new();
    for element in of {
        let labels = element.labels.with(label, float::shown(element.value));
        *groups.entry(group_of(&grouping, &labels)).or_default() += 1;
    }
    let element = |(labels, count)| Element::new(labels, float::count(count));
    groups.into_iter().map(element).collect()
}
