//! Promise: a rule file means here what it means to Prometheus 3: the terms of a group, and the
//! series by which rules read alerts.

use super::*;

struct Host {
    window: Window,
    engine: Engine,
}

impl Host {
    fn new(groups: &str) -> Self {
        let rules = RuleSet::parse("f.rules.yaml", &format!("groups: [{groups}]")).unwrap();
        Self {
            window: Window::new(rules.needed_window()),
            engine: Engine::new(rules),
        }
    }

    /// Collects and evaluates at a time in seconds.
    fn tick(&mut self, at: i64, samples: &[(&str, f64)]) -> Vec<Outcome> {
        let samples = samples
            .iter()
            .map(|(name, value)| (Labels::metric(*name), *value));
        self.window.append_scrape(at * 1000, samples).unwrap();
        self.engine.evaluate(&mut self.window, at * 1000)
    }

    fn alerts(&self) -> Vec<String> {
        let alerts = self.engine.alerts().into_iter();
        alerts.map(|alert| alert.rule.name).collect()
    }
}

#[test]
fn a_group_is_evaluated_at_the_first_tick_of_each_of_its_intervals() {
    let mut host = Host::new("{name: g, interval: 1m, rules: [{alert: A, expr: x > 0}]}");
    let mut seen = Vec::new();
    for (at, x) in [
        (0, 0.0),
        (15, 1.0),
        (59, 1.0),
        (61, 1.0),
        (75, 0.0),
        (121, 0.0),
    ] {
        let outcomes = host.tick(at, &[("x", x)]);
        seen.push((at, outcomes[0].result.as_ref().unwrap().len()));
    }
    let expected = [(0, 0), (15, 0), (59, 0), (61, 1), (75, 1), (121, 0)];
    assert_eq!(seen, expected);
}

#[test]
fn a_group_that_is_not_due_stays_as_blind_as_it_was() {
    let mut host =
        Host::new("{name: g, interval: 1m, rules: [{alert: A, expr: 'delta(x[30s]) < 9'}]}");
    let blind = |outcomes: Vec<Outcome>| outcomes[0].result.is_err();
    assert!(blind(host.tick(0, &[("x", 1.0)])));
    assert!(blind(host.tick(45, &[("x", 1.0)])));
    assert!(!blind(host.tick(60, &[("x", 1.0)])));
}

#[test]
fn a_rule_that_gives_more_than_the_limit_of_its_group_is_an_error_and_has_no_alert() {
    let rules = "{alert: A, expr: '{__name__=~\"x|y\"} > 0', labels: {of: '{{ $value }}'}},
        {record: r, expr: '{__name__=~\"x|y\"} > 0', labels: {a: b}}";
    let mut host = Host::new(&format!("{{name: g, limit: 1, rules: [{rules}]}}"));
    host.tick(0, &[("x", 1.0), ("y", 0.0)]);
    assert_eq!(host.alerts(), ["A"]);
    let outcomes = host.tick(15, &[("x", 1.0), ("y", 2.0)]);
    let limit = RuleError::Limit { given: 2, limit: 1 };
    assert_eq!(outcomes[0].result, Err(limit));
    assert!(matches!(
        outcomes[1].result,
        Err(RuleError::SameLabels { .. })
    ));
    assert_eq!(host.alerts(), Vec::<String>::new());
    let [transition] = host.engine.transitions() else {
        panic!("one transition")
    };
    assert_eq!(transition.step, Step::Resolved);
    host.tick(30, &[("x", 1.0), ("y", 0.0)]);
    assert_eq!(host.alerts(), ["A"]);
}

#[test]
fn rules_of_a_group_with_an_offset_see_and_record_the_past() {
    let rules =
        "{record: r, expr: x}, {alert: A, expr: 'r > 1'}, {alert: T, expr: 'vector(time()) == 30'}";
    let mut host = Host::new(&format!("{{name: g, query_offset: 30s, rules: [{rules}]}}"));
    for (at, x) in [(0, 5.0), (30, 1.0), (60, 1.0)] {
        let outcomes = host.tick(at, &[("x", x)]);
        // Nothing was collected half a minute before the first look.
        assert_eq!(outcomes[0].result.is_err(), at == 0, "at {at}");
        let expected: &[&str] = match at {
            30 => &["A"],
            60 => &["T"],
            _ => &[],
        };
        assert_eq!(host.alerts(), expected, "at {at}");
    }
    assert_eq!(
        host.window
            .newest_of(&Labels::metric("r"))
            .map(|newest| newest.at_ms),
        Some(30_000)
    );
}

#[test]
fn labels_of_a_group_are_under_those_of_its_rules_and_may_ask_for_a_remedy() {
    let rules = "{alert: A, expr: x > 0}, {alert: B, expr: x > 0, labels: {remedy: '', team: b}},
        {record: r, expr: x, labels: {l: '{{ $value }}'}}, {alert: C, expr: 'r > 0'}";
    let mut host = Host::new(&format!(
        "{{name: g, labels: {{remedy: gc, team: a}}, rules: [{rules}]}}"
    ));
    host.tick(0, &[("x", 1.0)]);
    let alerts = host.engine.alerts();
    let remedies = alerts.iter().map(|alert| alert.remedy);
    assert_eq!(
        remedies.collect::<Vec<_>>(),
        [Some(Remedy::Gc), None, Some(Remedy::Gc)]
    );
    let labels = alerts.iter().map(|alert| alert.labels.to_string());
    let expected = [
        r#"{alertname="A", remedy="gc", team="a"}"#,
        r#"{alertname="B", team="b"}"#,
        // A recording rule fills nothing in.
        r#"{alertname="C", l="{{ $value }}", remedy="gc", team="a"}"#,
    ];
    assert_eq!(labels.collect::<Vec<_>>(), expected);
}

#[test]
fn rules_read_alerts_as_series_that_end_with_the_alert() {
    let rules = "{alert: A, expr: x > 0, for: 15s},
        {alert: Pending, expr: 'ALERTS{alertname=\"A\", alertstate=\"pending\"}'},
        {alert: Firing, expr: 'ALERTS{alertname=\"A\", alertstate=\"firing\"}'},
        {alert: Since, expr: 'ALERTS_FOR_STATE{alertname=\"A\"} == 15'}";
    let mut host = Host::new(&format!("{{name: g, rules: [{rules}]}}"));
    let mut seen = Vec::new();
    for (at, x) in [(0, 0.0), (15, 1.0), (30, 1.0), (45, 0.0)] {
        host.tick(at, &[("x", x)]);
        seen.push(host.alerts());
    }
    let expected: [&[&str]; 4] = [
        &[],
        &["A", "Pending", "Since"],
        &["A", "Firing", "Since"],
        &[],
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_rule_that_reads_the_alerts_of_a_blind_rule_is_blind_and_others_are_not() {
    let rules = "{alert: A, expr: 'delta(x[1h]) > 0'}, {alert: B, expr: x > 0},
        {alert: OfA, expr: 'absent(ALERTS{alertname=\"A\"})'},
        {alert: OfB, expr: 'ALERTS{alertname=\"B\"}'}, {alert: OfAll, expr: 'count(ALERTS) > 0'}";
    let mut host = Host::new(&format!("{{name: g, rules: [{rules}]}}"));
    let outcomes = host.tick(0, &[("x", 1.0)]);
    let blind = outcomes.iter().map(|outcome| outcome.result.is_err());
    assert_eq!(blind.collect::<Vec<_>>(), [true, false, true, false, true]);
}

#[test]
fn alerts_that_outlived_a_restart_end_as_series_too() {
    let groups =
        "{name: g, rules: [{alert: A, expr: x > 0}, {alert: Of, expr: 'ALERTS{alertname=\"A\"}'}]}";
    let mut host = Host::new(groups);
    host.tick(0, &[("x", 1.0)]);
    let mut after = Host::new(groups);
    after.window = host.window.clone();
    after.engine.restore(host.engine.memory(), 5_000);
    after.tick(15, &[("x", 0.0)]);
    assert_eq!(after.alerts(), Vec::<String>::new());
}
