//! Series as `promtool test rules` and promqltest write them (`parseSeriesDesc`,
//! promql/parser/generated_parser.y, Prometheus 3.5): `metric{label="value"} 1+2x5 _ _x3 stale`.

use std::iter;

use crate::labels::{Labels, METRIC_NAME};

/// One place in the row of a series: what it holds at that step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Point {
    /// A value. NaN, too, is one.
    Value(f64),
    /// `_`: no sample.
    Missing,
    /// `stale`: the mark of a series that ends here.
    Stale,
    /// `{{…}}`: a native histogram. What it holds is not read, as histograms are not supported.
    Histogram,
}

/// A series with one point for each step.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The labels, the metric's name among them.
    pub labels: Labels,
    /// The points, the first one at the first step.
    pub points: Vec<Point>,
}

/// Text that is not in the notation of series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a series as Prometheus's tests write it: {0}")]
pub struct NotationError(String);

type Read<T> = Result<T, NotationError>;

/// No row is longer: a slip such as `1x99999999999` must not take all memory.
const LONGEST_ROW: usize = 1_000_000;

/// Reads a series with its points: `metric{label="value"} 1+2x5 _ stale`.
///
/// # Errors
/// If the text is not in the notation.
pub fn parse(text: &str) -> Read<Series> {
    let (labels, rest) = split(text)?;
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return Err(wrong("a space must follow the labels", rest));
    }
    Ok(Series {
        labels,
        points: points(rest)?,
    })
}

/// Reads the name and the labels of a series, as in `series:` of a `promtool` test.
///
/// # Errors
/// If the text is not in the notation, or if more follows.
pub fn labels(text: &str) -> Read<Labels> {
    let (labels, rest) = split(text)?;
    if rest.trim().is_empty() {
        Ok(labels)
    } else {
        Err(wrong("nothing may follow the labels", rest))
    }
}

/// Reads a row of points, as in `values:` of a `promtool` test.
///
/// # Errors
/// If the text is not in the notation.
pub fn points(text: &str) -> Read<Vec<Point>> {
    let mut points = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (item, after) = item(rest)?;
        if points.len().saturating_add(item.count) > LONGEST_ROW {
            return Err(wrong("there are too many points", rest));
        }
        points.extend(item.points());
        rest = after.trim_start();
    }
    Ok(points)
}

/// `1+2x5`: what it begins with, what is added each time, and how many there are.
struct Item {
    first: Point,
    step: f64,
    count: usize,
}

impl Item {
    fn points(self) -> impl Iterator<Item = Point> {
        let grown = move |point: &Point| match point {
            Point::Value(value) => Some(Point::Value(value + self.step)),
            Point::Missing | Point::Stale | Point::Histogram => Some(*point),
        };
        iter::successors(Some(self.first), grown).take(self.count)
    }
}

fn item(text: &str) -> Read<(Item, &str)> {
    if let Some(rest) = text.strip_prefix("{{") {
        return histogram(rest);
    }
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let bad = || wrong("a point is a number, `_`, `stale` or `{{…}}`", word);
    let one = |first| Item {
        first,
        step: 0.0,
        count: 1,
    };
    if word == "stale" {
        return Ok((one(Point::Stale), rest));
    }
    if let Some(times) = word.strip_prefix('_') {
        let count = match times {
            "" => 1,
            _ => count(times).ok_or_else(bad)?,
        };
        let missing = Item {
            count,
            ..one(Point::Missing)
        };
        return Ok((missing, rest));
    }
    let (first, tail) = number(word).ok_or_else(bad)?;
    if tail.is_empty() {
        return Ok((one(Point::Value(first)), rest));
    }
    let (step, tail) = if tail.starts_with(['+', '-']) {
        number(tail).ok_or_else(bad)?
    } else {
        (0.0, tail)
    };
    // `1x3` is the value and three more.
    let count = count(tail).ok_or_else(bad)?.saturating_add(1);
    let first = Point::Value(first);
    Ok((Item { first, step, count }, rest))
}

/// `{{…}}`, `{{…}}x3`, `{{…}}+{{…}}x3`; the opening braces are read.
fn histogram(text: &str) -> Read<(Item, &str)> {
    let open = || wrong("a histogram is not closed by `}}`", text);
    let (_, mut rest) = text.split_once("}}").ok_or_else(open)?;
    if let Some(step) = rest
        .strip_prefix("+{{")
        .or_else(|| rest.strip_prefix("-{{"))
    {
        (_, rest) = step.split_once("}}").ok_or_else(open)?;
    }
    let end = rest.find([' ', '\t']).unwrap_or(rest.len());
    let (times, rest) = rest.split_at(end);
    let more = match times {
        "" => 0,
        _ => count(times).ok_or_else(|| wrong("only `x` and a count may follow `}}`", times))?,
    };
    let item = Item {
        first: Point::Histogram,
        step: 0.0,
        count: more.saturating_add(1),
    };
    Ok((item, rest))
}

/// `x3`
fn count(text: &str) -> Option<usize> {
    let digits = text.strip_prefix('x')?;
    let all = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    all.then(|| digits.parse().ok())?
}

/// A number with its sign at the head of a text, and what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = length_of_number(digits)?;
    let (digits, rest) = digits.split_at(end);
    let value = digits.parse::<f64>().ok()?;
    Some((if negative { -value } else { value }, rest))
}

/// How long the unsigned number at the head of a text is. There are no hexadecimal ones here:
/// `0x3` is a zero and three more.
fn length_of_number(text: &str) -> Option<usize> {
    let head = text.get(..3).unwrap_or_default();
    if head.eq_ignore_ascii_case("inf") || head.eq_ignore_ascii_case("nan") {
        return Some(3);
    }
    let digits = |from: usize| {
        let tail = text.get(from..).unwrap_or_default();
        let end = tail.find(|c: char| !c.is_ascii_digit());
        from + end.unwrap_or(tail.len())
    };
    let whole = digits(0);
    let mantissa = match text.get(whole..=whole) {
        Some(".") => digits(whole + 1),
        _ => whole,
    };
    if whole == 0 && mantissa <= 1 {
        return None;
    }
    let Some("e" | "E") = text.get(mantissa..=mantissa) else {
        return Some(mantissa);
    };
    let sign = match text.get(mantissa + 1..mantissa + 2) {
        Some("+" | "-") => 1,
        _ => 0,
    };
    let start = mantissa + 1 + sign;
    let end = digits(start);
    (end > start).then_some(end)
}

/// The labels at the head of a text, and what follows them.
fn split(text: &str) -> Read<(Labels, &str)> {
    let text = text.trim_start();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(wrong("a metric's name does not begin with a digit", name));
    }
    let mut labels = Labels::default();
    if !name.is_empty() {
        labels.set(METRIC_NAME, name);
    }
    // Between the name and the brace there may be spaces; without a brace they part the points.
    match rest.trim_start().strip_prefix('{') {
        Some(inside) if !inside.starts_with('{') => {
            let rest = in_braces(inside, &mut labels)?;
            Ok((labels, rest))
        }
        _ if name.is_empty() => Err(wrong("a name or `{` must be there", text)),
        _ => Ok((labels, rest)),
    }
}

fn in_braces<'a>(text: &'a str, labels: &mut Labels) -> Read<&'a str> {
    let mut rest = text.trim_start();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok(rest);
        }
        let (name, quoted_name, after) = label_name(rest)?;
        rest = after.trim_start();
        match rest.strip_prefix('=') {
            Some(after) => {
                let (value, after) = quoted(after.trim_start())?;
                labels.set(name, value);
                rest = after.trim_start();
            }
            // `{"a metric's name"}`
            None if quoted_name && labels.name().is_empty() => labels.set(METRIC_NAME, name),
            None => return Err(wrong("`=` must follow the label's name", rest)),
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with('}') => {}
            None => return Err(wrong("`,` or `}` must follow a label", rest)),
        }
    }
}

fn label_name(text: &str) -> Read<(String, bool, &str)> {
    if text.starts_with(['"', '\'', '`']) {
        let (name, rest) = quoted(text)?;
        return Ok((name, true, rest));
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(wrong("a label's name must be there", text));
    }
    Ok((name.to_owned(), false, rest))
}

/// A string in quotes at the head of a text, and what follows it.
fn quoted(text: &str) -> Read<(String, &str)> {
    let length = crate::quote::length(text)
        .ok_or_else(|| wrong("a string in quotes must be there", text))?;
    let (string, rest) = text.split_at(length);
    let string = crate::quote::unquote(string).map_err(|reason| wrong(reason, string))?;
    Ok((string, rest))
}

fn wrong(what: &str, at: &str) -> NotationError {
    let shown = at.chars().take(40).collect::<String>();
    NotationError(format!("{what}, not `{shown}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Vec<Point> {
        points(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn values(values: &[f64]) -> Vec<Point> {
        values.iter().map(|value| Point::Value(*value)).collect()
    }

    #[test]
    fn a_row_grows_by_its_step_one_time_more_than_it_says() {
        assert_eq!(row("1+2x3"), values(&[1.0, 3.0, 5.0, 7.0]));
        assert_eq!(row("-1-2x2"), values(&[-1.0, -3.0, -5.0]));
        assert_eq!(row("4x2"), values(&[4.0, 4.0, 4.0]));
        assert_eq!(row("0x2 0+1x0"), values(&[0.0, 0.0, 0.0, 0.0]));
        assert_eq!(row("1e2+1e-1x1"), values(&[100.0, 100.1]));
    }

    #[test]
    fn gaps_ends_and_odd_values_have_words_of_their_own() {
        use Point::{Histogram, Missing, Stale, Value};
        assert_eq!(row("_ _x2 stale"), [Missing, Missing, Missing, Stale]);
        let infinite = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, -1e100];
        assert_eq!(row("Inf +inf -Inf -1e+100"), values(&infinite));
        assert!(matches!(row("NaN")[..], [Value(nan)] if nan.is_nan()));
        assert_eq!(row(".5\t+2. "), values(&[0.5, 2.0]));
        assert_eq!(
            row("1 {{sum:1 count:[2 3]}} 2"),
            [Value(1.0), Histogram, Value(2.0)]
        );
        assert_eq!(row("{{a}}x1 {{a:1 b}}+{{c}}x1"), [Histogram; 4]);
    }

    #[test]
    fn a_series_is_read_with_its_labels_however_they_are_quoted() {
        let read = |text| labels(text).unwrap();
        let plain = Labels::metric("m").with("a", "1").with("b", "}, {x=\"\n");
        assert_eq!(read(r#"m{a="1", b='}, {x="\n',}"#), plain);
        assert_eq!(read("m { a = `1` }"), Labels::metric("m").with("a", "1"));
        assert_eq!(read(r#"{__name__="m"}"#), Labels::metric("m"));
        assert_eq!(
            read(r#"{"m s", "é.x"="y"}"#),
            Labels::metric("m s").with("é.x", "y")
        );
        assert_eq!(read("{}"), Labels::default());
        assert_eq!(read("a:b"), Labels::metric("a:b"));
        let series = parse("m{a=\"1\"}\t1 _").unwrap();
        assert_eq!(series.points, [Point::Value(1.0), Point::Missing]);
        assert_eq!(parse("m 1x1").unwrap().points, values(&[1.0, 1.0]));
    }

    #[test]
    fn what_is_not_in_the_notation_is_refused() {
        for text in [
            "1 x", "1+x3", "1x", "x3", "_3", "_x", "stalex3", "1e", ".", "--1", "{{a}", "{{a}}y",
        ] {
            assert!(points(text).is_err(), "{text}");
        }
        for text in [
            "",
            "m{",
            "m{a}",
            "m{a=1}",
            "m{a=\"1\" b=\"2\"}",
            "m{1=\"\"}",
            "1m",
            "m}",
        ] {
            assert!(labels(text).is_err(), "{text}");
        }
        assert!(points("1x99999999999").is_err(), "a row without end");
        assert!(parse("m{}1").is_err(), "no space before the points");
    }
}
