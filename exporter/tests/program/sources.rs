//! What the sources promise as a whole: the metrics are documented, and no process is spawned.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The sources below a directory, without their tests.
fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            found.push((path, code.to_owned()));
        }
    }
    found
}

fn is_metric(text: &str) -> bool {
    ["nix_", "nixos_", "snowguard_"].iter().any(|prefix| {
        text.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && !rest.ends_with('_'))
    }) && text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Every metric of a program stands in its sources as a literal.
fn literals(dir: &str) -> BTreeSet<String> {
    sources(&workspace().join(dir))
        .iter()
        .flat_map(|(_, text)| {
            text.split('"')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|literal| is_metric(literal))
        // The name of a family in OpenMetrics, not of a metric.
        .filter(|literal| literal != "snowguard_build")
        .collect()
}

/// The metrics of the tables, "| `name` | …": the exporter's own, and those of the watchdog.
fn documented() -> (BTreeSet<String>, BTreeSet<String>) {
    let text = fs::read_to_string(workspace().join("docs/metrics.md")).unwrap();
    let (exporter, watchdog) = text.split_once("\n## From the watchdog").unwrap();
    let rows = |chapters: &str| {
        let names = chapters
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        names.map(str::to_owned).collect()
    };
    (rows(exporter), rows(watchdog))
}

fn same(emitted: &BTreeSet<String>, documented: &BTreeSet<String>) {
    let undocumented: Vec<_> = emitted.difference(documented).collect();
    let unknown: Vec<_> = documented.difference(emitted).collect();
    assert!(
        undocumented.is_empty(),
        "not in docs/metrics.md: {undocumented:?}"
    );
    assert!(unknown.is_empty(), "in docs/metrics.md only: {unknown:?}");
}

#[test]
fn every_metric_is_documented_and_every_documented_metric_exists() {
    let emitted = literals("exporter/src/collect");
    assert!(emitted.len() > 25, "{emitted:?}");
    same(&emitted, &documented().0);
}

#[test]
fn what_comes_from_the_watchdog_is_documented_and_what_is_documented_comes_from_it() {
    let mut emitted = literals("watchdog/src");
    // Its own name for what the exporter publishes of it, and for the rules that it evaluates.
    let (exporter, watchdog) = documented();
    // Of Nix it says little that the exporter does not; the rest are beginnings of names.
    let is_own = |name: &String| name.starts_with("snowguard_") || watchdog.contains(name);
    emitted.retain(|name| is_own(name) && !exporter.contains(name));
    assert!(emitted.len() > 25, "{emitted:?}");
    same(&emitted, &watchdog);
}

/// The exporter listens on the network, so it never starts a program.
#[test]
fn neither_exporter_nor_host_spawns_a_process() {
    for crate_dir in ["exporter/src", "host/src"] {
        let found = sources(&workspace().join(crate_dir));
        assert!(found.len() > 10);
        for (path, text) in found {
            for word in ["process::Command", "execv", "fork(", "posix_spawn"] {
                assert!(!text.contains(word), "{path:?} has {word}");
            }
        }
    }
}
