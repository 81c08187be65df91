//! What users of rules rely on: Prometheus reads them, each alert is tested both ways and has a
//! page, and both programs publish all that is compared.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::SHIPPED;
use crate::judge::{promtool3, run};
use crate::{AlertState, Engine, Labels, Remedy, RuleSet, Window};

const RUNBOOKS: &str = "https://example.org/snowguard/docs/runbooks/";

fn directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn load() -> RuleSet {
    RuleSet::parse_all(SHIPPED).unwrap()
}

/// The names of all rule files here, in order.
fn files() -> Vec<String> {
    let entries = fs::read_dir(directory()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = names.filter(|name| name.ends_with(".rules.yaml")).collect();
    files.sort();
    files
}

/// Each alerting rule as it is written, by the name of its alert.
fn written() -> Vec<(&'static str, &'static str)> {
    let of_file = |(_, text): (&str, &'static str)| text.split("- alert: ").skip(1);
    let rules = SHIPPED.into_iter().flat_map(of_file);
    rules.map(|rule| rule.split_once('\n').unwrap()).collect()
}

/// The value of a key that is written on one line of a rule.
fn value<'a>(rule: &'a str, key: &str) -> &'a str {
    let mut lines = rule.lines().map(str::trim);
    let found = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {key} in {rule}"))
}

#[test]
fn every_rule_file_but_that_of_a_fleet_is_built_in() {
    let built_in = SHIPPED.map(|(name, _)| name.to_owned());
    let mut files = files();
    files.retain(|name| name != "fleet.rules.yaml");
    assert_eq!(files, built_in);
}

#[test]
fn both_versions_of_promtool_find_nothing_to_say_about_the_shipped_rules() {
    let old = PathBuf::from("/usr/bin/promtool");
    assert!(
        old.exists(),
        "{} is missing: run tests/lab/install, which installs the package prometheus",
        old.display()
    );
    let files = files();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    for promtool in [old, promtool3()] {
        let arguments = ["check", "rules", "--lint=all", "--lint-fatal"];
        let arguments = [arguments.as_slice(), &files].concat();
        let (success, said) = run(&promtool, directory(), &arguments);
        assert!(success, "{}:\n{said}", promtool.display());
    }
}

#[test]
fn each_shipped_alert_fires_when_it_should_and_not_in_the_nearest_harmless_case() {
    let tests: Vec<String> = files()
        .iter()
        .map(|file| format!("tests/{}", file.replace(".rules.", ".test.")))
        .collect();
    let arguments: Vec<&str> = ["test", "rules"]
        .into_iter()
        .chain(tests.iter().map(String::as_str))
        .collect();
    let (success, said) = run(&promtool3(), directory(), &arguments);
    assert!(success, "{said}");

    let read = |file: &String| fs::read_to_string(directory().join(file)).unwrap();
    let texts: Vec<String> = tests.iter().map(read).collect();
    for (name, rule) in written() {
        let severity = value(rule, "severity");
        let asked = format!("alertname: {name}\n");
        // What is expected of the alert at one moment, up to the next one.
        let asks: Vec<&str> = texts
            .iter()
            .flat_map(|text| text.split("- eval_time: "))
            .filter_map(|ask| ask.split_once(&asked).map(|(_, expected)| expected))
            .collect();
        let is_harmless = |ask: &&&str| ask.trim_start().starts_with("exp_alerts: []");
        let fires = |ask: &&&str| ask.contains(&format!("severity: {severity}\n"));
        assert!(
            asks.iter().filter(fires).count() > 0,
            "{name} ({severity}) is never tested to fire"
        );
        assert!(
            asks.iter().filter(is_harmless).count() > 0,
            "{name} is never tested to be harmless"
        );
    }
}

#[test]
fn the_watchdog_s_own_evaluator_says_of_each_shipped_alert_what_prometheus_says() {
    for file in files() {
        let test = directory().join(format!("tests/{}", file.replace(".rules.", ".test.")));
        let ran = crate::testing::run(&test, &mut |warning| panic!("{warning}"));
        assert_eq!(ran, Ok(()), "{file}");
    }
}

#[test]
fn each_alert_says_how_bad_it_is_and_what_to_do_about_it() {
    let pages = directory().join("../docs/runbooks");
    let mut known = BTreeSet::from(["README".to_owned()]);
    for (name, rule) in written() {
        known.insert(name.to_owned());
        assert!(
            ["critical", "warning"].contains(&value(rule, "severity")),
            "{name}"
        );
        assert!(value(rule, "summary").ends_with('.'), "{name}");
        assert!(rule.contains("description: >-\n"), "{name}");
        let url = format!("{RUNBOOKS}{name}.md");
        assert_eq!(value(rule, "runbook_url"), url);
        let page = fs::read_to_string(pages.join(format!("{name}.md")));
        let page = page.unwrap_or_else(|error| panic!("{name} has no page: {error}"));
        assert!(page.starts_with(&format!("# {name}\n")), "{name}");
        let parts: Vec<(&str, &str)> = page
            .split("\n## ")
            .skip(1)
            .map(|part| part.split_once('\n').unwrap())
            .collect();
        let headings: Vec<&str> = parts.iter().map(|(heading, _)| *heading).collect();
        let expected = [
            "Meaning",
            "What Snowguard does by itself",
            "What to do by hand",
        ];
        assert_eq!(headings, expected, "{name}");
        assert!(
            parts.iter().all(|(_, text)| !text.trim().is_empty()),
            "{name}"
        );
    }
    for page in fs::read_dir(pages).unwrap() {
        let page = page.unwrap().path();
        let name = page.file_stem().unwrap().to_str().unwrap();
        assert!(known.contains(name), "{name} is no alert");
    }
}

#[test]
fn nothing_is_compared_that_no_program_publishes() {
    let documented = fs::read_to_string(directory().join("../docs/metrics.md")).unwrap();
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    for file in files() {
        let text = fs::read_to_string(directory().join(&file)).unwrap();
        // Files and groups are named with hyphens, and what is recorded with colons.
        for word in text.split(|c| !is_of_name(c)) {
            let ours = ["nix_", "nixos_", "snowguard_"];
            if !ours.iter().any(|prefix| word.starts_with(prefix)) {
                continue;
            }
            let row = format!("| `{word}` |");
            assert!(documented.contains(&row), "{file}: {word}");
        }
        let recorded: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- record: "))
            .collect();
        for word in text
            .split(|c| !is_of_name(c))
            .filter(|word| word.matches(':').count() == 2 && !word.ends_with(':'))
        {
            assert!(recorded.contains(word), "{file}: {word} is not recorded");
        }
    }
}

#[test]
fn only_the_alerts_that_a_remedy_can_cure_ask_for_one() {
    let rules = load();
    let asking = rules
        .alerting()
        .filter_map(|(rule, remedy)| Some((rule.name.as_str(), remedy?)));
    let expected = [
        ("NixStoreSpaceLow", Remedy::Gc),
        ("NixStoreInodesLow", Remedy::Gc),
        ("NixOSDeployUnhealthy", Remedy::Rollback),
    ];
    assert_eq!(asking.collect::<Vec<_>>(), expected);
}

#[test]
fn the_longest_range_and_the_lookback_fit_into_the_window() {
    let hour = Duration::from_secs(3600);
    let lookback = Duration::from_secs(300);
    assert_eq!(load().needed_window(), hour + lookback);
}

/// The samples that the watchdog collects, without the labels that a scrape adds.
fn collection(avail: f64, probe: f64) -> Vec<(Labels, f64)> {
    let plain = |name: &str, value| (Labels::metric(name), value);
    vec![
        plain("nix_store_filesystem_avail_bytes", avail),
        plain("nix_store_filesystem_size_bytes", 100e9),
        plain("nix_store_filesystem_files", 0.0),
        plain("nix_store_filesystem_files_free", 0.0),
        plain("snowguard_gc_trigger_bytes", 10e9),
        plain("snowguard_gc_trigger_files", 1e4),
        plain("snowguard_trial_active", 1.0),
        (
            Labels::metric("snowguard_probe_success").with("probe", "web"),
            probe,
        ),
        (
            Labels::metric("snowguard_probe_success").with("probe", "units"),
            1.0,
        ),
    ]
}

#[test]
fn the_alerts_that_heal_fire_on_samples_without_job_and_instance() {
    let rules = load();
    let mut window = Window::new(rules.needed_window());
    let mut engine = Engine::new(rules);
    let mut remedies = Vec::new();
    for tick in 0..4 {
        let at_ms = tick * 15_000;
        let (avail, probe) = if tick == 0 { (20e9, 1.0) } else { (5e9, 0.0) };
        window
            .append_scrape(at_ms, collection(avail, probe))
            .unwrap();
        engine.evaluate(&mut window, at_ms);
        let firing = engine.alerts().into_iter();
        let firing = firing.filter(|alert| matches!(alert.state, AlertState::Firing { .. }));
        remedies.push(firing.filter_map(|alert| alert.remedy).collect::<Vec<_>>());
    }
    let expected = [
        vec![],
        vec![],
        vec![Remedy::Rollback],
        vec![Remedy::Gc, Remedy::Rollback],
    ];
    assert_eq!(remedies, expected);
}
