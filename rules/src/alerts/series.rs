//! Alerts as series, which rules may read (rules/alerting.go `sample`, `forStateSample`,
//! Prometheus 3.5).

use std::collections::{BTreeMap, BTreeSet};

use super::{Active, Tracked, state::Phase};
use crate::labels::{ALERTS, ALERTS_FOR_STATE, Labels, METRIC_NAME};
use crate::{AppendError, Window};

/// The label that tells whether the alert fires.
const ALERT_STATE: &str = "alertstate";

/// The metrics that tell of alerts.
pub(super) fn names() -> BTreeSet<String> {
    [ALERTS, ALERTS_FOR_STATE].map(str::to_owned).into()
}

impl Tracked {
    /// Writes the alerts into the window, and that those are gone that are no longer.
    ///
    /// Rules that raise the very same alert write the very same series, and of two values the
    /// first one counts.
    pub(super) fn write_alerts(
        &mut self,
        window: &mut Window,
        at_ms: i64,
    ) -> Result<(), AppendError> {
        let (given, result) = window.append_recorded(at_ms, &self.recorded, &self.alert_series());
        self.recorded = given;
        result
    }

    /// The series of alerts that were taken up count as written: they end when the alerts do.
    pub(super) fn take_up_series(&mut self) {
        self.recorded = self.alert_series().into_keys().collect();
    }

    fn alert_series(&self) -> BTreeMap<Labels, f64> {
        let series = self.active.iter().flat_map(|(labels, active)| {
            let (state, since) = told(active);
            let mut alert = labels.clone();
            alert.set(METRIC_NAME, ALERTS);
            alert.set(ALERT_STATE, state);
            let mut for_state = labels.clone();
            for_state.set(METRIC_NAME, ALERTS_FOR_STATE);
            [(alert, 1.0), (for_state, since)]
        });
        series.collect()
    }
}

/// The state of an alert, and since when in whole seconds.
fn told(active: &Active) -> (&'static str, f64) {
    let state = match active.phase {
        Phase::Pending => "pending",
        Phase::Firing { .. } => "firing",
    };
    (state, active.active_at_ms.div_euclid(1000) as f64)
}
