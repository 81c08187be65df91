//! The samples of the last while, kept in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::labels::Labels;
use crate::millis;
use crate::testing::series::{self, Point};

mod persist;

pub use persist::RestoreError;

/// How far an instant selector looks back for a sample: Prometheus's `--query.lookback-delta`.
pub(crate) const LOOKBACK_MS: i64 = 5 * 60 * 1000;

/// The bits of the NaN that ends a series (`model/value/value.go`, Prometheus 3.5).
pub(crate) const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// One value of a series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Milliseconds since the Unix epoch.
    pub(crate) at_ms: i64,
    pub(crate) value: f64,
}

impl Sample {
    fn stale(at_ms: i64) -> Self {
        Self {
            at_ms,
            value: f64::from_bits(STALE_BITS),
        }
    }

    /// Whether this marks the end of its series. Any other NaN is a value.
    pub(crate) fn is_stale(self) -> bool {
        self.value.to_bits() == STALE_BITS
    }
}

/// The samples of one series, oldest first.
pub(crate) type Series = VecDeque<Sample>;

/// Samples that cannot be taken into a [`Window`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Time went back, or stood still: the clock of the host was set.
    #[error(
        "cannot append samples of {at_ms} ms: the window already holds samples of {newest_ms} ms; \
         the clock went back, clear the window and collect anew"
    )]
    OutOfOrder {
        /// The time of the refused samples, in milliseconds since the Unix epoch.
        at_ms: i64,
        /// The newest time in the window, in milliseconds since the Unix epoch.
        newest_ms: i64,
    },
    /// One scrape has the same series twice.
    #[error("cannot append samples of {at_ms} ms: the series {series} is there twice")]
    Duplicate {
        /// The time of the refused samples, in milliseconds since the Unix epoch.
        at_ms: i64,
        /// The series, as PromQL writes it.
        series: String,
    },
    /// A rule gives a sample to a series that already has another one of that time, or a later one.
    #[error(
        "cannot append a sample of {at_ms} ms to {series}: it already has another one, of \
         {newest_ms} ms; two rules, or a rule and the host, give the same series: rename one of \
         them, or give it a label of its own"
    )]
    Taken {
        /// The time of the refused sample, in milliseconds since the Unix epoch.
        at_ms: i64,
        /// The series, as PromQL writes it.
        series: String,
        /// The time of its newest sample, in milliseconds since the Unix epoch.
        newest_ms: i64,
    },
}

/// The samples of the last `retention`, and what Prometheus's scrape loop would know of them.
///
/// Memory is bounded: samples older than `retention` are dropped at each scrape.
#[derive(Debug, Clone)]
pub struct Window {
    retention_ms: i64,
    /// By metric name, then by the whole label set.
    metrics: BTreeMap<String, BTreeMap<Labels, Series>>,
    /// The series of the last scrape: those that are marked stale once they are gone.
    scraped: BTreeSet<Labels>,
    newest_ms: Option<i64>,
    /// The first scrape since the window was made or cleared.
    first_ms: Option<i64>,
}

impl Window {
    /// An empty window that keeps the samples of the last `retention`:
    /// [`RuleSet::needed_window`](crate::RuleSet::needed_window) for a set of rules.
    pub fn new(retention: Duration) -> Self {
        Self {
            retention_ms: millis(retention),
            metrics: BTreeMap::new(),
            scraped: BTreeSet::new(),
            newest_ms: None,
            first_ms: None,
        }
    }

    /// Takes in all samples of one collection, made at `at_ms` (milliseconds since the Unix epoch).
    ///
    /// A series that the previous collection had and this one has not is marked stale, as
    /// Prometheus does: it is gone at once, and not five minutes later.
    ///
    /// # Errors
    /// If the window holds samples of that time or a later one, or if a series is there twice.
    /// The window is then as it was.
    pub fn append_scrape(
        &mut self,
        at_ms: i64,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) -> Result<(), AppendError> {
        self.must_be_newer(at_ms)?;
        let mut scrape = BTreeMap::new();
        for (labels, value) in samples {
            if scrape.contains_key(&labels) {
                return Err(AppendError::Duplicate {
                    at_ms,
                    series: labels.to_string(),
                });
            }
            scrape.insert(labels, value);
        }
        let gone = self
            .scraped
            .iter()
            .filter(|labels| !scrape.contains_key(*labels))
            .cloned()
            .collect::<Vec<_>>();
        self.scraped = scrape.keys().cloned().collect();
        for labels in gone {
            self.push(labels, Sample::stale(at_ms));
        }
        for (labels, value) in scrape {
            self.push(labels, Sample { at_ms, value });
        }
        self.first_ms.get_or_insert(at_ms);
        self.newest_ms = Some(at_ms);
        self.drop_older_than(at_ms.saturating_sub(self.retention_ms));
        Ok(())
    }

    /// Marks every scraped series stale: the collection at `at_ms` failed as a whole.
    ///
    /// # Errors
    /// If the window holds samples of that time or a later one.
    pub fn mark_all_stale(&mut self, at_ms: i64) -> Result<(), AppendError> {
        self.must_be_newer(at_ms)?;
        for labels in std::mem::take(&mut self.scraped) {
            self.push(labels, Sample::stale(at_ms));
        }
        self.newest_ms = Some(at_ms);
        Ok(())
    }

    /// Keeps samples for another time from now on, as after other rules came into force. What was
    /// dropped already stays dropped: a longer range is covered once it was collected anew.
    pub fn retain_for(&mut self, retention: Duration) {
        let kept_since = self
            .newest_ms
            .map(|newest| newest.saturating_sub(self.retention_ms));
        self.first_ms = self.first_ms.max(kept_since);
        self.retention_ms = millis(retention);
    }

    /// Forgets every sample, as after a start.
    pub fn clear(&mut self) {
        *self = Self {
            retention_ms: self.retention_ms,
            ..Self::new(Duration::ZERO)
        };
    }

    /// The time of the newest scrape, in milliseconds since the Unix epoch.
    pub fn newest_ms(&self) -> Option<i64> {
        self.newest_ms
    }

    /// How many samples are held, over all series.
    pub fn sample_count(&self) -> usize {
        let series = self.metrics.values().flat_map(BTreeMap::values);
        series.map(Series::len).sum()
    }

    /// How many series are held.
    pub fn series_count(&self) -> usize {
        self.metrics.values().map(BTreeMap::len).sum()
    }

    /// About how many bytes of memory the samples take, with the labels of their series.
    pub fn memory_bytes(&self) -> usize {
        /// A series' and its labels' own share of the maps that hold them, about.
        const ENTRY: usize = 64;
        let of_series = |(labels, series): (&Labels, &Series)| {
            let texts = labels
                .iter()
                .map(|(name, value)| ENTRY + name.len() + value.len());
            // What was scraped is held once more, to see what ends.
            let held = 1 + usize::from(self.scraped.contains(labels));
            held * texts.sum::<usize>() + ENTRY + series.capacity() * size_of::<Sample>()
        };
        self.metrics.values().flatten().map(of_series).sum()
    }

    /// Whether everything that was to be collected since `since_ms` can be in the window.
    pub(crate) fn covers(&self, since_ms: i64) -> bool {
        self.since_ms().is_some_and(|first| first <= since_ms)
    }

    /// From when on samples are held without a cut, in milliseconds since the Unix epoch.
    pub(crate) fn since_ms(&self) -> Option<i64> {
        let cut = self.newest_ms?.saturating_sub(self.retention_ms);
        self.first_ms.map(|first| first.max(cut))
    }

    /// Every series of that name, or of any name.
    pub(crate) fn series(&self, name: Option<&str>) -> impl Iterator<Item = (&Labels, &Series)> {
        let named = name.and_then(|name| self.metrics.get(name));
        let any = name.is_none().then(|| self.metrics.values().flatten());
        named.into_iter().flatten().chain(any.into_iter().flatten())
    }

    /// Takes in what a rule gave, and marks what it gave the last time, `before`, and now does not
    /// as stale. Says which series are now as the rule has them.
    ///
    /// As in Prometheus (rules/group.go `Eval` and tsdb/head_append.go `appendable`, 3.5), what a
    /// series has already at that time, or later, stays: to give it the very same sample is no
    /// error, another one is, and does not keep the others out.
    pub(crate) fn append_recorded(
        &mut self,
        at_ms: i64,
        before: &BTreeSet<Labels>,
        recorded: &BTreeMap<Labels, f64>,
    ) -> (BTreeSet<Labels>, Result<(), AppendError>) {
        let mut given = BTreeSet::new();
        let mut result = Ok(());
        for (labels, value) in recorded {
            let value = *value;
            match self.newest_of(labels) {
                Some(newest) if newest.at_ms >= at_ms => {
                    if newest.at_ms > at_ms || newest.value.to_bits() != value.to_bits() {
                        result = result.and(Err(AppendError::Taken {
                            at_ms,
                            series: labels.to_string(),
                            newest_ms: newest.at_ms,
                        }));
                        continue;
                    }
                }
                _ => self.push(labels.clone(), Sample { at_ms, value }),
            }
            given.insert(labels.clone());
        }
        for labels in before.difference(&given) {
            if self
                .newest_of(labels)
                .is_none_or(|newest| newest.at_ms < at_ms)
            {
                self.push(labels.clone(), Sample::stale(at_ms));
            }
        }
        (given, result)
    }

    /// Puts the points of a test's series in as they are, whatever a scrape would make of them:
    /// the first one at time 0, and one for each step. A point takes the place of one that is
    /// there already; histograms are left out.
    pub fn load(&mut self, series: &series::Series, step: Duration) {
        let metric = series.labels.name().to_owned();
        let metric = self.metrics.entry(metric).or_default();
        let held = metric.entry(series.labels.clone()).or_default();
        let step_ms = millis(step);
        let mut at_ms = 0_i64;
        for point in &series.points {
            let sample = match point {
                Point::Value(value) => Some(Sample {
                    at_ms,
                    value: *value,
                }),
                Point::Stale => Some(Sample::stale(at_ms)),
                Point::Missing | Point::Histogram => None,
            };
            if let Some(sample) = sample {
                let place = held.partition_point(|held| held.at_ms < at_ms);
                if held.get(place).is_some_and(|held| held.at_ms == at_ms) {
                    held.remove(place);
                }
                held.insert(place, sample);
            }
            at_ms = at_ms.saturating_add(step_ms);
        }
    }

    /// Puts one sample in as it is, whatever a scrape would make of it.
    pub(crate) fn put(&mut self, labels: &Labels, at_ms: i64, value: f64) {
        self.push(labels.clone(), Sample { at_ms, value });
    }

    pub(crate) fn newest_of(&self, labels: &Labels) -> Option<Sample> {
        let series = self.metrics.get(labels.name())?.get(labels)?;
        series.back().copied()
    }

    fn must_be_newer(&self, at_ms: i64) -> Result<(), AppendError> {
        match self.newest_ms {
            Some(newest_ms) if newest_ms >= at_ms => {
                Err(AppendError::OutOfOrder { at_ms, newest_ms })
            }
            _ => Ok(()),
        }
    }

    fn push(&mut self, labels: Labels, sample: Sample) {
        let metric = self.metrics.entry(labels.name().to_owned()).or_default();
        metric.entry(labels).or_default().push_back(sample);
    }

    fn drop_older_than(&mut self, oldest_ms: i64) {
        for metric in self.metrics.values_mut() {
            for series in metric.values_mut() {
                while series
                    .front()
                    .is_some_and(|sample| sample.at_ms < oldest_ms)
                {
                    series.pop_front();
                }
            }
            metric.retain(|_, series| !series.is_empty());
        }
        self.metrics.retain(|_, metric| !metric.is_empty());
    }
}

#[cfg(test)]
mod tests;
