//! Prometheus itself as the judge: random series, expressions and rules, our answers written down
//! as what `promtool test rules` is to expect.
//!
//! `SNOWGUARD_CASES` asks for more cases, `SNOWGUARD_SEED` for other ones.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::labels::Labels;
use crate::window::{STALE_BITS, Window};

mod alerts;
mod expressions;
mod grammar;
mod patterns;
mod series;

/// The judge: promtool of Prometheus 3, which has the range semantics that we follow.
pub(crate) fn promtool3() -> PathBuf {
    let lab = env::var_os("SNOWGUARD_LAB").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/lab"),
        PathBuf::from,
    );
    let promtool = lab.join("bin/promtool3");
    assert!(
        promtool.exists(),
        "{} is missing: run tests/lab/install, or set SNOWGUARD_LAB to where the lab is",
        promtool.display()
    );
    promtool
}

/// Runs `promtool` with arguments in a directory: whether it found all well, and all it said.
pub(crate) fn run(promtool: &Path, directory: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(promtool)
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", promtool.display()));
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

pub(crate) fn cases(by_default: usize) -> usize {
    let asked = env::var("SNOWGUARD_CASES").ok();
    asked.map_or(by_default, |asked| {
        asked.parse().expect("SNOWGUARD_CASES is a number")
    })
}

/// Makes random values, the same ones for the same seed.
pub(crate) struct Random(TestRunner);

impl Random {
    pub(crate) fn new() -> Self {
        let seed = env::var("SNOWGUARD_SEED").map_or(7669, |seed| {
            seed.parse::<u64>().expect("SNOWGUARD_SEED is a number")
        });
        println!("SNOWGUARD_SEED={seed}");
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Self(TestRunner::new_with_rng(Config::default(), rng))
    }

    pub(crate) fn make<S: Strategy>(&mut self, strategy: S) -> S::Value {
        let tree = strategy.new_tree(&mut self.0).expect("nothing is filtered");
        tree.current()
    }
}

/// A series of a promtool test: one point for each interval, from time 0 on.
#[derive(Debug, Clone)]
struct TestSeries {
    labels: Labels,
    points: Vec<Point>,
}

#[derive(Debug, Clone, Copy)]
enum Point {
    Value(f64),
    Missing,
    Stale,
}

impl TestSeries {
    /// As an entry of `input_series`.
    fn yaml(&self) -> String {
        let points = self.points.iter().map(|point| match point {
            Point::Value(value) if value.is_nan() => "NaN".to_owned(),
            Point::Value(value) if *value == f64::INFINITY => "Inf".to_owned(),
            Point::Value(value) if *value == f64::NEG_INFINITY => "-Inf".to_owned(),
            Point::Value(value) => value.to_string(),
            Point::Missing => "_".to_owned(),
            Point::Stale => "stale".to_owned(),
        });
        let points = points.collect::<Vec<_>>().join(" ");
        format!(
            "      - series: '{}'\n        values: '{points}'\n",
            self.labels
        )
    }

    /// Puts the points of the times `from..=to` into a window.
    fn put(&self, window: &mut Window, interval_ms: i64, from_ms: i64, to_ms: i64) {
        for (point, at_ms) in self.points.iter().zip((0..).map(|step| step * interval_ms)) {
            let value = match point {
                _ if !(from_ms..=to_ms).contains(&at_ms) => continue,
                Point::Missing => continue,
                Point::Stale => f64::from_bits(STALE_BITS),
                Point::Value(value) => *value,
            };
            window.put(&self.labels, at_ms, value);
        }
    }
}

fn yaml_float(value: f64) -> String {
    if value.is_nan() {
        ".nan".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { ".inf" } else { "-.inf" }.to_owned()
    } else {
        format!("{value:e}")
    }
}

/// A text as a YAML flow scalar.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
