//! Unit tests of rules (cmd/promtool/unittest.go, Prometheus 3.5).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{glob, series};
use crate::alerts::External;
use crate::file::raw;
use crate::window::{STALE_BITS, Window};
use crate::{Engine, LoadError, RuleSet, check, eval};

mod alerts;
mod expressions;
mod format;

/// How long a step is where a file says nothing of it.
const MINUTE_MS: i64 = 60_000;
/// More evaluations than anyone waits for: a slip such as `eval_time: 100y` must not run for days.
const MOST_EVALUATIONS: i64 = 10_000_000;

/// Runs the tests of one file; what failed, one text for each failure, if any did.
///
/// Warnings, such as a pattern that fits no file, are given to `warn`.
///
/// # Errors
/// If the file or one of its rule files cannot be read or used, or if a test fails.
pub fn run(path: &Path, warn: &mut dyn FnMut(String)) -> Result<(), Vec<String>> {
    let one = |error: String| vec![error];
    let text = fs::read_to_string(path)
        .map_err(|error| one(format!("cannot read {}: {error}", path.display())))?;
    let file: format::File = raw::yaml(&text)
        .map_err(|reason| one(format!("{}: not a test file: {reason}", path.display())))?;
    let mut ordered = BTreeSet::new();
    let order = file.group_eval_order.unwrap_or_default();
    if let Some(twice) = order.iter().find(|name| !ordered.insert(name.as_str())) {
        return Err(one(format!("`group_eval_order` has {twice:?} twice")));
    }
    let directory = path.parent().unwrap_or(Path::new(""));
    let files = rule_files(directory, &file.rule_files.unwrap_or_default(), warn).map_err(one)?;
    let span = |given: Option<raw::Span>, default: i64| {
        given
            .map(|span| span.0)
            .filter(|ms| *ms > 0)
            .unwrap_or(default)
    };
    let interval_ms = span(file.evaluation_interval, MINUTE_MS);
    let mut failures = Vec::new();
    // Each test of a file has the same rules.
    let mut rules = None;
    for (index, test) in file.tests.unwrap_or_default().into_iter().enumerate() {
        let rules = match &rules {
            Some(rules) => rules,
            None => {
                let loaded = load(&files).map_err(|error| one(error.to_string()))?;
                rules.insert(loaded.ordered_by(&order))
            }
        };
        let run = Run {
            name: test.name.clone().unwrap_or_else(|| format!("#{index}")),
            interval_ms,
            step_ms: span(test.interval, interval_ms),
            fuzzy: file.fuzzy_compare.unwrap_or_default(),
        };
        failures.extend(run.run(rules.clone(), test));
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures)
    }
}

fn load(files: &[PathBuf]) -> Result<RuleSet, LoadError> {
    let mut texts = Vec::new();
    for path in files {
        let text = fs::read_to_string(path).map_err(|source| LoadError::Read {
            path: path.clone(),
            source,
        })?;
        texts.push((path.display().to_string(), text));
    }
    RuleSet::parse_all(
        texts
            .iter()
            .map(|(file, text)| (file.as_str(), text.as_str())),
    )
}

/// The files that the patterns name, each once; patterns are relative to the test file.
fn rule_files(
    directory: &Path,
    patterns: &[String],
    warn: &mut dyn FnMut(String),
) -> Result<Vec<PathBuf>, String> {
    let mut files: Vec<PathBuf> = Vec::new();
    for pattern in patterns.iter().filter(|pattern| !pattern.is_empty()) {
        let pattern = directory.join(pattern);
        let found = glob::glob(&pattern)
            .ok_or_else(|| format!("`rule_files`: {} is not a pattern", pattern.display()))?;
        if found.is_empty() {
            warn(format!("no file is named {}", pattern.display()));
        }
        for file in found {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

/// One test of a file.
struct Run {
    name: String,
    /// From one evaluation to the next.
    interval_ms: i64,
    /// From one sample to the next.
    step_ms: i64,
    fuzzy: bool,
}

impl Run {
    fn failure(&self, what: impl std::fmt::Display) -> String {
        format!("test {:?}: {what}", self.name)
    }

    fn run(&self, rules: RuleSet, test: format::Test) -> Vec<String> {
        let one = |what: String| vec![self.failure(what)];
        let input = match input(&test.input_series.unwrap_or_default()) {
            Ok(input) => input,
            Err(reason) => return one(reason),
        };
        let external = External {
            labels: test.external_labels.unwrap_or_default(),
            url: test.external_url.unwrap_or_default(),
        };
        let of_alerts = test.alert_rule_test.unwrap_or_default();
        let of_expressions = test.promql_expr_test.unwrap_or_default();
        let times = of_alerts.iter().map(|case| case.eval_time);
        let times = times.chain(of_expressions.iter().map(|case| case.eval_time));
        let last_ms = times.map(|span| span.map_or(0, |span| span.0)).max();
        let last_ms = last_ms.unwrap_or_default();
        if last_ms / self.interval_ms > MOST_EVALUATIONS {
            return one(format!(
                "more than {MOST_EVALUATIONS} evaluations are asked for"
            ));
        }
        let alert_cases = match alerts::by_evaluation(&of_alerts, self.interval_ms) {
            Ok(cases) => cases,
            Err(reason) => return one(reason),
        };
        let mut engine = Engine::for_unit_test(rules, external);
        let mut window = Window::new(Duration::MAX);
        let mut failures = Vec::new();
        let mut put = 0;
        for at_ms in (0..=last_ms / self.interval_ms).map(|step| step * self.interval_ms) {
            while put * self.step_ms <= at_ms {
                input.put(&mut window, put, put * self.step_ms);
                put += 1;
            }
            let outcomes = engine.evaluate(&mut window, at_ms);
            let before = failures.len();
            for outcome in outcomes {
                if let Err(error) = outcome.result {
                    let time = format::time(at_ms);
                    failures.push(self.failure(format!("at {time}: {}: {error}", outcome.rule)));
                }
            }
            if failures.len() > before {
                return failures;
            }
            for case in alert_cases.get(&at_ms).into_iter().flatten() {
                if let Err(what) = alerts::check(case, &engine) {
                    failures.push(self.failure(what));
                }
            }
        }
        for case in &of_expressions {
            if let Err(what) = expressions::check(case, &window, self.interval_ms, self.fuzzy) {
                failures.push(self.failure(what));
            }
        }
        failures
    }
}

/// The series of a test, by their labels: of two that are the same, the last one counts.
struct Input(BTreeMap<crate::Labels, Vec<series::Point>>);

fn input(given: &[format::Series]) -> Result<Input, String> {
    let mut input = BTreeMap::new();
    for format::Series { series, values } in given {
        let (series, values) = (series.as_deref(), values.as_deref());
        let text = format!(
            "{} {}",
            series.unwrap_or_default(),
            values.unwrap_or_default()
        );
        let named = |reason: &dyn std::fmt::Display| format!("`input_series`: {text:?}: {reason}");
        let parsed = series::parse(&text).map_err(|error| named(&error))?;
        if parsed.points.contains(&series::Point::Histogram) {
            return Err(named(&"native histograms are not supported"));
        }
        input.insert(parsed.labels, parsed.points);
    }
    Ok(Input(input))
}

impl Input {
    fn put(&self, window: &mut Window, step: i64, at_ms: i64) {
        let Ok(index) = usize::try_from(step) else {
            return;
        };
        for (labels, points) in &self.0 {
            match points.get(index) {
                Some(series::Point::Value(value)) => window.put(labels, at_ms, *value),
                Some(series::Point::Stale) => {
                    window.put(labels, at_ms, f64::from_bits(STALE_BITS));
                }
                Some(series::Point::Missing | series::Point::Histogram) | None => {}
            }
        }
    }
}

/// Evaluates a query of a test.
fn query(text: &str, window: &Window, at_ms: i64, step_ms: i64) -> Result<eval::Vector, String> {
    let expr =
        check::parse_query_stepping(text, step_ms).map_err(|check::Unsupported(reason)| reason)?;
    eval::evaluate(&expr, window, at_ms).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
