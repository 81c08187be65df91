//! Promise: the alert that pages is the alert that heals, so a pattern matches what it matches
//! for Prometheus 3, to the letter that is captured.

use proptest::collection::vec;
use proptest::sample::select;

use super::expressions::{differences, expectation, judge};
use super::{Point, Random, TestSeries, cases};
use crate::check;
use crate::eval;
use crate::labels::Labels;
use crate::window::Window;

/// Texts that tell the two dialects apart, and some that do not.
const TEXTS: [&str; 16] = [
    "",
    "a",
    "ab",
    "aab",
    "A-b",
    "a.b:9100",
    "<a>",
    "é1",
    "٣",
    "x{2}",
    "a b\tc",
    "K\u{212a}k",
    "&&",
    "a]b[",
    "a.*b|",
    "A0\\Q",
];

/// Parts of patterns; whatever chance makes of them.
const PARTS: [&str; 72] = [
    "a",
    "b",
    "A",
    "k",
    "é",
    "1",
    ".",
    "-",
    "&",
    "<",
    ">",
    "{",
    "}",
    "]",
    "|",
    "|",
    "(",
    "(",
    ")",
    ")",
    "(?:",
    "(?i)",
    "(?i:",
    "(?s-i:",
    "(?U)",
    "(?m)",
    "(?x)",
    "(?P<n>",
    "(?<n>",
    "*",
    "+",
    "?",
    "*?",
    "+?",
    "{2}",
    "{1,}",
    "{0,3}",
    "{,3}",
    "{1, 2}",
    "[ab]",
    "[^ab]",
    "[a-c]",
    "[a&&b]",
    "[^\\w]",
    "[[:alpha:]]",
    "[[:^digit:]x]",
    "[]a]",
    "[a-]",
    "[a[b]",
    "[\\d-]",
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "\\s",
    "\\S",
    "\\b",
    "\\<",
    "\\-",
    "\\.",
    "^",
    "$",
    ".*",
    ".+",
    "\\Q",
    "\\Q",
    "\\E",
    "\\E",
    "\\Qa.\\E",
    "\\101",
    "\\060",
    "[\\60-\\71]",
];

/// `m{t=TEXT}` for each text, and what each pattern makes of them.
fn series() -> Vec<TestSeries> {
    let series = TEXTS.iter().map(|text| TestSeries {
        labels: Labels::metric("m").with("t", *text),
        points: vec![Point::Value(1.0)],
    });
    series.collect()
}

#[test]
fn a_random_pattern_matches_and_captures_what_it_does_in_prometheus() {
    let mut random = Random::new();
    let series = series();
    let mut window = Window::new(std::time::Duration::MAX);
    for series in &series {
        series.put(&mut window, 60_000, 0, i64::MAX);
    }
    let (mut expected, mut taken, mut refused) = (String::new(), 0, 0);
    let known = [
        "[a&&b]",
        "x**",
        "\\d",
        "\\w+",
        "\\<a\\>",
        "(?x)a b",
        "(a|(b))*",
        "(|a)*b",
        "\\Qa.\\E.*",
        "(\\Q.*\\E|.)+",
        "\\101\\60\\\\Q",
        "a\\Q.*",
        "\\Qa\\E+b",
    ];
    let known = known.into_iter().map(str::to_owned);
    let random = (0..cases(600)).map(|_| random.make(vec(select(&PARTS[..]), 1..7)).concat());
    for pattern in known.chain(random) {
        let escaped = pattern.replace('\\', "\\\\");
        for text in [
            format!("label_replace(m, \"got\", \"<$0|$1|$2|$n>\", \"t\", \"{escaped}\")"),
            format!("m{{t=~\"{escaped}\"}}"),
            format!("m{{t!~\"{escaped}\"}}"),
        ] {
            match check::parse(&text) {
                Ok(expr) => {
                    taken += 1;
                    let vector = eval::evaluate(&expr, &window, 0).unwrap_or_else(|error| {
                        panic!("{text}: {error}");
                    });
                    expected += &expectation(&text, 0, &vector);
                }
                Err(_) => refused += 1,
            }
        }
    }
    println!("{taken} taken, {refused} refused");
    assert!(taken > refused / 2, "too few patterns are taken");
    let series = series.iter().map(TestSeries::yaml).collect::<String>();
    let last = expectation("vector(1)", 60_000, &eval::constant(1.0));
    let (success, said) = judge(&format!(
        "  - interval: 1m\n    input_series:\n{series}    promql_expr_test:\n{expected}{last}"
    ));
    let (differences, _) = differences(&said);
    assert!(
        success,
        "promtool does not agree:\n{}\n{}",
        differences.join("\n"),
        &said[..said.len().min(2000)]
    );
}
