//! The files of the suite: what they load, and what they expect (promql/promqltest/README.md of
//! Prometheus 3.5 has the format).

use std::time::Duration;

use snowguard_rules::testing::duration;
use snowguard_rules::testing::series::{self, Point, Series};

pub(crate) enum Command {
    Clear,
    Load {
        step: Duration,
        series: Vec<Series>,
        /// Whether Prometheus makes native histograms of the classic ones too.
        with_histograms: bool,
    },
    Eval(Eval),
}

pub(crate) struct Eval {
    /// In the file, from 1.
    pub(crate) line: usize,
    pub(crate) query: String,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) step_ms: i64,
    pub(crate) instant: bool,
    pub(crate) ordered: bool,
    pub(crate) expected: Expected,
}

pub(crate) enum Expected {
    /// An error. Its text is not compared: ours say the same in other words.
    Failure,
    Scalar(f64),
    /// Each with a point for each step.
    Series(Vec<Series>),
    /// What only a later Prometheus has.
    Other,
}

/// Reads a file; an error names the line.
pub(crate) fn read(text: &str) -> Result<Vec<Command>, String> {
    // A comment ends a block, as an empty line does.
    let lines = text.lines().map(str::trim);
    let lines = lines.map(|line| if line.starts_with('#') { "" } else { line });
    let mut lines = (1..).zip(lines).peekable();
    let mut commands = Vec::new();
    while let Some((number, line)) = lines.next() {
        let mut block = Vec::new();
        let word = line.split_whitespace().next().unwrap_or_default();
        if word.starts_with("load") || word.starts_with("eval") {
            while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
                block.push(line);
            }
        }
        let at = |reason: String| format!("line {number}: {reason}");
        commands.push(match word {
            "" => continue,
            "clear" => Command::Clear,
            "load" | "load_with_nhcb" => load(line, &block).map_err(at)?,
            word if word.starts_with("eval") => {
                Command::Eval(eval(number, line, &block).map_err(at)?)
            }
            other => return Err(at(format!("`{other}` is no command"))),
        });
    }
    Ok(commands)
}

fn load(line: &str, block: &[&str]) -> Result<Command, String> {
    let (word, step) = head(line);
    let series = block.iter().map(|line| read_series(line));
    Ok(Command::Load {
        step: duration(step).ok_or_else(|| format!("`{step}` is no duration"))?,
        series: series.collect::<Result<_, _>>()?,
        with_histograms: word == "load_with_nhcb",
    })
}

/// The first word and the rest.
fn head(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn eval(line: usize, text: &str, block: &[&str]) -> Result<Eval, String> {
    let (word, rest) = head(text);
    let (kind, rest) = head(rest);
    let (mut start_ms, mut end_ms, mut step_ms) = (0, 0, 1);
    let mut rest = rest;
    while let (name @ ("at" | "from" | "to" | "step"), tail) = head(rest) {
        let (time, tail) = head(tail);
        let time = duration(time).ok_or_else(|| format!("`{time}` is no duration"))?;
        let ms = i64::try_from(time.as_millis()).map_err(|_| "a time is too long".to_owned())?;
        match name {
            "at" => (start_ms, end_ms) = (ms, ms),
            "from" => start_ms = ms,
            "to" => end_ms = ms,
            _ => step_ms = ms,
        }
        rest = tail;
        // A metric may have such a name: they come in this order, and each once.
        if matches!((kind, name), ("instant", "at") | ("range", "step")) {
            break;
        }
    }
    let mut eval = Eval {
        line,
        query: rest.to_owned(),
        start_ms,
        end_ms,
        step_ms,
        instant: kind == "instant",
        ordered: word == "eval_ordered",
        expected: Expected::Series(Vec::new()),
    };
    if word == "eval_fail" {
        eval.expected = Expected::Failure;
    }
    for line in block {
        expect(&mut eval, line)?;
    }
    Ok(eval)
}

fn expect(eval: &mut Eval, line: &str) -> Result<(), String> {
    if line.starts_with("expected_fail_message") || line.starts_with("expected_fail_regexp") {
        return Ok(());
    }
    if let ("expect", what) = head(line) {
        match head(what).0 {
            "fail" => eval.expected = Expected::Failure,
            "ordered" => eval.ordered = true,
            // Annotations are not made.
            "warn" | "no_warn" | "info" | "no_info" => {}
            "string" | "range" => eval.expected = Expected::Other,
            other => return Err(format!("`expect {other}` is not known")),
        }
        return Ok(());
    }
    match (&mut eval.expected, series::points(line).as_deref()) {
        (Expected::Series(_), Ok([Point::Value(value)])) => {
            eval.expected = Expected::Scalar(*value);
        }
        (Expected::Series(all), _) => all.push(read_series(line)?),
        (Expected::Other, _) => {}
        _ => return Err(format!("`{line}` is not expected here")),
    }
    Ok(())
}

fn read_series(line: &str) -> Result<Series, String> {
    series::parse(line).map_err(|error| error.to_string())
}
