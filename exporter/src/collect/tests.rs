//! One failing collector never fails a collection; what it failed on is said.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use snowguard_host::{FactError, Kind as FactKind, Layout};

use super::{CollectError, Collector, Context, Name, Names, Registry, Snapshot, Switches};
use crate::{
    sample::{Family, Kind},
    state_file::StateFile,
};

type Act = fn(u32) -> Result<Vec<Family>, CollectError>;

/// A collector that does what the test says, by the number of the collection.
struct Fake(&'static str, Act, u32);

impl Collector for Fake {
    fn name(&self) -> &'static str {
        self.0
    }

    fn families(&self) -> &'static [&'static str] {
        &["nix_good"]
    }

    fn collect(&mut self, _: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        self.2 += 1;
        (self.1)(self.2)
    }
}

fn registry(fakes: &[(&'static str, Act)]) -> Registry {
    let mut registry = Registry::new(Layout::new("/nonexistent"), &Names::none());
    for (name, act) in fakes {
        registry = registry.with(Box::new(Fake(name, *act, 0)));
    }
    registry
}

fn value(snapshot: &Snapshot, name: &str, label: Option<&str>) -> Option<f64> {
    let family = snapshot.families.iter().find(|f| f.name == name)?;
    let has = |sample: &&crate::sample::Sample| {
        label.is_none_or(|label| sample.labels.iter().any(|(_, value)| value == label))
    };
    family.samples.iter().find(has).map(|sample| sample.value)
}

fn success(snapshot: &Snapshot, collector: &str) -> Option<f64> {
    value(
        snapshot,
        "snowguard_scrape_collector_success",
        Some(collector),
    )
}

fn good(_: u32) -> Result<Vec<Family>, CollectError> {
    Ok(vec![Family::gauge("nix_good", "good", 1.0)])
}

fn unreadable(_: u32) -> Result<Vec<Family>, CollectError> {
    Err(FactError::new(FactKind::Denied, "read it", "/x", "no", "do").into())
}

#[test]
fn a_collector_that_fails_or_breaks_down_takes_only_its_own_families_with_it() {
    fn breaks(_: u32) -> Result<Vec<Family>, CollectError> {
        panic!("boom")
    }
    let mut registry = registry(&[
        ("broken", breaks),
        ("unreadable", unreadable),
        ("good", good),
    ]);
    let snapshot = registry.collect(SystemTime::UNIX_EPOCH);
    assert_eq!(value(&snapshot, "nix_good", None), Some(1.0));
    assert_eq!(success(&snapshot, "broken"), Some(0.0));
    assert_eq!(success(&snapshot, "unreadable"), Some(0.0));
    assert_eq!(success(&snapshot, "good"), Some(1.0));
    let failed: Vec<_> = snapshot
        .failed
        .iter()
        .map(|(name, e)| (*name, e.to_string()))
        .collect();
    assert_eq!(failed[0].0, "broken");
    assert!(failed[0].1.contains("boom"), "{failed:?}");
    assert_eq!(
        failed[1],
        ("unreadable", "cannot read it: \"/x\": no; do".to_owned())
    );
}

#[test]
fn a_collector_that_recovers_is_a_success_again() {
    fn once(number: u32) -> Result<Vec<Family>, CollectError> {
        if number == 1 {
            unreadable(1)
        } else {
            good(number)
        }
    }
    let mut registry = registry(&[("once", once)]);
    assert_eq!(
        success(&registry.collect(SystemTime::now()), "once"),
        Some(0.0)
    );
    assert_eq!(
        success(&registry.collect(SystemTime::now()), "once"),
        Some(1.0)
    );
}

#[test]
fn every_collector_has_a_duration_and_the_build_is_named() {
    let snapshot = registry(&[("good", good)]).collect(SystemTime::now());
    let duration = "snowguard_scrape_collector_duration_seconds";
    assert!(value(&snapshot, duration, Some("good")).unwrap() >= 0.0);
    let version = Some(env!("CARGO_PKG_VERSION"));
    assert_eq!(value(&snapshot, "snowguard_build_info", version), Some(1.0));
}

#[test]
fn of_two_families_of_one_name_the_first_is_kept_and_the_second_reported() {
    fn other(_: u32) -> Result<Vec<Family>, CollectError> {
        Ok(vec![
            Family::gauge("nix_good", "another", 2.0),
            // In OpenMetrics the family is called nix_good, too.
            Family::counter("nix_good_total", "another", 2.0),
            Family::gauge("snowguard_scrape_collector_success", "a lie", 1.0),
            Family::gauge("nix_other", "other", 3.0),
        ])
    }
    let snapshot = registry(&[("good", good), ("other", other)]).collect(SystemTime::now());
    assert_eq!(value(&snapshot, "nix_good", None), Some(1.0));
    assert_eq!(value(&snapshot, "nix_good_total", None), None);
    assert_eq!(value(&snapshot, "nix_other", None), Some(3.0));
    assert_eq!(success(&snapshot, "other"), Some(0.0));
    assert!(matches!(
        snapshot.failed[0].1,
        CollectError::Clash {
            holder: "registry",
            ..
        }
    ));
    let mut names: Vec<_> = snapshot.families.iter().map(Family::base_name).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn what_the_watchdog_saw_as_root_takes_the_place_of_what_the_exporter_could_see() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("run/snowguard/state.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let now = SystemTime::now();
    StateFile {
        written_at: now,
        tick: Duration::from_secs(15),
        families: vec![
            Family::gauge("nix_good", "as root", 7.0),
            Family::gauge("nix_builds_active", "as root", 3.0),
        ],
    }
    .write_atomically(&path)
    .unwrap();
    let names = Names::none();
    let mut registry = Registry::new(Layout::new(root.path()), &names)
        .with(Box::new(Fake("good", good, 0)))
        .with(Box::new(super::watchdog::Watchdog));
    let snapshot = registry.collect(now);
    assert_eq!(value(&snapshot, "nix_good", None), Some(7.0));
    assert_eq!(value(&snapshot, "nix_builds_active", None), Some(3.0));
    assert_eq!(success(&snapshot, "watchdog"), Some(1.0));
    // A watchdog that is silent knows nothing better: the exporter's own answer is back.
    let later = registry.collect(now + Duration::from_secs(60));
    assert_eq!(value(&later, "nix_good", None), Some(1.0));
}

#[test]
fn a_host_that_is_none_fails_its_collectors_and_nothing_more() {
    let mut registry = Registry::new(Layout::new("/nonexistent"), &Names::all());
    let snapshot = registry.collect(SystemTime::now());
    for name in [
        "filesystem",
        "store",
        "generations",
        "system",
        "build_users",
    ] {
        assert_eq!(success(&snapshot, name), Some(0.0), "{name}");
        let (_, error) = snapshot
            .failed
            .iter()
            .find(|(failed, _)| *failed == name)
            .unwrap();
        assert!(error.to_string().contains("/nonexistent/"), "{error}");
    }
    assert_eq!(value(&snapshot, "nix_store_paths", None), None, "not zero");
    assert_eq!(
        success(&snapshot, "watchdog"),
        Some(1.0),
        "no watchdog is no failure"
    );
    assert_eq!(value(&snapshot, "snowguard_watchdog_up", None), Some(0.0));
}

#[test]
fn the_switches_of_the_configuration_cover_every_collector() {
    assert_eq!(Switches::default().names(), Names::all());
    for name in Name::ALL {
        let text = format!("{} = false", name.as_str());
        let switches: Switches = toml::from_str(&text).unwrap();
        assert_eq!(switches.names(), Names::all().without(name));
    }
}

mod watchdog {
    use super::*;

    fn host_with(state: Option<&str>) -> (tempfile::TempDir, Registry) {
        let root = tempfile::tempdir().unwrap();
        if let Some(state) = state {
            let path = root.path().join("run/snowguard/state.json");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, state).unwrap();
        }
        let names = Names::of_the_host();
        let only = Name::ALL.into_iter().filter(|name| names.has(*name));
        let names = only.fold(Names::all(), Names::without);
        let registry = Registry::new(Layout::new(root.path()), &names);
        (root, registry)
    }

    fn written(at: SystemTime) -> (tempfile::TempDir, Registry) {
        let (root, registry) = host_with(Some(""));
        let state = StateFile {
            written_at: at,
            tick: Duration::from_secs(15),
            families: vec![Family::of(Kind::Gauge, "snowguard_alerts", "alerts").with(vec![], 2.0)],
        };
        state
            .write_atomically(&root.path().join("run/snowguard/state.json"))
            .unwrap();
        (root, registry)
    }

    #[test]
    fn its_samples_are_published_while_it_writes() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let (_root, mut registry) = written(now - Duration::from_secs(30));
        let snapshot = registry.collect(now);
        assert_eq!(value(&snapshot, "snowguard_watchdog_up", None), Some(1.0));
        assert_eq!(value(&snapshot, "snowguard_alerts", None), Some(2.0));
        let at = value(
            &snapshot,
            "snowguard_watchdog_state_timestamp_seconds",
            None,
        );
        assert_eq!(at, Some(1_699_999_970.0));
    }

    #[test]
    fn what_it_said_long_ago_is_not_published_as_true_now() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let (_root, mut registry) = written(now - Duration::from_secs(60));
        let snapshot = registry.collect(now);
        assert_eq!(value(&snapshot, "snowguard_watchdog_up", None), Some(0.0));
        assert_eq!(value(&snapshot, "snowguard_alerts", None), None);
        assert_eq!(success(&snapshot, "watchdog"), Some(1.0));
    }

    #[test]
    fn a_state_file_that_is_none_fails_the_collector() {
        let (_root, mut registry) = host_with(Some("{"));
        let snapshot = registry.collect(SystemTime::now());
        assert_eq!(success(&snapshot, "watchdog"), Some(0.0));
        assert!(
            snapshot.failed[0]
                .1
                .to_string()
                .contains("run/snowguard/state.json")
        );
    }
}

#[test]
fn what_a_collector_would_give_is_unseen_even_if_it_never_worked() {
    let mut registry = registry(&[("unreadable", unreadable)]);
    let snapshot = registry.collect(SystemTime::UNIX_EPOCH);
    assert!(snapshot.unseen.contains("nix_good"));
}
