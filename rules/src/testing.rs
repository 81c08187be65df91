//! Unit tests of rules as `promtool test rules` reads them, and the notation in which they write
//! series and times down.

use std::time::Duration;

mod glob;
pub mod series;
mod unit;

pub use unit::run;

/// A duration as Prometheus writes it, such as `1h30m` or `250ms`; `None` if it is none.
pub fn duration(text: &str) -> Option<Duration> {
    crate::duration::parse(text)
}
