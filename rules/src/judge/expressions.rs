//! Promise: the alert that pages is the alert that heals, so an expression has the value that
//! Prometheus 3 gives it.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use proptest::sample::select;

use super::grammar;
use super::{Random, TestSeries, cases, promtool3, quoted, run, yaml_float};
use crate::eval::{self, EvalError, Vector};
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
        let series = random.make(grammar::series(POINTS));
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

fn expectation(text: &str, at_ms: i64, vector: &Vector) -> String {
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

fn judge(good: &str) -> (bool, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = format!("evaluation_interval: 1m\nfuzzy_compare: true\ntests:\n{good}");
    fs::write(directory.path().join("random.test.yaml"), file).unwrap();
    run(
        &promtool3(),
        directory.path(),
        &["test", "rules", "random.test.yaml"],
    )
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
                match check::parse(&text) {
                    Err(refused) if refused.0.contains("no certain labels") => {}
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
    assert!(success, "promtool does not agree:\n{said}");

    // Where we find no answer, Prometheus must find none either: each is an error of its own.
    let (_, said) = judge(&bad);
    for text in refused {
        let quoted = text.replace('"', "\\\"");
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
