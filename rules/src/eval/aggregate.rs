//! Aggregations over a vector.

use std::collections::BTreeMap;

use super::{Element, Vector, float};
use crate::expr::{Aggregation, Grouping};

pub(super) fn aggregate(aggregation: Aggregation, grouping: &Grouping, of: &Vector) -> Vector {
    let mut groups = BTreeMap::<_, Vec<f64>>::new();
    for element in of {
        let group = match grouping {
            Grouping::By(names) => element.labels.only(names),
            Grouping::Without(names) => element.labels.without(names),
        };
        groups.entry(group).or_default().push(element.value);
    }
    let element = |(labels, values): (_, Vec<f64>)| Element {
        labels,
        value: match aggregation {
            Aggregation::Sum => float::sum(values),
            Aggregation::Min => float::least(values),
            Aggregation::Max => float::greatest(values),
            Aggregation::Avg => float::mean(values),
            Aggregation::Count => float::count(values.len()),
        },
    };
    groups.into_iter().map(element).collect()
}
