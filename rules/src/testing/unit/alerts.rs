//! What `alert_rule_test` expects.

use std::collections::BTreeMap;

use super::format::{AlertCase, time};
use crate::labels::ALERT_NAME;
use crate::{AlertState, Engine};

/// Labels and annotations of one alert.
type Texts = (BTreeMap<String, String>, BTreeMap<String, String>);

/// The cases by the last evaluation before or at their time.
pub(super) fn by_evaluation(
    cases: &[AlertCase],
    interval_ms: i64,
) -> Result<BTreeMap<i64, Vec<&AlertCase>>, String> {
    let mut sorted: BTreeMap<i64, Vec<&AlertCase>> = BTreeMap::new();
    for case in cases {
        let at_ms = case.eval_time.map_or(0, |span| span.0);
        if case.alertname.as_deref().unwrap_or_default().is_empty() {
            let time = time(at_ms);
            return Err(format!(
                "an item of `alert_rule_test` at {time} has no `alertname`"
            ));
        }
        let evaluation_ms = at_ms - at_ms.rem_euclid(interval_ms);
        sorted.entry(evaluation_ms).or_default().push(case);
    }
    Ok(sorted)
}

pub(super) fn check(case: &AlertCase, engine: &Engine) -> Result<(), String> {
    let name = case.alertname.as_deref().unwrap_or_default();
    let expected = case.exp_alerts.iter().flatten().map(|alert| {
        let mut labels = alert.exp_labels.clone().unwrap_or_default();
        labels.insert(ALERT_NAME.to_owned(), name.to_owned());
        (labels, alert.exp_annotations.clone().unwrap_or_default())
    });
    let mut expected = expected.collect::<Vec<Texts>>();
    let firing = engine.alerts().into_iter().filter(|alert| {
        alert.rule.name == name && matches!(alert.state, AlertState::Firing { .. })
    });
    let firing = firing.map(|alert| {
        let labels = alert.labels.iter();
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        (labels.collect(), alert.annotations)
    });
    let mut firing = firing.collect::<Vec<Texts>>();
    expected.sort();
    firing.sort();
    if expected == firing {
        return Ok(());
    }
    let at = time(case.eval_time.map_or(0, |span| span.0));
    Err(format!(
        "alert {name:?} at {at}:\n  expected: {}\n  got:      {}",
        shown(&expected),
        shown(&firing)
    ))
}

fn shown(alerts: &[Texts]) -> String {
    if alerts.is_empty() {
        return "no alert".to_owned();
    }
    let shown = alerts
        .iter()
        .map(|(labels, annotations)| format!("{labels:?} with {annotations:?}"));
    shown.collect::<Vec<_>>().join(", ")
}
