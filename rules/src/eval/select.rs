//! The samples that a selector reads.

use crate::expr::{Range, Selector};
use crate::labels::Labels;
use crate::window::{LOOKBACK_MS, Sample, Series, Window};

use super::{Element, Vector};

fn series<'a>(
    selector: &'a Selector,
    window: &'a Window,
) -> impl Iterator<Item = (&'a Labels, &'a Series)> {
    window
        .series(selector.metric())
        .filter(|(labels, _)| selector.matches(labels))
}

/// The newest sample of each series with a time in (T-5m, T], unless it is the mark of a series
/// that ended (`vectorSelectorSingle`, promql/engine.go, Prometheus 3.5).
pub(super) fn instant(selector: &Selector, window: &Window, at_ms: i64) -> Vector {
    let at_ms = at_ms.saturating_sub(selector.offset_ms);
    let newest = |(labels, series): (&Labels, &Series)| {
        let end = series.partition_point(|sample| sample.at_ms <= at_ms);
        let sample = series.get(end.checked_sub(1)?)?;
        let fresh = sample.at_ms > at_ms.saturating_sub(LOOKBACK_MS) && !sample.is_stale();
        fresh.then(|| Element {
            labels: labels.clone(),
            value: sample.value,
        })
    };
    series(selector, window).filter_map(newest).collect()
}

/// The samples of each series with a time in (T-range, T], marks of an end left out; no series
/// without samples (`matrixIterSlice`, promql/engine.go, Prometheus 3.5).
pub(super) fn range<'a>(
    range: &'a Range,
    window: &'a Window,
    at_ms: i64,
) -> impl Iterator<Item = (&'a Labels, Vec<Sample>)> {
    let end_ms = at_ms.saturating_sub(range.selector.offset_ms);
    let start_ms = end_ms.saturating_sub(range.range_ms);
    series(&range.selector, window).filter_map(move |(labels, series)| {
        let from = series.partition_point(|sample| sample.at_ms <= start_ms);
        let to = series
            .partition_point(|sample| sample.at_ms <= end_ms)
            .max(from);
        let samples = series
            .range(from..to)
            .copied()
            .filter(|sample| !sample.is_stale())
            .collect::<Vec<_>>();
        (!samples.is_empty()).then_some((labels, samples))
    })
}
