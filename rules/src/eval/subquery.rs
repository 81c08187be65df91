//! Subqueries: an expression evaluated at each multiple of a step (`SubqueryExpr` of
//! promql/engine.go, Prometheus 3.5).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ptr;

use super::{Context, EvalError};
use crate::expr::VectorExpr;
use crate::labels::Labels;
use crate::window::Sample;

/// The samples of each series in (`start_ms`, `end_ms`].
pub(super) fn evaluate(
    context: Context<'_>,
    of: &VectorExpr,
    step_ms: i64,
    start_ms: i64,
    end_ms: i64,
) -> Result<BTreeMap<Labels, Vec<Sample>>, EvalError> {
    let seen = RefCell::default();
    let mut series = BTreeMap::<Labels, Vec<Sample>>::new();
    let first_ms = start_ms
        .div_euclid(step_ms)
        .saturating_add(1)
        .saturating_mul(step_ms);
    let mut at_ms = first_ms;
    while at_ms <= end_ms {
        let inner = Context {
            at_ms,
            seen: Some(&seen),
            ..context
        };
        for element in inner.vector(of)? {
            let sample = Sample {
                at_ms,
                value: element.value,
            };
            series.entry(element.labels).or_default().push(sample);
        }
        at_ms = at_ms.saturating_add(step_ms);
    }
    Ok(series)
}

/// Which series each part of a subquery was about so far, by what is left of their labels.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<(usize, Labels), Labels>);

impl Seen {
    /// Labels that are left must always come from the same labels.
    pub(super) fn check<'a>(
        &mut self,
        of: &VectorExpr,
        labels: impl Iterator<Item = (&'a Labels, Labels)>,
    ) -> Result<(), EvalError> {
        let part = ptr::from_ref(of).addr();
        for (whole, left) in labels {
            let before = self.0.entry((part, left)).or_insert_with(|| whole.clone());
            if before != whole {
                return Err(EvalError::SameLabels(whole.to_string()));
            }
        }
        Ok(())
    }
}
