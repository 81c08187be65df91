//! Facts as samples: the neutral model that both text formats are written from and that the
//! watchdog's window is filled with.

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
    /// Label names and values; names are static because no fact names a label.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

/// All samples of one metric name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// The full name, with `_total` or `_info` where the kind asks for it.
    pub name: &'static str,
    /// One sentence without the closing full stop; states unit, definition and source.
    pub help: &'static str,
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
            name,
            help,
            kind,
            samples: Vec::new(),
        }
    }

    /// The family with one more sample.
    #[must_use]
    pub fn with(mut self, labels: Vec<(&'static str, String)>, value: f64) -> Self {
        self.samples.push(Sample { labels, value });
        self
    }
}
