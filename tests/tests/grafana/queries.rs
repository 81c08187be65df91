//! Every query of the dashboard, as Grafana expands it, on a real Prometheus.

use std::{fs, path::Path};

use serde_json::Value;
use snowguard_tests::prometheus::Prometheus;

use crate::{
    dashboard::{annotations, list, load, targets, text},
    prometheus::scraping,
};

/// What a host with both programs publishes: the page that the exporter's own tests hold it to,
/// and the watchdog's families.
fn page() -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let exporter = tests.join("../exporter/tests/program/golden/page.prom");
    let watchdog = tests.join("tests/grafana/watchdog.prom");
    let read = |path| {
        fs::read_to_string(path)
            .unwrap()
            .replace(" VALUE\n", " 7\n")
    };
    // Without a watchdog in that fixture, the first says 0.
    let exporter = read(exporter).replace("snowguard_watchdog_up 0", "snowguard_watchdog_up 1");
    exporter + &read(watchdog)
}

fn running() -> Prometheus {
    let prometheus = scraping(page());
    // Two scrapes make a rate; the alert is one that fires without delay.
    prometheus.wait_for("count_over_time(snowguard_build_info[1m]) > 3");
    prometheus.wait_for("ALERTS{alertname=\"SnowguardRemedyLatched\", alertstate=\"firing\"}");
    prometheus
}

/// As Grafana writes "All" into a query.
fn expanded(text: &str) -> String {
    [
        ("$__rate_interval", "5s"),
        ("$__interval", "1s"),
        ("$__range", "1m"),
        ("$job", ".+"),
        ("$instance", ".+"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (name, value)| {
        text.replace(name, value)
    })
}

/// The labels that a legend shows.
fn labels(legend: &str) -> impl Iterator<Item = &str> {
    let parts = legend.split("{{").skip(1);
    parts.filter_map(|part| part.split_once("}}").map(|(label, _)| label))
}

#[test]
fn every_panel_shows_something_on_a_host_with_both_programs() {
    let prometheus = running();
    for target in targets(&load()) {
        let expr = expanded(&target.expr);
        let panel = &target.panel;
        assert!(!expr.contains('$'), "{panel}: {expr}");
        let series = prometheus.query(&expr);
        let series = series.unwrap_or_else(|error| panic!("{panel}: {expr}: {error}"));
        assert!(!series.is_empty(), "{panel}: {expr} has no result");
        for one in &series {
            assert_ne!(one["value"][1], "NaN", "{panel}: {expr}");
            for label in labels(&target.legend) {
                let known = one["metric"].get(label).is_some();
                assert!(known, "{panel}: no label {label} in {one}");
            }
        }
    }
}

#[test]
fn alerts_and_activations_are_marked_and_hosts_are_found() {
    let prometheus = running();
    let dashboard = load();
    let mut marked = 0;
    for annotation in annotations(&dashboard) {
        let expr = expanded(text(annotation, "expr"));
        let series = prometheus.query(&expr).unwrap();
        assert!(!series.is_empty(), "{expr}");
        for template in ["titleFormat", "textFormat"] {
            for label in labels(text(annotation, template)) {
                assert!(series[0]["metric"].get(label).is_some(), "{expr}: {label}");
            }
        }
        marked += 1;
    }
    assert_eq!(marked, 2);

    let variables = list(&dashboard, "/templating/list").iter();
    let mut found = Vec::new();
    for variable in variables.filter(|variable| variable["type"] == "query") {
        let query = expanded(text(variable, "query"));
        let inner = query.strip_prefix("label_values(").unwrap();
        let (selector, label) = inner.trim_end_matches(')').rsplit_once(", ").unwrap();
        assert_eq!(label, text(variable, "name"));
        let path = format!("label/{label}/values");
        let values = prometheus.get(&path, &[("match[]", selector)]).unwrap();
        found.push(values.as_array().map_or(0, Vec::len));
    }
    assert_eq!(found, [1, 1]);
}

#[test]
fn a_query_that_prometheus_refuses_is_no_empty_panel() {
    let prometheus = scraping(page());
    let said = prometheus.query("rate(nix_store_paths").unwrap_err();
    assert!(said.contains("parse error"), "{said}");
    assert_eq!(
        prometheus.query("nix_no_such_sample"),
        Ok(Vec::<Value>::new())
    );
}
