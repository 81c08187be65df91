//! Whether the watchdog runs, and what it saw last, by the file that it publishes.

use std::time::SystemTime;

use serde::Serialize;
use snowguard_exporter::{
    sample::Sample,
    state_file::{self, StateFile},
};

use super::super::text;

/// What is published.
#[derive(Debug, Serialize)]
pub(super) struct WatchdogView {
    /// True if it wrote its state lately.
    runs: bool,
    last_tick: Option<String>,
    interval_seconds: Option<u64>,
    alerts: Vec<AlertView>,
    failing_probes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct AlertView {
    name: String,
    state: String,
}

impl WatchdogView {
    pub(super) fn of(published: Option<&StateFile>, now: SystemTime) -> Self {
        let alerts = holding(published, "snowguard_alert_state", |value| value > 0.0);
        let failing = holding(published, "snowguard_probe_success", |value| value == 0.0);
        let mut alerts: Vec<AlertView> = alerts
            .into_iter()
            .filter_map(|sample| {
                Some(AlertView {
                    name: label(sample, "alertname")?,
                    state: label(sample, "state")?,
                })
            })
            .collect();
        // `firing` before `pending`.
        alerts.sort_by(|a, b| (&a.state, &a.name).cmp(&(&b.state, &b.name)));
        Self {
            runs: published.is_some_and(|file| !file.is_stale(now)),
            last_tick: published.map(|file| text::time(file.written_at)),
            interval_seconds: published.map(|file| file.tick.as_secs()),
            alerts,
            failing_probes: (failing.into_iter())
                .filter_map(|sample| label(sample, "probe"))
                .collect(),
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let Some(last_tick) = &self.last_tick else {
            let path = state_file::PATH;
            return vec![format!(
                "the watchdog does not run: there is no {path}; start it with `snowguard watch`, or, if it \
                 does run, see in its log why it cannot write there"
            )];
        };
        let mut lines = vec![if self.runs {
            format!("runs, last look at {last_tick}")
        } else {
            format!(
                "the watchdog does not run: its last look was at {last_tick}; what follows is of then"
            )
        }];
        for alert in &self.alerts {
            lines.push(format!("alert {}: {}", alert.state, alert.name));
        }
        if self.alerts.is_empty() {
            lines.push("no alert is pending or firing".to_owned());
        }
        for probe in &self.failing_probes {
            lines.push(format!("probe failing: {probe}"));
        }
        lines
    }
}

/// The values of a label on those samples of a family that are 1.
pub(super) fn labelled(published: Option<&StateFile>, family: &str, name: &str) -> Vec<String> {
    let samples = holding(published, family, |value| value > 0.0);
    let values = samples.into_iter().filter_map(|sample| label(sample, name));
    values.collect()
}

fn holding<'a>(
    published: Option<&'a StateFile>,
    family: &str,
    holds: fn(f64) -> bool,
) -> Vec<&'a Sample> {
    let families = published.map_or(&[][..], |file| &file.families);
    let samples = families.iter().filter(|f| f.name == family);
    let samples = samples.flat_map(|family| &family.samples);
    samples.filter(|sample| holds(sample.value)).collect()
}

fn label(sample: &Sample, name: &str) -> Option<String> {
    let (_, value) = sample.labels.iter().find(|(key, _)| key == name)?;
    Some(value.clone())
}
