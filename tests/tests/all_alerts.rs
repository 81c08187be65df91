//! Each shipped alert, and one with `keep_firing_for`, goes through its states in the watchdog's
//! evaluator as it does in a real Prometheus: at the same evaluations, on the same samples.
//!
//! Time is 240 times as fast as it is in the shipped rules. What Prometheus scraped, and when it
//! evaluated, is read back from it, so that nothing depends on who was faster.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use snowguard_rules::{
    AlertState, Engine, Labels, RuleError, RuleSet, SHIPPED, Window,
    testing::{
        duration,
        series::{self, Point, Series},
    },
};
use snowguard_tests::{lab, prometheus::Prometheus, wait::until_or};

const FASTER: u64 = 240;
/// How long one step of a row of points lasts: a minute.
const STEP: Duration = Duration::from_millis(60_000 / FASTER);
/// How long the rows are played, at the most; then there is nothing for a while.
const ROUND_STEPS: u128 = 125;
const PAUSE_STEPS: u128 = 15;
/// Rules see what was scraped so long ago: by then it is surely written.
const OFFSET_MS: i64 = 2000;
/// The metric that says when a group was evaluated.
const EVALUATED: &str = "evaluated";

/// A rule as no shipped one is, and what it is about.
const KEPT: &str = "\
groups:
  - name: kept
    rules:
      - alert: Kept
        expr: flapping == 1
        for: 5m
        keep_firing_for: 10m
        labels:
          severity: warning
";
const FLAPPING: &str = "flapping 1x12 0x4 1x8 0x30 1x3 0x10 1x12 _x60";

/// A file of rules in fast time, with a rule that says when they were evaluated.
fn faster(text: &str) -> String {
    let mut fast = String::new();
    let scaled = |time: &str| {
        let span = duration(time).unwrap_or_else(|| panic!("{time:?} is no duration"));
        format!("{}ms", span.as_millis() / u128::from(FASTER))
    };
    for line in text.lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let timed = ["for: ", "keep_firing_for: "].into_iter();
        let mut timed = timed.filter_map(|key| Some((key, line.trim().strip_prefix(key)?)));
        if let Some((key, time)) = timed.next() {
            writeln!(fast, "{indent}{key}{}", scaled(time)).unwrap();
        } else if line.trim() == "rules:" {
            writeln!(fast, "{indent}query_offset: {OFFSET_MS}ms\n{line}").unwrap();
            let name = fast.split("- name: ").last().unwrap();
            let group = name.lines().next().unwrap().to_owned();
            writeln!(fast, "{indent}  - record: {EVALUATED}").unwrap();
            writeln!(fast, "{indent}    expr: vector(1)").unwrap();
            writeln!(fast, "{indent}    labels: {{group: {group}}}").unwrap();
        } else if let Some((before, (range, after))) = line
            .split_once('[')
            .and_then(|(before, rest)| Some((before, rest.split_once(']')?)))
        {
            // How far `predict_linear` looks ahead.
            let after = after.replace("4 * 60 * 60", "4 * 60 * 60 / 240");
            writeln!(fast, "{before}[{}]{after}", scaled(range)).unwrap();
        } else {
            writeln!(fast, "{line}").unwrap();
        }
    }
    fast
}

/// The rule files in fast time, by the names of their groups, of which each has one.
fn rules() -> BTreeMap<String, String> {
    let texts = SHIPPED.into_iter().map(|(_, text)| text).chain([KEPT]);
    let by_group = texts.map(|text| {
        let (_, name) = text.split_once("- name: ").unwrap();
        let group = name.lines().next().unwrap().to_owned();
        assert!(!name.contains("- name: "), "{group} is not alone");
        (group, faster(text))
    });
    by_group.collect()
}

/// The rules' alerts with their severities.
fn alerts(rules: &BTreeMap<String, String>) -> BTreeSet<(String, String)> {
    let rules = rules
        .values()
        .flat_map(|text| text.split("- alert: ").skip(1));
    let of_rule = |rule: &str| {
        let (_, severity) = rule.split_once("severity: ").unwrap();
        let line = |text: &str| text.lines().next().unwrap().to_owned();
        (line(rule), line(severity))
    };
    rules.map(of_rule).collect()
}

/// The series of all unit tests of the shipped rules; a label keeps each test to itself.
fn inputs() -> Vec<Series> {
    let mut inputs = vec![series::parse(FLAPPING).unwrap()];
    for (file, _) in SHIPPED {
        let test = format!("../rules/tests/{}", file.replace(".rules.", ".test."));
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(test)).unwrap();
        for (number, test) in text.split("- name: ").enumerate() {
            for given in test.split("- series: ").skip(1) {
                let mut lines = given.lines();
                let labels = series::labels(lines.next().unwrap()).unwrap();
                let values = lines.next().unwrap().trim().strip_prefix("values: ");
                inputs.push(Series {
                    labels: labels.with("case", format!("{file} {number}")),
                    points: series::points(values.unwrap()).unwrap(),
                });
            }
        }
    }
    inputs
}

/// The page of a target some time after its series began.
fn page(inputs: &[Series], since: Duration) -> String {
    let step = (since.as_millis() / STEP.as_millis()) % (ROUND_STEPS + PAUSE_STEPS);
    let mut page = String::new();
    if step >= ROUND_STEPS {
        return page;
    }
    for Series { labels, points } in inputs {
        let point = points.get(usize::try_from(step).unwrap()).or(points.last());
        let Some(Point::Value(value)) = point else {
            continue;
        };
        let name = labels.name();
        let labels = labels.iter().filter(|(name, _)| *name != "__name__");
        let labels: Vec<String> = labels
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        writeln!(page, "{name}{{{}}} {value}", labels.join(",")).unwrap();
    }
    page
}

/// Since when the target plays its series; it has nothing to tell while there is no such time.
type Begin = Arc<Mutex<Option<Instant>>>;

/// Answers each scrape until the test ends.
fn target(inputs: Vec<Series>, begin: &Begin) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let begin = Arc::clone(begin);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let since = begin.lock().unwrap().map(|begin| begin.elapsed());
            let page = since.map_or_else(String::new, |since| page(&inputs, since));
            // A Prometheus that gave up is no matter: it knows that it did.
            let _ = write!(
                stream.get_mut(),
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{page}",
                page.len()
            );
        }
    });
    address
}

/// Samples by their times in milliseconds.
type Samples = BTreeMap<i64, Vec<(Labels, f64)>>;

/// All samples of the series that are selected, as they were written.
fn samples(prometheus: &Prometheus, selector: &str) -> Samples {
    let mut samples = Samples::new();
    for one in prometheus.query(&format!("{selector}[15m]")).unwrap() {
        let mut labels = Labels::default();
        for (name, value) in one["metric"].as_object().unwrap() {
            labels = labels.with(name, value.as_str().unwrap());
        }
        for sample in one["values"].as_array().unwrap() {
            let number = |value: &Value| match value {
                Value::String(text) => text.parse::<f64>().unwrap(),
                other => other.as_f64().unwrap(),
            };
            let at_ms = (number(&sample[0]) * 1000.0).round() as i64;
            let value = number(&sample[1]);
            samples
                .entry(at_ms)
                .or_default()
                .push((labels.clone(), value));
        }
    }
    samples
}

/// The alerts at one evaluation: by their labels the state, and since when in seconds.
type States = BTreeMap<Labels, (String, f64)>;

fn firing(states: &States) -> impl Iterator<Item = &Labels> {
    let firing = |(labels, state): (_, &(String, f64))| (state.0 == "firing").then_some(labels);
    states.iter().filter_map(firing)
}

/// What Prometheus says of the alerts at each evaluation with an alert.
fn theirs(prometheus: &Prometheus, names: &BTreeSet<String>) -> BTreeMap<i64, States> {
    let is_ours = |labels: &Labels| names.contains(labels.get("alertname"));
    let plain = |labels: &Labels| labels.clone().with("__name__", "").with("alertstate", "");
    let mut theirs: BTreeMap<i64, States> = BTreeMap::new();
    let since = samples(prometheus, "ALERTS_FOR_STATE");
    for (at_ms, alerts) in samples(prometheus, "ALERTS") {
        for (labels, _) in alerts.into_iter().filter(|(labels, _)| is_ours(labels)) {
            let alert = plain(&labels);
            let mut of_alert = since[&at_ms].iter();
            let since = of_alert
                .find(|(labels, _)| plain(labels) == alert)
                .unwrap()
                .1;
            let state = (labels.get("alertstate").to_owned(), since);
            let before = theirs.entry(at_ms).or_default().insert(alert, state);
            assert_eq!(before, None, "one state at a time");
        }
    }
    theirs
}

/// What our engine says at each of these evaluations, given what was scraped until then.
fn ours(rules: RuleSet, scrapes: &Samples, evaluations: &[i64]) -> BTreeMap<i64, States> {
    let mut window = Window::new(rules.needed_window());
    let mut engine = Engine::new(rules);
    let mut scrapes = scrapes.iter().peekable();
    let mut ours = BTreeMap::new();
    for seen_ms in evaluations {
        while let Some((at_ms, scrape)) = scrapes.next_if(|(at_ms, _)| *at_ms <= seen_ms) {
            window
                .append_scrape(*at_ms, scrape.iter().cloned())
                .unwrap();
        }
        for outcome in engine.evaluate(&mut window, seen_ms + OFFSET_MS) {
            // Until enough was scraped; nothing is played by then.
            let waits = matches!(
                outcome.result,
                Err(RuleError::WindowTooShort { .. } | RuleError::Unseen { .. })
            );
            assert!(outcome.result.is_ok() || waits, "{outcome:?}");
        }
        let state = |alert: snowguard_rules::Alert| {
            let state = match alert.state {
                AlertState::Pending => "pending",
                AlertState::Firing { .. } => "firing",
            };
            let since = alert.active_at_ms.div_euclid(1000) as f64;
            (alert.labels, (state.to_owned(), since))
        };
        ours.insert(*seen_ms, engine.alerts().into_iter().map(state).collect());
    }
    ours
}

/// The alerts that Prometheus has seen firing, with their severities.
fn fired(prometheus: &Prometheus) -> BTreeSet<(String, String)> {
    let query =
        "count by (alertname, severity) (last_over_time(ALERTS{alertstate=\"firing\"}[15m]))";
    let series = prometheus.query(query).unwrap();
    let text = |one: &Value, label: &str| one["metric"][label].as_str().unwrap().to_owned();
    let both = |one| (text(one, "alertname"), text(one, "severity"));
    series.iter().map(both).collect()
}

fn start(rules: &BTreeMap<String, String>, target: SocketAddr, dir: &Path) -> Prometheus {
    for (group, text) in rules {
        fs::write(dir.join(format!("{group}.yaml")), text).unwrap();
    }
    let config = format!(
        "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}\n\
         rule_files: [{:?}]\n\
         scrape_configs:\n\
         - {{job_name: played, honor_labels: true, static_configs: [{{targets: ['{target}']}}]}}\n",
        dir.join("*.yaml")
    );
    Prometheus::start(&lab::dir().join("bin/prometheus3"), &config)
}

#[test]
fn every_shipped_alert_is_in_each_evaluation_what_it_is_in_prometheus() {
    let rules = rules();
    let begin = Begin::default();
    let dir = tempfile::tempdir().unwrap();
    let prometheus = start(&rules, target(inputs(), &begin), dir.path());
    // The longest range of the fast rules, and the offset.
    prometheus.wait_for("up offset 18s");
    *begin.lock().unwrap() = Some(Instant::now());
    let all = alerts(&rules);
    assert!(all.len() > SHIPPED.len());
    until_or(
        || format!("never fired: {:?}", all.difference(&fired(&prometheus))),
        || (fired(&prometheus) == all).then_some(()),
    );
    // What grew in the longest range counts until the range has passed.
    *begin.lock().unwrap() = None;
    until_or(
        || "the alerts do not end".to_owned(),
        || prometheus.query("ALERTS").unwrap().is_empty().then_some(()),
    );

    let recorded = format!("ALERTS|ALERTS_FOR_STATE|{EVALUATED}|.*:.*");
    let scrapes = samples(
        &prometheus,
        &format!("{{__name__=~\".+\", __name__!~\"{recorded}\"}}"),
    );
    let mut seen = BTreeSet::new();
    let mut kept = 0;
    for (group, text) in &rules {
        let evaluated = samples(&prometheus, &format!("{EVALUATED}{{group=\"{group}\"}}"));
        let evaluations: Vec<i64> = evaluated.into_keys().collect();
        let names = alerts(&BTreeMap::from([(group.clone(), text.clone())]));
        let theirs = theirs(
            &prometheus,
            &names.into_iter().map(|(name, _)| name).collect(),
        );
        let ours = ours(RuleSet::parse(group, text).unwrap(), &scrapes, &evaluations);
        for at_ms in theirs.keys() {
            assert!(
                ours.contains_key(at_ms),
                "{group}: {at_ms} was not evaluated"
            );
        }
        let (mut before, nothing) = (None, States::new());
        for (at_ms, ours) in &ours {
            let theirs = theirs.get(at_ms).unwrap_or(&nothing);
            assert_eq!(
                ours, theirs,
                "{group}, ours and theirs at {at_ms} after {before:?}"
            );
            for (labels, (state, _)) in theirs {
                let label = |name| labels.get(name).to_owned();
                seen.insert((label("alertname"), label("severity"), state.clone()));
            }
            if group == "kept" {
                let last = scrapes.range(..=at_ms).next_back();
                let mut last = last.into_iter().flat_map(|(_, scrape)| scrape);
                let holds = last.any(|(labels, value)| {
                    labels.name() == "flapping" && value.to_bits() == 1.0_f64.to_bits()
                });
                kept += usize::from(!holds && firing(theirs).count() > 0);
            }
            before = Some(theirs.clone());
        }
        println!("{group}: {} evaluations", evaluations.len());
    }
    for (name, severity) in &all {
        let state = |state: &str| (name.clone(), severity.clone(), state.to_owned());
        assert!(seen.contains(&state("firing")), "{name} ({severity})");
        let text = rules
            .values()
            .find(|text| text.contains(&format!("- alert: {name}\n")));
        let (_, rule) = text
            .unwrap()
            .split_once(&format!("- alert: {name}\n"))
            .unwrap();
        let (rule, _) = rule.split_once("labels:").unwrap();
        // Without `for` an alert fires at once.
        assert_eq!(
            seen.contains(&state("pending")),
            rule.contains("for: "),
            "{name}"
        );
    }
    assert!(kept > 0, "keep_firing_for kept nothing");
}
