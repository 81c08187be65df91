//! Facts as samples: the neutral model that both text formats are written from and that the
//! watchdog's window is filled with.

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

/// A metric or label name: fixed in the program, or read from the watchdog's state file.
pub type Name = Cow<'static, str>;

/// What a family measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, or starts again at zero. The name ends in `_total`.
    Counter,
    /// Constant 1 whose labels carry the fact. The name ends in `_info`.
    Info,
}

/// One value under one set of labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Label names and values, each name once.
    pub labels: Vec<(Name, String)>,
    /// The value.
    pub value: f64,
}

/// All samples of one metric name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// The full name, with `_total` or `_info` where the kind asks for it.
    pub name: Name,
    /// One sentence without the closing full stop; states unit, definition and source.
    pub help: Name,
    /// What it measures.
    pub kind: Kind,
    /// The samples; none is a family that has nothing to say now and is not written.
    pub samples: Vec<Sample>,
}

impl Family {
    /// A gauge with one sample that carries no label.
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self::of(Kind::Gauge, name, help).with(Vec::new(), value)
    }

    /// A counter with one sample that carries no label.
    pub fn counter(name: &'static str, help: &'static str, value: f64) -> Self {
        Self::of(Kind::Counter, name, help).with(Vec::new(), value)
    }

    /// An empty family, to be filled by [`Family::with`].
    pub fn of(kind: Kind, name: &'static str, help: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            help: Cow::Borrowed(help),
            kind,
            samples: Vec::new(),
        }
    }

    /// The family with one more sample.
    #[must_use]
    pub fn with(mut self, labels: Vec<(&'static str, String)>, value: f64) -> Self {
        self.push(labels, value);
        self
    }

    /// Adds one more sample.
    pub fn push(&mut self, labels: Vec<(&'static str, String)>, value: f64) {
        let labels = labels
            .into_iter()
            .map(|(name, value)| (Cow::Borrowed(name), value))
            .collect();
        self.samples.push(Sample { labels, value });
    }

    /// The name of the metric family in OpenMetrics, where the suffix belongs to the sample and
    /// not to the family. Two families of one exposition never share it.
    pub fn base_name(&self) -> &str {
        let suffix = match self.kind {
            Kind::Gauge => return &self.name,
            Kind::Counter => "_total",
            Kind::Info => "_info",
        };
        self.name.strip_suffix(suffix).unwrap_or(&self.name)
    }
}

/// A count as a sample's value. Exact up to 2^53, which no count of bytes on one host reaches
/// (8 PiB); beyond that the nearest double.
pub fn count(n: u64) -> f64 {
    // Prometheus has no other number than the double.
    n as f64
}

/// 1 for true, 0 for false.
pub fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

/// A moment as seconds since 1970, to the microsecond; 0 for one before.
pub fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
