//! Floating point as Prometheus does it, to the order of operations.

use std::cmp::Ordering;

/// A sum that carries what rounding lost (`kahanSumInc`, promql/functions.go, Prometheus 3.5:
/// Kahan's summation with Neumaier's improvement).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) total: f64,
    pub(super) lost: f64,
}

impl Sum {
    #[must_use]
    pub(super) fn plus(self, value: f64) -> Self {
        let total = self.total + value;
        let lost = if total.is_infinite() {
            0.0
        } else if self.total.abs() >= value.abs() {
            self.lost + ((self.total - total) + value)
        } else {
            self.lost + ((value - total) + self.total)
        };
        Self { total, lost }
    }

    pub(super) fn value(self) -> f64 {
        self.total + self.lost
    }
}

pub(super) fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(Sum::default(), Sum::plus).value()
}

/// The mean as a sum divided, or, once the sum would overflow, grown step by step.
/// NaN without values.
pub(super) fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values = values.into_iter();
    let Some(first) = values.next() else {
        return f64::NAN;
    };
    let (mut sum, mut count, mut by_steps) = (Sum::default().plus(first), 1.0, false);
    for value in values {
        count += 1.0;
        if !by_steps {
            let next = sum.plus(value);
            if next.total.is_finite() || next.total.is_nan() {
                sum = next;
                continue;
            }
            by_steps = true;
            let before = count - 1.0;
            sum = Sum {
                total: sum.total / before,
                lost: sum.lost / before,
            };
        }
        let share = (count - 1.0) / count;
        let shrunk = Sum {
            total: share * sum.total,
            lost: share * sum.lost,
        };
        sum = shrunk.plus(value / count);
    }
    if by_steps {
        sum.value()
    } else {
        sum.total / count + sum.lost / count
    }
}

/// The least value; NaN only if there is nothing else.
pub(super) fn least(values: impl IntoIterator<Item = f64>) -> f64 {
    let less = |least: f64, value: f64| {
        if value < least || least.is_nan() {
            value
        } else {
            least
        }
    };
    values.into_iter().reduce(less).unwrap_or(f64::NAN)
}

/// The greatest value; NaN only if there is nothing else.
pub(super) fn greatest(values: impl IntoIterator<Item = f64>) -> f64 {
    let greater = |greatest: f64, value: f64| {
        if value > greatest || greatest.is_nan() {
            value
        } else {
            greatest
        }
    };
    values.into_iter().reduce(greater).unwrap_or(f64::NAN)
}

/// The larger of two: Go's `math.Max`, for which infinity beats NaN, and NaN any other number.
pub(super) fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

/// The smaller of two: Go's `math.Min`, the mirror image of [`max`].
pub(super) fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

/// The order of two numbers; NaN has none, and counts as equal.
pub(super) fn compare(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

/// The value at a share of the way from the least to the greatest, between two values by weight
/// (`quantile`, promql/quantile.go, Prometheus 3.5). NaN counts as the least.
pub(super) fn quantile(share: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || share.is_nan() {
        return f64::NAN;
    }
    if share < 0.0 {
        return f64::NEG_INFINITY;
    }
    if share > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(compare(*a, *b)));
    let rank = share * (count(values.len()) - 1.0);
    let weight = rank - rank.floor();
    // As many as lie below the rank, without leaving the floats for an index.
    let lower = (1..values.len())
        .take_while(|at| count(*at) <= rank)
        .count();
    let upper = (lower + 1).min(values.len() - 1);
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// Whether two differ by no more than a share of their size (`Equal`, util/almost, Prometheus
/// 3.5).
pub(crate) fn almost_equal(a: f64, b: f64, share: f64) -> bool {
    if a == b || a.is_nan() && b.is_nan() {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < share * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < share
}

/// A number as a label has it.
pub(super) fn parse(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// A number as a label shows it: in full, without an exponent.
pub(super) fn shown(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}

/// Milliseconds as seconds, exact: milliseconds stay below 2^53 for the next 285,000 years.
pub(super) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// A count as a value, exact: a window never holds 2^53 samples.
pub(super) fn count(items: usize) -> f64 {
    items as f64
}
