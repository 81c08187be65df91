//! Counters of our own decisions. They begin at zero with every known label, so that the first
//! increase is one.

use std::collections::BTreeMap;

use snowguard_exporter::sample::{Family, Kind, count};

use crate::{
    gc::{plan::Reason, policy::Space},
    record::{Record, Recorder, Remedy, Step},
};

const OUTCOMES: [&str; 3] = ["done", "failed", "observed"];
const REMEDIES: [Remedy; 2] = [Remedy::Gc, Remedy::Rollback];

/// What was decided since the watchdog started.
#[derive(Debug)]
pub(super) struct Counters {
    runs: BTreeMap<(Remedy, &'static str), u64>,
    suppressed: BTreeMap<(Remedy, String), u64>,
    pub(super) freed: Space,
    pub(super) promised: Space,
    pub(super) ticks: u64,
    /// How often the samples took more memory than they may, and began anew.
    pub(super) overflows: u64,
}

impl Counters {
    pub(super) fn new() -> Self {
        let mut runs = BTreeMap::new();
        for remedy in REMEDIES {
            for outcome in OUTCOMES {
                runs.insert((remedy, outcome), 0);
            }
        }
        let suppressed = Reason::ALL
            .iter()
            .map(|reason| ((Remedy::Gc, reason.name().to_owned()), 0))
            .collect();
        Self {
            runs,
            suppressed,
            freed: Space::NONE,
            promised: Space::NONE,
            ticks: 0,
            overflows: 0,
        }
    }

    /// Counts what the journal is told: each refusal by its reason, each end by its outcome.
    pub(super) fn note(&mut self, record: &Record) {
        match record.step {
            Step::Refused => {
                *self
                    .suppressed
                    .entry((record.remedy, record.reason.clone()))
                    .or_default() += 1;
            }
            Step::Done => self.run(record.remedy, "done"),
            _ => {}
        }
    }

    pub(super) fn run(&mut self, remedy: Remedy, outcome: &'static str) {
        *self.runs.entry((remedy, outcome)).or_default() += 1;
    }

    pub(super) fn families(&self) -> Vec<Family> {
        let mut runs = Family::of(
            Kind::Counter,
            "snowguard_remedy_runs_total",
            "Remedies that were carried out since the watchdog started, by how they ended",
        );
        for ((remedy, outcome), number) in &self.runs {
            let labels = vec![
                ("remedy", remedy.name().to_owned()),
                ("outcome", (*outcome).to_owned()),
            ];
            runs.push(labels, count(*number));
        }
        let mut suppressed = Family::of(
            Kind::Counter,
            "snowguard_remedy_suppressed_total",
            "Decisions against acting since the watchdog started, by reason; the journal has each",
        );
        for ((remedy, reason), number) in &self.suppressed {
            let labels = vec![
                ("remedy", remedy.name().to_owned()),
                ("reason", reason.clone()),
            ];
            suppressed.push(labels, count(*number));
        }
        vec![
            runs,
            suppressed,
            Family::gauge(
                "snowguard_gc_promised_bytes",
                "Bytes that the plan of the last collection promised to free",
                count(self.promised.bytes),
            ),
            Family::counter(
                "snowguard_gc_freed_bytes_total",
                "Bytes that collections freed since the watchdog started, by statvfs",
                count(self.freed.bytes),
            ),
            Family::counter(
                "snowguard_watchdog_ticks_total",
                "Looks at the host since the watchdog started",
                count(self.ticks),
            ),
            Family::counter(
                "snowguard_rules_window_overflows_total",
                "How often the samples took more memory than they may and began anew, since the watchdog started",
                count(self.overflows),
            ),
        ]
    }
}

/// Counts each record on its way to the journal.
pub(super) struct Counting<'a> {
    pub(super) counters: &'a mut Counters,
    pub(super) inner: &'a mut dyn Recorder,
}

impl Recorder for Counting<'_> {
    fn record(&mut self, record: Record) {
        self.counters.note(&record);
        self.inner.record(record);
    }
}
