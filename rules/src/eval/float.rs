//! Floating point as Prometheus does it, to the order of operations.

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

/// The larger of two, NaN if either is: Go's `math.Max`, where Rust's `f64::max` drops a NaN.
pub(super) fn max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

/// The smaller of two, NaN if either is: Go's `math.Min`.
pub(super) fn min(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.min(b)
    }
}

/// Milliseconds as seconds, exact: milliseconds stay below 2^53 for the next 285,000 years.
pub(super) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// A count as a value, exact: a window never holds 2^53 samples.
pub(super) fn count(items: usize) -> f64 {
    items as f64
}
