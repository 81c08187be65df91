//! Promise: blind is not healthy. An evaluation error, stale samples or a window too short for a
//! rule's range change no alert.

use super::*;
use crate::Window;

struct Host {
    window: Window,
    engine: Engine,
}

impl Host {
    fn new(rules: &str) -> Self {
        let rules = format!("groups: [{{name: g, rules: [{rules}]}}]");
        let rules = RuleSet::parse("f.rules.yaml", &rules).unwrap();
        Self {
            window: Window::new(rules.needed_window()),
            engine: Engine::new(rules),
        }
    }

    /// Collects and evaluates at a time in seconds; the steps that alerts took.
    fn tick(&mut self, at: i64, samples: &[(&str, f64)]) -> Vec<Step> {
        let samples = samples
            .iter()
            .map(|(name, value)| (Labels::metric(*name), *value));
        self.window.append_scrape(at * 1000, samples).unwrap();
        self.evaluate(at)
    }

    fn evaluate(&mut self, at: i64) -> Vec<Step> {
        self.engine.evaluate(&mut self.window, at * 1000);
        let steps = self.engine.transitions().iter();
        steps.map(|transition| transition.step).collect()
    }

    fn only(&self) -> Alert {
        let [alert] = self.engine.alerts().try_into().expect("one alert");
        alert
    }
}

const LOW: &str = "{alert: Low, expr: avail < 10, for: 30s, labels: {remedy: gc, severity: page},
    annotations: {text: '{{ $value }} left'}}";

#[test]
fn an_alert_is_pending_then_fires_then_resolves() {
    let mut host = Host::new(LOW);
    assert_eq!(host.tick(0, &[("avail", 20.0)]), []);
    assert_eq!(host.tick(15, &[("avail", 5.0)]), [Step::Began]);
    assert_eq!(host.only().state, AlertState::Pending);
    assert_eq!(host.tick(30, &[("avail", 4.0)]), []);
    assert_eq!(host.tick(45, &[("avail", 3.0)]), [Step::Fired]);

    let alert = host.only();
    assert_eq!(
        alert.rule.to_string(),
        "f.rules.yaml: group \"g\": rule \"Low\""
    );
    assert_eq!(
        alert.state,
        AlertState::Firing {
            fired_at_ms: 45_000
        }
    );
    assert_eq!(alert.active_at_ms, 15_000);
    assert_eq!(alert.last_true_ms, 45_000);
    assert_eq!(alert.remedy, Some(Remedy::Gc));
    assert_eq!(alert.annotations["text"], "3 left");
    let labels = "{alertname=\"Low\", remedy=\"gc\", severity=\"page\"}";
    assert_eq!(alert.labels.to_string(), labels);

    assert_eq!(host.tick(60, &[("avail", 20.0)]), [Step::Resolved]);
    assert_eq!(host.engine.alerts(), []);
    assert_eq!(host.tick(75, &[("avail", 5.0)]), [Step::Began]);
    assert_eq!(host.tick(90, &[("avail", 50.0)]), [Step::Cancelled]);
}

#[test]
fn an_alert_is_as_old_as_it_was_after_the_clock_was_set_back() {
    let mut host = Host::new(LOW);
    host.tick(10_000, &[("avail", 5.0)]);
    host.tick(10_015, &[("avail", 5.0)]);
    host.window.clear();
    assert_eq!(host.tick(1_000, &[("avail", 5.0)]), []);
    assert_eq!(host.only().active_at_ms, 985_000);
    assert_eq!(host.tick(1_015, &[("avail", 5.0)]), [Step::Fired]);
}

#[test]
fn time_that_did_not_pass_when_the_clock_was_put_forward_fires_no_alert() {
    let mut host = Host::new(LOW);
    host.tick(1_000, &[("avail", 5.0)]);
    host.engine.later_by(9_000_000);
    assert_eq!(host.tick(10_001, &[("avail", 5.0)]), []);
    assert_eq!(host.only().active_at_ms, 10_000_000);
    assert_eq!(host.tick(10_030, &[("avail", 5.0)]), [Step::Fired]);
}

#[test]
fn an_alert_is_kept_firing_and_says_since_when_its_condition_does_not_hold() {
    let mut host = Host::new("{alert: A, expr: x > 0, keep_firing_for: 30s}");
    assert_eq!(host.tick(0, &[("x", 1.0)]), [Step::Began, Step::Fired]);
    assert_eq!(host.tick(15, &[("x", 0.0)]), []);
    assert_eq!(host.tick(30, &[("x", 0.0)]), []);
    assert_eq!(host.only().last_true_ms, 0);
    assert_eq!(host.tick(45, &[("x", 0.0)]), [Step::Resolved]);
}

#[test]
fn blindness_changes_no_alert_and_begins_none() {
    let mut host = Host::new(LOW);
    host.tick(0, &[("avail", 5.0)]);
    let before = host.only();
    host.engine.blind("the collection failed");
    assert_eq!(host.engine.blind_reason(), Some("the collection failed"));
    assert_eq!(host.only(), before);
    assert_eq!(host.engine.transitions(), []);
    assert_eq!(host.tick(15, &[("avail", 5.0)]), []);
    assert_eq!(host.engine.blind_reason(), None);
}

#[test]
fn an_evaluation_error_changes_no_alert_of_its_rule_and_stops_no_other_rule() {
    let mut host =
        Host::new(r#"{alert: A, expr: '-{__name__=~"a|b"} < 0'}, {alert: B, expr: c > 0}"#);
    host.tick(0, &[("a", 1.0), ("c", 0.0)]);
    let before = host.only();
    let steps = host.tick(15, &[("a", 1.0), ("b", 1.0), ("c", 1.0)]);
    assert_eq!(steps, [Step::Began, Step::Fired]);
    assert_eq!(host.engine.alerts()[0], before);
    let outcomes = host.engine.evaluate(&mut host.window, 16_000);
    let error = outcomes[0].result.clone().unwrap_err();
    assert!(matches!(error, RuleError::Evaluation(_)), "{error}");
    assert!(error.to_string().contains("same labelset"), "{error}");
    assert_eq!(outcomes[1].result.as_ref().unwrap().len(), 1);
}

#[test]
fn results_that_would_be_the_same_alert_are_an_error() {
    let rule = "{alert: A, expr: '{__name__=~\"a|b\"} > 0', labels: {x: y}}";
    let mut host = Host::new(rule);
    host.window
        .append_scrape(0, [(Labels::metric("a"), 1.0), (Labels::metric("b"), 1.0)])
        .unwrap();
    let outcomes = host.engine.evaluate(&mut host.window, 0);
    let error = outcomes[0].result.clone().unwrap_err();
    assert!(matches!(error, RuleError::SameLabels { .. }), "{error}");
    assert_eq!(host.engine.alerts(), []);
}

#[test]
fn a_window_too_short_for_the_range_changes_no_alert() {
    let mut host = Host::new("{alert: A, expr: 'delta(x[1m]) < 0'}");
    for at in [0, 15, 30, 45] {
        assert_eq!(host.tick(at, &[("x", 100.0 - at as f64)]), [], "at {at}");
        let outcomes = host.engine.evaluate(&mut host.window, at * 1000);
        let expected = RuleError::WindowTooShort {
            needed_ms: 60_000,
            collected_ms: at * 1000,
        };
        assert_eq!(outcomes[0].result, Err(expected));
    }
    assert_eq!(host.tick(60, &[("x", 40.0)]), [Step::Began, Step::Fired]);

    host.window.clear();
    assert_eq!(host.tick(75, &[("x", 50.0)]), []);
    assert!(host.evaluate(90).is_empty());
    assert_eq!(host.only().last_true_ms, 60_000);
}

#[test]
fn later_rules_see_what_a_rule_records_and_that_it_is_gone() {
    let mut host = Host::new(
        "{record: 'half', expr: x / 2, labels: {of: x}}, {alert: A, expr: 'half{of=\"x\"} > 1'}",
    );
    assert_eq!(host.tick(0, &[("x", 4.0)]), [Step::Began, Step::Fired]);
    assert_eq!(host.only().value.to_bits(), 2.0_f64.to_bits());
    assert_eq!(host.tick(15, &[]), [Step::Resolved]);
}

#[test]
fn two_severities_of_one_condition_are_two_alerts() {
    let rule = |severity| format!("{{alert: A, expr: x > 0, labels: {{severity: {severity}}}}}");
    let mut host = Host::new(&format!("{}, {}", rule("warning"), rule("critical")));
    host.tick(0, &[("x", 1.0)]);
    assert_eq!(host.engine.alerts().len(), 2);

    let memory = host.engine.memory();
    let mut after = Host::new(&format!("{}, {}", rule("warning"), rule("critical")));
    assert_eq!(after.engine.restore(memory, 1_000), 2);
    assert_eq!(after.engine.alerts(), host.engine.alerts());
    assert_eq!(after.tick(15, &[("x", 1.0)]), []);
}

#[test]
fn a_firing_alert_fires_on_after_a_restart_and_a_pending_one_waits_on() {
    let mut host = Host::new(&format!("{LOW}, {{alert: B, expr: b > 0, for: 1m}}"));
    host.tick(0, &[("avail", 5.0)]);
    host.tick(30, &[("avail", f64::NEG_INFINITY), ("b", 1.0)]);
    let memory = host.engine.memory();

    let mut after = Host::new(&format!("{LOW}, {{alert: B, expr: b > 0, for: 1m}}"));
    assert_eq!(after.engine.restore(memory, 40_000), 2);
    let alerts = after.engine.alerts();
    assert_eq!(alerts[0], host.engine.alerts()[0]);
    // Nothing was evaluated for ten seconds: they do not count.
    assert_eq!(alerts[1].active_at_ms, 40_000);
    assert_eq!(after.tick(45, &[("avail", 5.0), ("b", 1.0)]), []);
    assert_eq!(after.tick(99, &[("avail", 5.0), ("b", 1.0)]), []);
    assert_eq!(
        after.tick(100, &[("avail", 5.0), ("b", 1.0)]),
        [Step::Fired]
    );
}

#[test]
fn memory_that_is_too_old_from_the_future_or_of_other_rules_is_left_out() {
    let mut host = Host::new(LOW);
    host.tick(100, &[("avail", 5.0)]);
    let memory = host.engine.memory();
    let hour = 3_600_000;
    for (at_ms, restored) in [
        (99_999, 0),
        (100_000, 1),
        (100_000 + hour, 1),
        (100_001 + hour, 0),
    ] {
        let mut after = Host::new(LOW);
        assert_eq!(
            after.engine.restore(memory.clone(), at_ms),
            restored,
            "at {at_ms}"
        );
    }
    let mut other = Host::new("{alert: Other, expr: avail < 10}");
    assert_eq!(other.engine.restore(memory, 100_000), 0);
    assert_eq!(other.engine.restore(AlertMemory::default(), 0), 0);
}

#[test]
fn an_alert_goes_on_when_the_file_of_its_rule_has_another_path_in_the_nix_store() {
    let mut host = Host::new(LOW);
    host.tick(100, &[("avail", 5.0)]);
    let mut memory = host.engine.memory();
    for (file, restored) in [
        (
            "/nix/store/0c9dy1ni5lbk1kh4kgl8j3xqlq7mlhyz-own.rules.yaml",
            1,
        ),
        (
            "/nix/store/0c9dy1ni5lbk1kh4kgl8j3xqlq7mlhyz-other.rules.yaml",
            0,
        ),
        ("/etc/snowguard/own.rules.yaml", 0),
    ] {
        memory.alerts[0].rule.file = file.to_owned();
        let text = format!("groups: [{{name: g, rules: [{LOW}]}}]");
        let now = "/nix/store/7hx7m2r5cvzrzpsi4y4dylr3rjiq1kfs-own.rules.yaml";
        let mut after = Engine::new(RuleSet::parse(now, &text).unwrap());
        assert_eq!(after.restore(memory.clone(), 100_000), restored, "{file}");
    }
}

#[test]
fn a_rule_that_reads_a_metric_that_could_not_be_collected_changes_no_alert() {
    let rules = RuleSet::parse(
        "blind.rules.yaml",
        "
groups:
  - name: blind
    rules:
      - record: recorded
        expr: avail < 10
      - alert: Direct
        expr: avail < 10
      - alert: Recorded
        expr: recorded
      - alert: ByPattern
        expr: '{__name__=~\"avail.*\"} < 10'
      - alert: Other
        expr: other > 0
",
    )
    .unwrap();
    let mut window = Window::new(rules.needed_window());
    let mut engine = Engine::new(rules);
    window
        .append_scrape(
            0,
            [
                (Labels::metric("avail"), 1.0),
                (Labels::metric("other"), 1.0),
            ],
        )
        .unwrap();
    engine.evaluate(&mut window, 0);
    assert_eq!(engine.alerts().len(), 4);

    window.append_scrape(15_000, []).unwrap();
    let unseen = BTreeSet::from(["avail".to_owned()]);
    let outcomes = engine.evaluate_seeing(&mut window, 15_000, &unseen);
    let blind = outcomes
        .iter()
        .filter(|o| matches!(o.result, Err(RuleError::Unseen { .. })));
    assert_eq!(blind.count(), 4);
    let left: Vec<_> = engine
        .alerts()
        .into_iter()
        .map(|alert| alert.rule.name)
        .collect();
    assert_eq!(left, ["Direct", "Recorded", "ByPattern"]);
}
