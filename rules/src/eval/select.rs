//! The samples that a selector or a range reads.

use super::{Context, EvalError, subquery};
use crate::expr::{At, Range, RangeOf, Selector, When};
use crate::labels::Labels;
use crate::window::{LOOKBACK_MS, Sample, Series};

impl Context<'_> {
    /// The time that is read.
    pub(super) fn time_of(self, when: When) -> i64 {
        let at_ms = match when.at {
            At::Now => self.at_ms,
            At::Start => self.query.start_ms,
            At::End => self.query.end_ms,
            At::Fixed(at_ms) => at_ms,
        };
        at_ms.saturating_sub(when.offset_ms)
    }
}

fn series<'a>(
    context: Context<'a>,
    selector: &'a Selector,
) -> impl Iterator<Item = (&'a Labels, &'a Series)> {
    context
        .window
        .series(selector.metric())
        .filter(|(labels, _)| selector.matches(labels))
}

/// The newest sample of each series with a time in (T-5m, T], unless it is the mark of a series
/// that ended (`vectorSelectorSingle`, promql/engine.go, Prometheus 3.5).
pub(super) fn instant<'a>(
    context: Context<'a>,
    selector: &'a Selector,
) -> impl Iterator<Item = (&'a Labels, Sample)> {
    let at_ms = context.time_of(selector.when);
    series(context, selector).filter_map(move |(labels, series)| {
        let end = series.partition_point(|sample| sample.at_ms <= at_ms);
        let sample = series.get(end.checked_sub(1)?)?;
        let fresh = sample.at_ms > at_ms.saturating_sub(LOOKBACK_MS) && !sample.is_stale();
        fresh.then_some((labels, *sample))
    })
}

/// Visits the samples of each series with a time in (T-range, T], marks of an end left out; no
/// series without samples (`matrixIterSlice`, promql/engine.go, Prometheus 3.5).
pub(super) fn range(
    context: Context<'_>,
    range: &Range,
    mut visit: impl FnMut(&Labels, &[Sample]),
) -> Result<(), EvalError> {
    let end_ms = context.time_of(range.when());
    let start_ms = end_ms.saturating_sub(range.range_ms);
    match &range.of {
        RangeOf::Samples(selector) => {
            // One buffer for all series: what is read is not kept.
            let mut samples = Vec::new();
            for (labels, series) in series(context, selector) {
                let from = series.partition_point(|sample| sample.at_ms <= start_ms);
                let to = series.partition_point(|sample| sample.at_ms <= end_ms);
                samples.clear();
                let within = series.range(from..to.max(from)).copied();
                samples.extend(within.filter(|sample| !sample.is_stale()));
                if !samples.is_empty() {
                    visit(labels, &samples);
                }
            }
        }
        RangeOf::Subquery { of, step_ms, .. } => {
            for (labels, samples) in subquery::evaluate(context, of, *step_ms, start_ms, end_ms)? {
                visit(&labels, &samples);
            }
        }
    }
    Ok(())
}
