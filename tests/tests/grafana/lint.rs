//! The rules of Grafana's own dashboard-linter, and that panels do not lie over one another.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::dashboard::{annotations, list, load, panels, selectors, targets, text};

/// As Grafana names them; a unit that it does not know is shown as a word after the number.
const UNITS: [&str; 7] = [
    "bytes",
    "dateTimeFromNow",
    "none",
    "percentunit",
    "reqps",
    "s",
    "short",
];

fn variable<'a>(dashboard: &'a Value, name: &str) -> &'a Value {
    let mut all = list(dashboard, "/templating/list").iter();
    let found = all.find(|variable| variable["name"] == name);
    found.unwrap_or_else(|| panic!("no variable {name}"))
}

#[test]
fn a_provisioned_dashboard_stays_as_it_is_and_where_it_is() {
    let dashboard = load();
    assert_eq!(dashboard["id"], Value::Null);
    assert_eq!(dashboard["uid"], "snowguard-host");
    assert_eq!(dashboard["editable"], false);
    let version = dashboard["schemaVersion"].as_u64().unwrap();
    assert!((39..=42).contains(&version), "{version}");
    // They are resolved only where a person imports the file by hand.
    for key in ["__inputs", "__requires"] {
        assert_eq!(dashboard.get(key), None, "{key}");
    }
}

#[test]
fn the_data_source_and_the_hosts_can_be_chosen() {
    let dashboard = load();
    let source = variable(&dashboard, "datasource");
    assert_eq!(source["label"], "Data source");
    assert_eq!(
        (&source["type"], &source["query"]),
        (&json!("datasource"), &json!("prometheus"))
    );
    for name in ["job", "instance"] {
        let variable = variable(&dashboard, name);
        assert_eq!(variable["label"], name);
        assert_eq!(variable["type"], "query");
        assert_eq!(variable["multi"], true, "{name}");
        assert_eq!(variable["allValue"], ".+", "{name}");
        assert_eq!(
            variable["refresh"], 2,
            "{name}: when the time range changes"
        );
        assert_eq!(variable["datasource"]["uid"], "${datasource}", "{name}");
    }
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    let dashboard = load();
    for panel in panels(&dashboard) {
        let title = text(panel, "title");
        assert!(!title.is_empty());
        assert!(text(panel, "description").ends_with('.'), "{title}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let unit = text(&panel["fieldConfig"]["defaults"], "unit");
        assert!(UNITS.contains(&unit), "{title}: {unit}");
        assert!(!list(panel, "/targets").is_empty(), "{title}");
        for target in list(panel, "/targets") {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}

#[test]
fn every_query_keeps_to_the_hosts_that_were_chosen() {
    let dashboard = load();
    let of_annotations =
        annotations(&dashboard).map(|annotation| text(annotation, "expr").to_owned());
    let of_panels = targets(&dashboard).into_iter().map(|target| target.expr);
    for expr in of_panels.chain(of_annotations) {
        let selectors = selectors(&expr);
        assert!(!selectors.is_empty(), "{expr}");
        for (name, after) in selectors {
            let chosen = after.starts_with("{job=~\"$job\", instance=~\"$instance\"");
            assert!(chosen, "{name} in {expr}");
        }
    }
}

#[test]
fn only_counters_are_rated_and_over_the_interval_of_the_scrape() {
    for target in targets(&load()) {
        let expr = target.expr;
        assert!(!expr.contains("irate("), "{expr}");
        let rated = expr.matches("rate(").count() + expr.matches("increase(").count();
        let counters = selectors(&expr);
        let counters = counters.iter().filter(|(name, _)| name.ends_with("_total"));
        assert_eq!(rated, counters.count(), "{expr}");
        assert_eq!(
            rated,
            expr.matches("}[$__rate_interval])").count(),
            "{expr}"
        );
    }
}

#[test]
fn all_four_headline_facts_and_both_remedies_have_their_place() {
    let dashboard = load();
    let rows = list(&dashboard, "/panels").iter();
    let rows: Vec<_> = rows
        .filter(|panel| panel["type"] == "row")
        .map(|row| text(row, "title"))
        .collect();
    let expected = [
        "Store usage",
        "Generations",
        "Build users",
        "Substituters",
        "Alerts and remedies",
        "Upkeep",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn no_panel_covers_another_and_no_two_share_an_id() {
    let dashboard = load();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in list(&dashboard, "/panels") {
        let title = text(panel, "title");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{title}");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{title} covers another at {x},{y}");
            }
        }
    }
}
