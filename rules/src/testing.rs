//! The notation in which Prometheus's tests write series and times down.

use std::time::Duration;

pub mod series;

/// A duration as Prometheus writes it, such as `1h30m` or `250ms`; `None` if it is none.
pub fn duration(text: &str) -> Option<Duration> {
    crate::duration::parse(text)
}
