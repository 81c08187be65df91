//! Promise: the alert that pages is the alert that heals, so an alert fires at the evaluations at
//! which Prometheus's fires, with the same labels and annotations.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use super::{Point, Random, TestSeries, cases, promtool3, quoted, run};
use crate::labels::{ALERT_NAME, Labels};
use crate::window::Window;
use crate::{AlertState, Engine, RuleSet};

const INTERVAL_MS: i64 = 15_000;
const POINTS: usize = 40;

/// A gauge that is above zero for some while, then not, now and then missing.
fn series() -> impl Strategy<Value = Vec<TestSeries>> {
    let value = prop_oneof![
        3 => Just(1.0),
        1 => select(vec![0.5, 1023.0, 4096.0, 98_765.0, 1e6, 12_345_678.9, 3e9, 1.5e15, 1e-3, 7e-7]),
        2 => Just(-1.0),
    ];
    let run = (1..8_usize, value, 0..9).prop_map(|(length, value, kind)| {
        let point = match kind {
            0 => Point::Missing,
            1 => Point::Stale,
            _ => Point::Value(value),
        };
        vec![point; length]
    });
    let of = |label: &'static str| {
        vec(run.clone(), POINTS).prop_map(move |runs| TestSeries {
            labels: Labels::metric("load").with("disk", label),
            points: runs.into_iter().flatten().take(POINTS).collect(),
        })
    };
    (of("a"), of("b")).prop_map(|(a, b)| vec![a, b])
}

/// A rule file with two alerts, the second on what is recorded between them.
fn rules() -> impl Strategy<Value = String> {
    let time = || option::of(select(vec!["0s", "15s", "20s", "45s", "1m", "2m"]));
    let alert = |name: &'static str, expr: &'static str| {
        (time(), time(), any::<bool>()).prop_map(move |(hold, keep, labelled)| {
            let mut rule = format!("      - alert: {name}\n        expr: {expr}\n");
            for (field, time) in [("for", hold), ("keep_firing_for", keep)] {
                if let Some(time) = time {
                    writeln!(rule, "        {field}: {time}").unwrap();
                }
            }
            if labelled {
                rule += "        labels: {severity: page, of: '{{ $labels.disk }}!', disk: ''}\n";
            }
            rule + ANNOTATIONS
        })
    };
    (alert("Plain", "load > 0"), alert("Recorded", "disk:load:half > 0")).prop_map(
        |(first, second)| {
            format!(
                "groups:\n  - name: random\n    rules:\n{first}      - record: disk:load:half\n        \
                 expr: load / 2\n        labels: {{kind: half}}\n{second}"
            )
        },
    )
}

const ANNOTATIONS: &str = "        annotations:
          plain: '{{ $labels.__name__ }} {{ $labels.none }}{{ $labels.disk }} is {{ $value }}'
          humanize: '{{ $value | humanize }}, {{ humanize1024 $value }}, {{$value|humanizePercentage}}'
          duration: '{{ $value | humanizeDuration }}'
          printf: '{{ printf \"%.2f\" $value }} {{ $value | printf \"%.0f\" }}'
";

/// Evaluates the rules at every step and writes down which alerts fire.
fn expectations(rules: &str, series: &[TestSeries]) -> String {
    let mut engine = Engine::new(RuleSet::parse("random.rules.yaml", rules).unwrap());
    let mut window = Window::new(Duration::MAX);
    let mut yaml = String::new();
    // Some time more than an instant selector looks back.
    for at_ms in (0..POINTS as i64 + 30).map(|step| step * INTERVAL_MS) {
        for series in series {
            series.put(&mut window, INTERVAL_MS, at_ms, at_ms);
        }
        for outcome in engine.evaluate(&mut window, at_ms) {
            outcome.result.expect("every rule has an answer");
        }
        for name in ["Plain", "Recorded"] {
            let firing = engine.alerts().into_iter().filter(|alert| {
                alert.rule.name == name && matches!(alert.state, AlertState::Firing { .. })
            });
            writeln!(
                yaml,
                "      - eval_time: {at_ms}ms\n        alertname: {name}\n        exp_alerts:"
            )
            .unwrap();
            for alert in firing {
                let flow = |pairs: Vec<(&str, &str)>| {
                    let pairs = pairs.into_iter().filter(|(name, _)| *name != ALERT_NAME);
                    let pairs = pairs.map(|(name, value)| format!("{name}: {}", quoted(value)));
                    pairs.collect::<Vec<_>>().join(", ")
                };
                let labels = flow(alert.labels.iter().collect());
                let annotations = alert.annotations.iter();
                let annotations =
                    flow(annotations.map(|(n, v)| (n.as_str(), v.as_str())).collect());
                writeln!(
                    yaml,
                    "          - exp_labels: {{{labels}}}\n            exp_annotations: {{{annotations}}}"
                )
                .unwrap();
            }
        }
    }
    yaml
}

#[test]
fn a_random_alert_fires_at_the_evaluations_at_which_it_does_in_prometheus() {
    let mut random = Random::new();
    let directory = tempfile::tempdir().unwrap();
    let mut files = vec!["test".to_owned(), "rules".to_owned()];
    let mut fired = 0;
    for index in 0..cases(600).div_ceil(25) {
        let (rules, series) = (random.make(rules()), random.make(series()));
        let expectations = expectations(&rules, &series);
        fired += expectations.matches("exp_labels").count();
        let series = series.iter().map(TestSeries::yaml).collect::<String>();
        let test = format!(
            "rule_files: ['{index}.rules.yaml']\nevaluation_interval: {INTERVAL_MS}ms\ntests:\n  \
             - interval: {INTERVAL_MS}ms\n    input_series:\n{series}    alert_rule_test:\n{expectations}"
        );
        let file = format!("{index}.test.yaml");
        fs::write(directory.path().join(format!("{index}.rules.yaml")), rules).unwrap();
        fs::write(directory.path().join(&file), test).unwrap();
        files.push(file);
    }
    assert!(fired > 100, "too few alerts fire: {fired}");
    let arguments = files.iter().map(String::as_str).collect::<Vec<_>>();
    let (success, said) = run(&promtool3(), directory.path(), &arguments);
    assert!(success, "promtool does not agree:\n{said}");
}
