//! Runs the suite: each evaluation passes, fails, or is refused by name.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use snowguard_rules::testing::series::{Point, Series};
use snowguard_rules::{Labels, Query, QueryError, QueryTimes, Window};

use crate::refused::{self, Reason, Refused};
use crate::script::{self, Command, Eval, Expected};

/// How far a value may be off, in parts of its size: what Prometheus's own runner allows.
const EPSILON: f64 = 1e-6;

pub(crate) struct Verdict {
    /// What passed, failed and was refused, with the figures in the last line.
    pub(crate) report: String,
    /// Whether nothing failed, and exactly what is listed was refused.
    pub(crate) good: bool,
}

/// Where the suite is said to be.
pub(crate) fn named() -> Option<PathBuf> {
    env::var_os("PROMQLTEST_DIR").map(PathBuf::from)
}

/// Runs the suite of a directory; otherwise the one beside the project, if it is there. One that
/// is named and is not there is an error.
pub(crate) fn run(named: Option<PathBuf>) -> io::Result<Verdict> {
    if let Some(missing) = named.as_ref().filter(|named| !named.is_dir()) {
        return Err(io::Error::other(format!(
            "there is no acceptance suite in {}; name its directory in PROMQLTEST_DIR, or unset it",
            missing.display()
        )));
    }
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/promqltest");
    let directory = &named.unwrap_or_else(beside);
    let mut report = String::new();
    let mut tally = Tally::default();
    if !directory.is_dir() {
        let _ = writeln!(
            report,
            "skipped: there is no acceptance suite in {}; PROMQLTEST_DIR names another place",
            directory.display()
        );
        tally.finish(&mut report);
        return Ok(Verdict { report, good: true });
    }
    let mut files = fs::read_dir(directory)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "test")
    });
    files.sort();
    let mut all_refused = Refused::new();
    for path in files {
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let of_file = run_file(
            &file,
            &fs::read_to_string(&path)?,
            &mut report,
            &mut all_refused,
        );
        let _ = writeln!(report, "{file}: {}", of_file.line());
        tally = tally.plus(of_file);
    }
    if env::var_os("SNOWGUARD_BLESS").is_some() {
        refused::write(&all_refused)?;
    }
    let listed = refused::load()?;
    tally.failed += compare(&listed, &all_refused, &mut report);
    let others = all_refused
        .values()
        .filter(|reason| !reason.is_about_histograms())
        .count();
    let total = tally.passed + tally.failed + tally.refused;
    let _ = writeln!(
        report,
        "{others} of {total} evaluations are refused for other reasons than native histograms"
    );
    if others * 20 > total {
        tally.failed += 1;
        let _ = writeln!(report, "that is more than one in twenty");
    }
    tally.finish(&mut report);
    Ok(Verdict {
        report,
        good: tally.failed == 0 && tally.passed > 0,
    })
}

#[derive(Default, Clone, Copy)]
struct Tally {
    passed: usize,
    failed: usize,
    refused: usize,
}

impl Tally {
    fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            refused: self.refused + other.refused,
        }
    }

    fn line(self) -> String {
        let Self {
            passed,
            failed,
            refused,
        } = self;
        format!("{passed} passed, {failed} failed, {refused} skipped")
    }

    fn finish(self, report: &mut String) {
        let _ = writeln!(report, "{}", self.line());
    }
}

/// What is refused and not listed, or listed and not refused.
fn compare(listed: &Refused, refused: &Refused, report: &mut String) -> usize {
    let mut wrong = 0;
    let places = listed.keys().chain(refused.keys()).collect::<BTreeSet<_>>();
    for place @ (file, line) in places {
        let what = match (listed.get(place), refused.get(place)) {
            (Some(listed), Some(refused)) if listed == refused => continue,
            (Some(_), None) => "is listed as refused, and is not: take it off the list".to_owned(),
            (listed, Some(refused)) => match listed {
                Some(listed) => format!("is listed as {listed}, and is refused as {refused}"),
                None => format!("is refused as {refused}, and is not listed"),
            },
            (None, None) => continue,
        };
        wrong += 1;
        let _ = writeln!(report, "{file}:{line} {what}");
    }
    wrong
}

/// What the file has loaded.
struct Storage {
    window: Window,
    /// The metrics of which histograms were left out.
    histograms: BTreeSet<String>,
}

impl Storage {
    fn new() -> Self {
        Self {
            window: Window::new(Duration::MAX),
            histograms: BTreeSet::new(),
        }
    }

    fn load(&mut self, step: Duration, series: Vec<Series>, with_histograms: bool) {
        // Within one load, the last of two rows of one series holds.
        let rows = series.into_iter().map(|row| (row.labels, row.points));
        for (labels, points) in rows.collect::<BTreeMap<_, _>>() {
            if points.contains(&Point::Histogram) {
                self.histograms.insert(labels.name().to_owned());
            }
            if with_histograms && let Some(name) = labels.name().strip_suffix("_bucket") {
                self.histograms.insert(name.to_owned());
            }
            self.window.load(&Series { labels, points }, step);
        }
    }
}

fn run_file(file: &str, text: &str, report: &mut String, all_refused: &mut Refused) -> Tally {
    let mut tally = Tally::default();
    let commands = script::read(text).unwrap_or_else(|reason| {
        let _ = writeln!(report, "{file}: {reason}");
        tally.failed += 1;
        Vec::new()
    });
    let mut storage = Storage::new();
    for command in commands {
        let eval = match command {
            Command::Clear => {
                storage = Storage::new();
                continue;
            }
            Command::Load {
                step,
                series,
                with_histograms,
            } => {
                storage.load(step, series, with_histograms);
                continue;
            }
            Command::Eval(eval) => eval,
        };
        match evaluate(&eval, &storage) {
            Ok(()) => tally.passed += 1,
            Err(Trouble::Refused(reason)) => {
                tally.refused += 1;
                all_refused.insert((file.to_owned(), eval.line), reason);
            }
            Err(Trouble::Differs(how)) => {
                tally.failed += 1;
                let _ = writeln!(report, "{file}:{}: {}\n    {how}", eval.line, eval.query);
            }
        }
    }
    tally
}

enum Trouble {
    Refused(Reason),
    Differs(String),
}

fn evaluate(eval: &Eval, storage: &Storage) -> Result<(), Trouble> {
    let expects_histogram = match &eval.expected {
        Expected::Series(all) => all.iter().any(|row| row.points.contains(&Point::Histogram)),
        _ => false,
    };
    if expects_histogram {
        return Err(Trouble::Refused(Reason::HistogramExpected));
    }
    let fails = matches!(eval.expected, Expected::Failure);
    let query = match Query::parse(&eval.query) {
        Ok(query) => query,
        // What is no PromQL must be refused; what is not supported is not what is asked for.
        Err(error) if fails && !error.to_string().contains("not supported") => return Ok(()),
        Err(error) => {
            return Err(Trouble::Refused(Reason::of_refusal(&error.to_string())));
        }
    };
    let differs = match (answer(eval, &query, storage), &eval.expected) {
        (Err(_), Expected::Failure) => return Ok(()),
        (Ok(_), Expected::Failure) => Some("an error is expected, and there is none".to_owned()),
        (Err(error), _) => Some(format!("there is an error: {error}")),
        (Ok(answer), Expected::Scalar(value)) => {
            let expected = [(Labels::default(), vec![Some(*value)])];
            let scalar = query.is_scalar();
            let differs = difference(eval, &answer, &expected);
            differs.or_else(|| (!scalar).then(|| "a scalar is expected".to_owned()))
        }
        (Ok(answer), Expected::Series(all)) => {
            let rows = all
                .iter()
                .map(|row| (row.labels.clone(), values(&row.points)));
            let differs = difference(eval, &answer, &rows.collect::<Vec<_>>());
            let scalar = query.is_scalar();
            differs.or_else(|| scalar.then(|| "a vector is expected".to_owned()))
        }
        (Ok(_), Expected::Other) => return Err(Trouble::Refused(Reason::Other)),
    };
    match differs {
        None => Ok(()),
        Some(_) if query.reads_one_of(&storage.histograms) => {
            Err(Trouble::Refused(Reason::HistogramData))
        }
        Some(how) => Err(Trouble::Differs(how)),
    }
}

fn values(points: &[Point]) -> Vec<Option<f64>> {
    let value = |point: &Point| match point {
        Point::Value(value) => Some(*value),
        Point::Missing | Point::Stale | Point::Histogram => None,
    };
    points.iter().map(value).collect()
}

/// Each series with a value for each step; of an instant, in the order of the answer.
type Answer = Vec<(Labels, Vec<Option<f64>>)>;

fn answer(eval: &Eval, query: &Query, storage: &Storage) -> Result<Answer, QueryError> {
    let times = QueryTimes {
        start_ms: eval.start_ms,
        end_ms: eval.end_ms,
        late_names: true,
    };
    let mut answer = Answer::new();
    let mut at_ms = eval.start_ms;
    let mut step = 0;
    while at_ms <= eval.end_ms {
        for (labels, value) in query.evaluate(&storage.window, at_ms, times)? {
            let place = answer.iter().position(|(before, _)| *before == labels);
            let place = place.unwrap_or_else(|| {
                answer.push((labels, Vec::new()));
                answer.len() - 1
            });
            let row = &mut answer[place].1;
            row.resize(step, None);
            row.push(Some(value));
        }
        at_ms += eval.step_ms;
        step += 1;
    }
    Ok(answer)
}

fn difference(
    eval: &Eval,
    answer: &Answer,
    expected: &[(Labels, Vec<Option<f64>>)],
) -> Option<String> {
    for (place, (labels, values)) in expected.iter().enumerate() {
        let Some(found) = answer.iter().position(|(found, _)| found == labels) else {
            if values.iter().all(Option::is_none) && !eval.instant {
                continue;
            }
            return Some(format!("{labels} is missing; there is {answer:?}"));
        };
        if eval.ordered && found != place {
            return Some(format!(
                "{labels} is number {found}, and {place} is expected"
            ));
        }
        let found = &answer[found].1;
        let steps = found.len().max(values.len());
        let at = |values: &[Option<f64>], step| values.get(step).copied().flatten();
        let wrong = (0..steps).find(|step| !same(at(found, *step), at(values, *step)));
        if let Some(step) = wrong {
            return Some(format!(
                "{labels} is {:?} at step {step}, and {:?} is expected",
                at(found, step),
                at(values, step)
            ));
        }
    }
    let unexpected = answer
        .iter()
        .find(|(labels, _)| !expected.iter().any(|(wanted, _)| wanted == labels));
    unexpected.map(|(labels, values)| format!("{labels} {values:?} is not expected"))
}

fn same(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => almost_equal(a, b),
        _ => false,
    }
}

/// As Prometheus's runner compares (util/almost, Prometheus 3.5).
fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || a.is_nan() && b.is_nan() {
        return true;
    }
    let difference = (a - b).abs();
    let size = a.abs() + b.abs();
    if a == 0.0 || b == 0.0 || size < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / size.min(f64::MAX) < EPSILON
}
