//! A test file as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::file::raw::Span;

#[derive(Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping with `rule_files` and `tests`"
)]
pub(super) struct File {
    pub(super) rule_files: Option<Vec<String>>,
    pub(super) evaluation_interval: Option<Span>,
    pub(super) group_eval_order: Option<Vec<String>>,
    pub(super) tests: Option<Vec<Test>>,
    pub(super) fuzzy_compare: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a test, which is a mapping")]
pub(super) struct Test {
    pub(super) interval: Option<Span>,
    pub(super) input_series: Option<Vec<Series>>,
    pub(super) alert_rule_test: Option<Vec<AlertCase>>,
    pub(super) promql_expr_test: Option<Vec<ExpressionCase>>,
    pub(super) external_labels: Option<BTreeMap<String, String>>,
    pub(super) external_url: Option<String>,
    pub(super) name: Option<String>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping with `series` and `values`"
)]
pub(super) struct Series {
    pub(super) series: Option<String>,
    pub(super) values: Option<String>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping with `eval_time`, `alertname` and `exp_alerts`"
)]
pub(super) struct AlertCase {
    pub(super) eval_time: Option<Span>,
    pub(super) alertname: Option<String>,
    pub(super) exp_alerts: Option<Vec<ExpectedAlert>>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping with `exp_labels` and `exp_annotations`"
)]
pub(super) struct ExpectedAlert {
    pub(super) exp_labels: Option<BTreeMap<String, String>>,
    pub(super) exp_annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping with `expr`, `eval_time` and `exp_samples`"
)]
pub(super) struct ExpressionCase {
    pub(super) expr: Option<String>,
    pub(super) eval_time: Option<Span>,
    pub(super) exp_samples: Option<Vec<ExpectedSample>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with `labels` and `value`")]
pub(super) struct ExpectedSample {
    pub(super) labels: Option<String>,
    pub(super) value: Option<f64>,
    pub(super) histogram: Option<String>,
}

/// Milliseconds as `1h30m`.
pub(super) fn time(ms: i64) -> String {
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let (mut rest, mut text) = (ms, String::new());
    for (unit, size) in units {
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}
