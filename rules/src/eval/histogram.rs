//! `histogram_quantile` over classic buckets (`BucketQuantile`, promql/quantile.go,
//! Prometheus 3.5).

use std::collections::BTreeMap;

use super::{Element, Vector, float};
use crate::labels::{Labels, METRIC_NAME};

const UPPER_BOUND: &str = "le";

/// Counts that differ by less than this share are taken for the same.
const INSIGNIFICANT: f64 = 1e-12;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    upper_bound: f64,
    count: f64,
}

/// Of each histogram in a vector; samples without a bound are left out.
pub(super) fn quantile(share: f64, vector: &Vector) -> Vector {
    let mut histograms = BTreeMap::<Labels, Vec<Bucket>>::new();
    for element in vector {
        let Some(upper_bound) = float::parse(element.labels.get(UPPER_BOUND)) else {
            continue;
        };
        let mut labels = element.labels.clone();
        labels.set(UPPER_BOUND, "");
        histograms.entry(labels).or_default().push(Bucket {
            upper_bound,
            count: element.value,
        });
    }
    let element = |(mut labels, buckets): (Labels, _)| {
        labels.set(METRIC_NAME, "");
        Element::new(labels.without_metadata(), of_buckets(share, buckets))
    };
    histograms.into_iter().map(element).collect()
}

fn of_buckets(share: f64, mut buckets: Vec<Bucket>) -> f64 {
    if share.is_nan() {
        return f64::NAN;
    }
    if share < 0.0 {
        return f64::NEG_INFINITY;
    }
    if share > 1.0 {
        return f64::INFINITY;
    }
    buckets.sort_by(|a, b| float::compare(a.upper_bound, b.upper_bound));
    let buckets = monotonic(merged(buckets));
    let [finite @ .., last] = buckets.as_slice() else {
        return f64::NAN;
    };
    let Some(highest) = finite.last() else {
        return f64::NAN;
    };
    if last.upper_bound != f64::INFINITY || last.count == 0.0 {
        return f64::NAN;
    }
    let rank = share * last.count;
    let reached = |bucket: &Bucket| bucket.count >= rank;
    match finite.partition_point(|bucket| !reached(bucket)) {
        beyond if beyond == finite.len() => highest.upper_bound,
        0 if finite[0].upper_bound <= 0.0 => finite[0].upper_bound,
        at => {
            let bucket = finite[at];
            let below = match at.checked_sub(1) {
                Some(below) => finite[below],
                None => Bucket {
                    upper_bound: 0.0,
                    count: 0.0,
                },
            };
            let width = bucket.upper_bound - below.upper_bound;
            let within = (rank - below.count) / (bucket.count - below.count);
            below.upper_bound + width * within
        }
    }
}

/// Buckets of one bound are one.
fn merged(buckets: Vec<Bucket>) -> Vec<Bucket> {
    let mut merged = Vec::<Bucket>::with_capacity(buckets.len());
    for bucket in buckets {
        match merged.last_mut() {
            Some(last) if last.upper_bound == bucket.upper_bound => last.count += bucket.count,
            _ => merged.push(bucket),
        }
    }
    merged
}

/// A count never goes down from one bucket to the next; where it does, the scrape or a rate has
/// torn the histogram, and the higher count holds.
fn monotonic(mut buckets: Vec<Bucket>) -> Vec<Bucket> {
    let mut buckets_after = buckets.iter_mut();
    let Some(first) = buckets_after.next() else {
        return buckets;
    };
    let mut before = first.count;
    for bucket in buckets_after {
        if bucket.count < before || float::almost_equal(before, bucket.count, INSIGNIFICANT) {
            bucket.count = before;
        } else {
            before = bucket.count;
        }
    }
    buckets
}
