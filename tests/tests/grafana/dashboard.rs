//! The dashboard as these tests look at it.

use std::{fs, path::Path};

use serde_json::Value;

/// One query of a panel.
pub(crate) struct Target {
    pub(crate) panel: String,
    pub(crate) expr: String,
    pub(crate) legend: String,
}

pub(crate) fn load() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana/snowguard-host.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.unwrap_or_else(|| panic!("no list {pointer}"))
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    let found = value[key].as_str();
    found.unwrap_or_else(|| panic!("no text {key:?} in {value}"))
}

/// The panels that show something: all but the rows.
pub(crate) fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = list(dashboard, "/panels").iter();
    panels.filter(|panel| panel["type"] != "row")
}

pub(crate) fn targets(dashboard: &Value) -> Vec<Target> {
    let of_panel = |panel: &Value| {
        let title = text(panel, "title").to_owned();
        let targets = list(panel, "/targets").iter();
        let read = targets.map(move |target| Target {
            panel: title.clone(),
            expr: text(target, "expr").to_owned(),
            legend: text(target, "legendFormat").to_owned(),
        });
        read.collect::<Vec<_>>()
    };
    panels(dashboard).flat_map(of_panel).collect()
}

/// The annotations that ask Prometheus.
pub(crate) fn annotations(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let all = list(dashboard, "/annotations/list").iter();
    all.filter(|annotation| annotation["builtIn"] != 1)
}

/// Every sample that an expression names, with what follows the name.
pub(crate) fn selectors(expr: &str) -> Vec<(&str, &str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expr;
    while let Some(start) = rest.find(is_word) {
        let word = &rest[start..];
        let end = word.find(|c| !is_word(c)).unwrap_or(word.len());
        let (name, after) = word.split_at(end);
        let prefixes = ["nix_", "nixos_", "snowguard_", "ALERTS"];
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            found.push((name, after));
        }
        rest = after;
    }
    found
}
