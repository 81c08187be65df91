//! Functions of the samples of a range.

use super::float::{self, Sum};
use super::{Context, Element, EvalError, Vector, select};
use crate::expr::{Range, RangeFunction, VectorExpr};
use crate::window::Sample;

pub(super) fn evaluate(
    context: Context<'_>,
    expr: &VectorExpr,
    function: &RangeFunction,
    range: &Range,
) -> Result<Vector, EvalError> {
    let end_ms = context.time_of(range.when());
    let span = Span {
        start_ms: end_ms.saturating_sub(range.range_ms),
        end_ms,
        range_ms: range.range_ms,
    };
    let parameter = match function {
        RangeFunction::PredictLinear(scalar) | RangeFunction::Quantile(scalar) => {
            context.scalar(scalar)?
        }
        _ => 0.0,
    };
    let mut vector = Vector::new();
    let mut result = Ok(());
    select::range(context, range, |labels, samples| {
        let value = match function {
            RangeFunction::PredictLinear(_) => {
                // From the evaluation time on, whatever the offset.
                let line = regression(samples, context.at_ms);
                line.map(|line| line.slope * parameter + line.intercept)
            }
            RangeFunction::Quantile(_) => {
                let mut values = samples
                    .iter()
                    .map(|sample| sample.value)
                    .collect::<Vec<_>>();
                Some(float::quantile(parameter, &mut values))
            }
            _ => of_samples(function, samples, span),
        };
        let Some(value) = value else {
            return;
        };
        let element = match function {
            RangeFunction::Last => Element::new(labels.clone(), value),
            _ => {
                if result.is_ok() {
                    result = context.must_stay_one_series(expr, [labels].into_iter());
                }
                context.nameless(labels.clone(), value)
            }
        };
        vector.push(element);
    })?;
    result?;
    context.unique(vector)
}

/// The time (`start_ms`, `end_ms`] that a range covers, and its length as written.
#[derive(Clone, Copy)]
struct Span {
    start_ms: i64,
    end_ms: i64,
    range_ms: i64,
}

fn of_samples(function: &RangeFunction, samples: &[Sample], span: Span) -> Option<f64> {
    let values = || samples.iter().map(|sample| sample.value);
    let pairs = || values().zip(values().skip(1));
    Some(match function {
        RangeFunction::Rate => {
            extrapolated(samples, span, Kind::Counter, float::seconds(span.range_ms))?
        }
        RangeFunction::Increase => extrapolated(samples, span, Kind::Counter, 1.0)?,
        RangeFunction::Delta => extrapolated(samples, span, Kind::Gauge, 1.0)?,
        RangeFunction::Deriv => regression(samples, samples.first()?.at_ms)?.slope,
        RangeFunction::LastRate => last_two(samples, Kind::Counter)?,
        RangeFunction::LastDelta => last_two(samples, Kind::Gauge)?,
        // They have a parameter.
        RangeFunction::PredictLinear(_) | RangeFunction::Quantile(_) => return None,
        RangeFunction::Avg => float::mean(values()),
        RangeFunction::Min => float::least(values()),
        RangeFunction::Max => float::greatest(values()),
        RangeFunction::Sum => float::sum(values()),
        RangeFunction::Count => float::count(samples.len()),
        RangeFunction::Last => samples.last()?.value,
        RangeFunction::Present => 1.0,
        RangeFunction::Stddev => variance(values()).sqrt(),
        RangeFunction::Stdvar => variance(values()),
        RangeFunction::Changes => float::count(
            pairs()
                .filter(|(before, after)| before != after && !(before.is_nan() && after.is_nan()))
                .count(),
        ),
        RangeFunction::Resets => {
            float::count(pairs().filter(|(before, after)| after < before).count())
        }
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// `extrapolatedRate` of promql/functions.go, Prometheus 3.5, in the same order of operations,
/// so that the last bit is the same too. The result is divided by `per` seconds.
fn extrapolated(samples: &[Sample], span: Span, kind: Kind, per: f64) -> Option<f64> {
    let [first, .., last] = samples else {
        return None;
    };
    let mut change = last.value - first.value;
    if kind == Kind::Counter {
        for pair in samples.windows(2) {
            if let [before, after] = pair
                && after.value < before.value
            {
                change += before.value;
            }
        }
    }
    let mut to_start = float::seconds(first.at_ms - span.start_ms);
    let mut to_end = float::seconds(span.end_ms - last.at_ms);
    let sampled = float::seconds(last.at_ms - first.at_ms);
    let average = sampled / float::count(samples.len() - 1);
    let threshold = average * 1.1;
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if kind == Kind::Counter && change > 0.0 && first.value >= 0.0 {
        // A counter was never below zero: do not extrapolate to before it began.
        let to_zero = sampled * (first.value / change);
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    let factor = (sampled + to_start + to_end) / sampled / per;
    Some(change * factor)
}

/// The change between the last two samples, of a counter for each second (`instantValue`,
/// promql/functions.go, Prometheus 3.5).
fn last_two(samples: &[Sample], kind: Kind) -> Option<f64> {
    let [.., before, last] = samples else {
        return None;
    };
    let change = if kind == Kind::Counter && last.value < before.value {
        // It began anew, at zero.
        last.value
    } else {
        last.value - before.value
    };
    Some(match kind {
        Kind::Counter => change / float::seconds(last.at_ms - before.at_ms),
        Kind::Gauge => change,
    })
}

/// `varianceOverTime`, promql/functions.go, Prometheus 3.5, in the same order of operations.
fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut squares, mut count) = (Sum::default(), Sum::default(), 0.0);
    for value in values {
        count += 1.0;
        let delta = value - mean.value();
        mean = mean.plus(delta / count);
        squares = squares.plus(delta * (value - mean.value()));
    }
    squares.value() / count
}

struct Line {
    slope: f64,
    /// The value at the time the regression was asked for.
    intercept: f64,
}

/// Least squares (`linearRegression`, promql/functions.go, Prometheus 3.5).
fn regression(samples: &[Sample], intercept_ms: i64) -> Option<Line> {
    let [first, _, ..] = samples else {
        return None;
    };
    if samples
        .iter()
        .skip(1)
        .all(|sample| sample.value == first.value)
    {
        return Some(if first.value.is_infinite() {
            Line {
                slope: f64::NAN,
                intercept: f64::NAN,
            }
        } else {
            Line {
                slope: 0.0,
                intercept: first.value,
            }
        });
    }
    let (mut x_sum, mut y_sum) = (Sum::default(), Sum::default());
    let (mut xy_sum, mut xx_sum) = (Sum::default(), Sum::default());
    for sample in samples {
        let x = float::seconds(sample.at_ms - intercept_ms);
        x_sum = x_sum.plus(x);
        y_sum = y_sum.plus(sample.value);
        xy_sum = xy_sum.plus(x * sample.value);
        xx_sum = xx_sum.plus(x * x);
    }
    let n = float::count(samples.len());
    let (x, y, xy, xx) = (x_sum.value(), y_sum.value(), xy_sum.value(), xx_sum.value());
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    Some(Line {
        slope,
        intercept: y / n - slope * x / n,
    })
}
