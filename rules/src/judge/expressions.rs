//! Promise: the alert that pages is the alert that heals, so an expression has the value that
//! Prometheus 3 gives it.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use proptest::sample::select;

use super::{Random, TestSeries, cases, promtool3, quoted, run, yaml_float};
use super::{grammar, series};
use crate::eval::{self, EvalError, Vector, float};
use crate::window::Window;
use crate::{check, labels::Labels};

const POINTS: usize = 30;
const PER_WORLD: usize = 40;

/// Series, and the expressions over them with the time of evaluation.
struct World {
    interval_ms: i64,
    series: Vec<TestSeries>,
    window: Window,
}

impl World {
    fn random(random: &mut Random) -> Self {
        let series = random.make(series::series(POINTS));
        let interval_ms = random.make(select(vec![15_000, 30_000, 60_000]));
        let mut window = Window::new(Duration::MAX);
        for series in &series {
            series.put(&mut window, interval_ms, 0, i64::MAX);
        }
        Self {
            interval_ms,
            series,
            window,
        }
    }

    fn evaluate(&self, text: &str, at_ms: i64) -> Result<Vector, EvalError> {
        let expr = check::parse(text).unwrap_or_else(|refused| panic!("{text}: {refused:?}"));
        eval::evaluate(&expr, &self.window, at_ms)
    }

    /// Some time after the last sample that an instant selector sees.
    fn end_ms(&self) -> i64 {
        self.interval_ms * POINTS as i64 + 360_000
    }

    /// promtool reads no sample after its last evaluation: one after all samples makes sure that
    /// it reads them all.
    fn yaml(&self, expectations: &str) -> String {
        let series = self.series.iter().map(TestSeries::yaml).collect::<String>();
        let interval = self.interval_ms;
        let last = expectation("vector(1)", self.end_ms(), &eval::constant(1.0));
        format!(
            "  - interval: {interval}ms\n    input_series:\n{series}    promql_expr_test:\n{expectations}{last}"
        )
    }
}

pub(super) fn expectation(text: &str, at_ms: i64, vector: &Vector) -> String {
    let mut yaml = format!(
        "      - expr: {}\n        eval_time: {at_ms}ms\n        exp_samples:\n",
        quoted(text)
    );
    for element in vector {
        let labels = quoted(&element.labels.to_string());
        let value = yaml_float(element.value);
        writeln!(
            yaml,
            "          - labels: {labels}\n            value: {value}"
        )
        .unwrap();
    }
    yaml
}

/// promtool finds no NaN equal to another, so an expression that gives one is asked for where it
/// is one, and for the values where it is none.
fn without_nan(text: String, vector: &Vector) -> Vec<String> {
    if vector.iter().any(|element| element.value.is_nan()) {
        vec![
            format!("({text}) == ({text})"),
            format!("({text}) != bool ({text})"),
        ]
    } else {
        vec![text]
    }
}

pub(super) fn judge(good: &str) -> (bool, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = format!("evaluation_interval: 1m\nfuzzy_compare: true\ntests:\n{good}");
    fs::write(directory.path().join("random.test.yaml"), file).unwrap();
    run(
        &promtool3(),
        directory.path(),
        &["test", "rules", "random.test.yaml"],
    )
}

/// What promtool found to differ, but for the last digits: it compares all but the last bit, and
/// in which order it sums up is left to chance. And how often it was no more than that.
pub(super) fn differences(said: &str) -> (Vec<String>, usize) {
    let (mut differences, mut allowed) = (Vec::new(), 0);
    let mut lines = said.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("expr: ") {
            if line.contains(", err: ") {
                differences.push(line.to_owned());
                continue;
            }
            let [expected, got] = ["exp: ", "got: "].map(|head| {
                let line = lines.next().unwrap_or_default().trim_start();
                samples(line.strip_prefix(head).unwrap_or(line))
            });
            let same = |((labels, value), (other_labels, other)): (&(_, f64), &(_, f64))| {
                labels == other_labels && float::almost_equal(*value, *other, 1e-6)
            };
            if expected.len() == got.len() && expected.iter().zip(&got).all(same) {
                allowed += 1;
            } else {
                differences.push(format!("{line}\n  ours {expected:?}\n  got  {got:?}"));
            }
        } else if line.contains("FAILED") && !line.contains("FAILED:") {
            differences.push(line.to_owned());
        }
    }
    (differences, allowed)
}

/// Samples as promtool shows them: `{a="x"} 4.8E+02, {a="y"} 4.5E+02`.
fn samples(shown: &str) -> Vec<(String, f64)> {
    let mut samples = Vec::new();
    let mut labels = String::new();
    for word in shown.split(' ') {
        match word.trim_end_matches(',').parse() {
            Ok(value) if !labels.is_empty() => {
                samples.push((std::mem::take(&mut labels), value));
            }
            _ => labels += word,
        }
    }
    samples
}

#[test]
fn a_random_expression_has_the_value_that_prometheus_gives_it() {
    let mut random = Random::new();
    let (mut good, mut bad, mut refused) = (String::new(), String::new(), Vec::new());
    let mut with_samples = 0;
    let total = cases(600);
    for _ in 0..total.div_ceil(PER_WORLD) {
        let world = World::random(&mut random);
        let (mut good_here, mut bad_here) = (String::new(), String::new());
        for _ in 0..PER_WORLD {
            let text = loop {
                let text = random.make(grammar::vector());
                // What is refused because chance or the time it takes decides.
                let refused = [
                    "no certain labels",
                    "steps is not supported",
                    "mixes the two",
                ];
                match check::parse(&text) {
                    Err(why) if refused.iter().any(|reason| why.0.contains(reason)) => {}
                    _ => break text,
                }
            };
            // Half of them at the very time of a sample, where ranges begin and end.
            let grid_ms = random.make(select(vec![500, world.interval_ms]));
            let at_ms = random.make(0..world.end_ms() / grid_ms) * grid_ms;
            let texts = match world.evaluate(&text, at_ms) {
                Ok(vector) => without_nan(text, &vector),
                Err(_) => vec![text],
            };
            for text in texts {
                match world.evaluate(&text, at_ms) {
                    Ok(vector) => {
                        with_samples += usize::from(!vector.is_empty());
                        good_here += &expectation(&text, at_ms, &vector);
                    }
                    Err(_) => {
                        bad_here += &expectation(&text, at_ms, &Vector::new());
                        refused.push(text);
                    }
                }
            }
        }
        if !good_here.is_empty() {
            good += &world.yaml(&good_here);
        }
        if !bad_here.is_empty() {
            bad += &world.yaml(&bad_here);
        }
    }
    println!(
        "{with_samples} of {total} gave samples, {} an error",
        refused.len()
    );
    assert!(with_samples * 3 > total, "too few expressions give samples");

    let (success, said) = judge(&good);
    let (differences, allowed) = differences(&said);
    let none = differences.is_empty() && (success || allowed > 0);
    assert!(none, "promtool does not agree:\n{}", differences.join("\n"));
    println!("{allowed} differ in the last digits");

    // Where we find no answer, Prometheus must find none either: each is an error of its own.
    let (_, said) = judge(&bad);
    for text in refused {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let found_none = |line: &str| line.contains(&quoted) && line.contains(", err: ");
        assert!(
            said.lines().any(found_none),
            "promtool has an answer to {text}"
        );
    }
}

#[test]
fn a_label_set_is_written_so_that_promtool_reads_it_back() {
    let labels = Labels::metric("m").with("a", "it's \"so\"\\\n");
    let vector = vec![eval::Element::new(labels.clone(), 1.0)];
    let series = TestSeries {
        labels,
        points: vec![super::Point::Value(1.0)],
    };
    let quoted = quoted(&series.labels.to_string());
    let yaml = format!(
        "  - interval: 1m\n    input_series:\n      - series: {quoted}\n        values: '1'\n    \
         promql_expr_test:\n{}",
        expectation("m", 0, &vector)
    );
    let (success, said) = judge(&yaml);
    assert!(success, "{said}");
}
