//! The rule files that this crate ships: Prometheus and the watchdog both load them unchanged.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::judge::{promtool3, run};
use crate::{AlertState, Engine, Labels, Remedy, RuleSet, Window};

const FILES: [&str; 2] = ["nix-store.rules.yaml", "nixos-deploy.rules.yaml"];

fn directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn load() -> RuleSet {
    RuleSet::load(&[directory().to_owned()]).unwrap()
}

#[test]
fn both_versions_of_promtool_find_nothing_to_say_about_the_shipped_rules() {
    let old = PathBuf::from("/usr/bin/promtool");
    assert!(
        old.exists(),
        "{} is missing: run tests/lab/install, which installs the package prometheus",
        old.display()
    );
    for promtool in [old, promtool3()] {
        let arguments = ["check", "rules", "--lint=all", "--lint-fatal"];
        let arguments = [arguments.as_slice(), &FILES].concat();
        let (success, said) = run(&promtool, directory(), &arguments);
        assert!(success, "{}:\n{said}", promtool.display());
    }
}

#[test]
fn each_shipped_alert_fires_when_it_should_and_not_in_the_nearest_harmless_case() {
    let tests = ["tests/nix-store.test.yaml", "tests/nixos-deploy.test.yaml"];
    let arguments = [&["test", "rules"], tests.as_slice()].concat();
    let (success, said) = run(&promtool3(), directory(), &arguments);
    assert!(success, "{said}");

    let texts = tests.map(|file| std::fs::read_to_string(directory().join(file)).unwrap());
    for (rule, _) in load().alerting() {
        let asked = format!("alertname: {}\n", rule.name);
        let asks = texts.iter().flat_map(|text| text.split(&asked).skip(1));
        let (harmless, firing): (Vec<_>, Vec<_>) =
            asks.partition(|after| after.trim_start().starts_with("exp_alerts: []"));
        let both = !harmless.is_empty() && !firing.is_empty();
        assert!(both, "{rule} is not tested to fire and to be harmless");
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
