//! Random series.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use super::{Point, TestSeries};
use crate::labels::Labels;

pub(super) const METRICS: [&str; 3] = ["depth", "events_total", "level"];

/// A classic histogram; its buckets are counters that know nothing of each other, as torn ones.
pub(super) const BUCKETS: &str = "took_bucket";

/// Series of three metrics with two labels each, with gaps, ends and counter resets.
pub(super) fn series(points: usize) -> impl Strategy<Value = Vec<TestSeries>> {
    let all = METRICS.into_iter().flat_map(|metric| {
        ["x", "y"].into_iter().flat_map(move |a| {
            ["1", "2", ""].into_iter().map(move |b| {
                let labels = Labels::metric(metric).with("a", a).with("b", b);
                let points = match metric {
                    "events_total" => counter(points).boxed(),
                    _ => gauge(points).boxed(),
                };
                (any::<u8>(), points).prop_map(move |(there, points)| {
                    (there % 4 != 0).then(|| TestSeries {
                        labels: labels.clone(),
                        points,
                    })
                })
            })
        })
    });
    let buckets = ["0.1", "1", "5", "+Inf"].into_iter().flat_map(|bound| {
        ["x", "y"].into_iter().map(move |a| {
            let labels = Labels::metric(BUCKETS).with("a", a).with("le", bound);
            (any::<u8>(), counter(points)).prop_map(move |(there, points)| {
                (there % 8 != 0).then(|| TestSeries {
                    labels: labels.clone(),
                    points,
                })
            })
        })
    });
    let all = (all.collect::<Vec<_>>(), buckets.collect::<Vec<_>>());
    all.prop_map(|(plain, buckets)| plain.into_iter().chain(buckets).flatten().collect())
}

fn point(value: impl Strategy<Value = f64>) -> impl Strategy<Value = Point> {
    (0..20, value).prop_map(|(kind, value)| match kind {
        0 | 1 => Point::Missing,
        2 => Point::Stale,
        _ => Point::Value(value),
    })
}

fn gauge(points: usize) -> impl Strategy<Value = Vec<Point>> {
    let odd = select(vec![
        0.0,
        -0.0,
        1e9,
        1e-9,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e308,
    ]);
    let tame = prop_oneof![-100..100_i32, Just(0), Just(7)].prop_map(f64::from);
    let tenth = (-1000..1000_i32).prop_map(|value| f64::from(value) / 10.0);
    let value = prop_oneof![6 => tame, 6 => tenth, 1 => odd];
    vec(point(value), points)
}

fn counter(points: usize) -> impl Strategy<Value = Vec<Point>> {
    let steps = vec((0..8_i32, point(Just(0.0))), points);
    (0..50_i32, steps).prop_map(|(first, steps)| {
        let mut total = first;
        let points = steps.into_iter().map(|(step, point)| {
            total = if step == 7 { 0 } else { total + step };
            match point {
                Point::Value(_) => Point::Value(f64::from(total)),
                other => other,
            }
        });
        points.collect()
    })
}
