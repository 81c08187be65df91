//! Cases that the random ones of `judge` do not, or seldom, reach. What Prometheus makes of them
//! was seen with promtool 3.5.

use std::time::Duration;

use super::*;
use crate::check;

/// One sample a minute from time 0 on for each series.
fn window(series: &[(Labels, &[f64])]) -> Window {
    let mut window = Window::new(Duration::MAX);
    for (labels, values) in series {
        for (at_ms, value) in (0..).step_by(60_000).zip(*values) {
            window.put(labels, at_ms, *value);
        }
    }
    window
}

fn evaluate(window: &Window, text: &str, at_ms: i64) -> Result<Vec<(String, f64)>, EvalError> {
    let vector = super::evaluate(&check::parse(text).unwrap(), window, at_ms)?;
    let shown = |element: Element| (element.labels.to_string(), element.value);
    Ok(vector.into_iter().map(shown).collect())
}

fn one(window: &Window, text: &str, at_ms: i64) -> Option<f64> {
    let vector = evaluate(window, text, at_ms).unwrap();
    vector.first().map(|(_, value)| *value)
}

#[test]
fn a_range_leaves_out_the_sample_at_its_start() {
    let window = window(&[(Labels::metric("m"), &[1.0, 2.0, 3.0])]);
    assert_eq!(one(&window, "count_over_time(m[1m])", 120_000), Some(1.0));
    assert_eq!(one(&window, "rate(m[1m])", 120_000), None);
}

#[test]
fn a_sample_is_seen_for_less_than_five_minutes() {
    let window = window(&[(Labels::metric("m"), &[1.0])]);
    assert_eq!(one(&window, "m", 299_999), Some(1.0));
    assert_eq!(one(&window, "m", 300_000), None);
}

#[test]
fn a_regular_expression_must_match_the_whole_value_newlines_too() {
    let labels = Labels::metric("m").with("l", "one\ntwo");
    let window = window(&[(labels, &[1.0])]);
    assert_eq!(one(&window, "m{l=~\"one.*\"}", 0), Some(1.0));
    assert_eq!(one(&window, "m{l=~\"one\"}", 0), None);
    assert_eq!(one(&window, "m{l!~\"two\"}", 0), Some(1.0));
    assert_eq!(one(&window, "m{none=~\"|x\"}", 0), Some(1.0));
}

#[test]
fn names_that_are_dropped_from_two_series_leave_no_answer() {
    let series = [
        (Labels::metric("a"), [1.0].as_slice()),
        (Labels::metric("b"), &[2.0]),
    ];
    let window = window(&series);
    let error = evaluate(&window, "-{__name__=~\"a|b\"}", 0).unwrap_err();
    assert!(error.to_string().contains("same labelset"), "{error}");
}

#[test]
fn many_to_many_and_implicit_many_to_one_leave_no_answer() {
    let labels = |side: &str, x: &str| Labels::metric(side).with("x", x);
    let window = window(&[
        (labels("many", "1"), &[1.0]),
        (labels("many", "2"), &[1.0]),
        (Labels::metric("one"), &[1.0]),
    ]);
    let many = evaluate(&window, "one + on () many", 0).unwrap_err();
    assert!(
        many.to_string().contains("on the right hand-side"),
        "{many}"
    );
    let implicit = evaluate(&window, "many + on () one", 0).unwrap_err();
    assert!(implicit.to_string().contains("group_left"), "{implicit}");
    assert_eq!(one(&window, "many + on () group_left one", 0), Some(2.0));
}

#[test]
fn a_filter_keeps_the_value_and_the_name_of_the_vector_whichever_side_it_is_on() {
    let window = window(&[(Labels::metric("m"), &[5.0])]);
    let kept = [("m".to_owned(), 5.0)];
    assert_eq!(evaluate(&window, "m > 3", 0).unwrap(), kept);
    assert_eq!(evaluate(&window, "3 < m", 0).unwrap(), kept);
    assert_eq!(
        evaluate(&window, "3 < bool m", 0).unwrap(),
        [("{}".to_owned(), 1.0)]
    );
}

#[test]
fn a_rule_that_is_a_scalar_gives_one_sample_without_labels() {
    let window = window(&[]);
    assert_eq!(
        evaluate(&window, "1 + 2", 0).unwrap(),
        [("{}".to_owned(), 3.0)]
    );
    assert_eq!(one(&window, "time()", 1_500), Some(1.5));
}

#[test]
fn a_mean_that_would_overflow_is_taken_step_by_step() {
    let window = window(&[(Labels::metric("m"), &[f64::MAX, f64::MAX, f64::MAX])]);
    let mean = one(&window, "avg_over_time(m[10m])", 120_000).unwrap();
    assert!((mean / f64::MAX - 1.0).abs() < 1e-12, "{mean}");
}
