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

#[test]
fn names_go_at_once_unless_a_query_asks_for_late() {
    let window = window(&[(Labels::metric("m").with("a", "1"), &[1.0, 2.0])]);
    let named = "sum by (__name__) (abs(m))";
    let late = Query {
        start_ms: 60_000,
        end_ms: 60_000,
        late_names: true,
    };
    let text = "label_replace(abs(m), \"of\", \"$1\", \"__name__\", \"(.+)\")";
    let expr = check::parse(text).unwrap();
    let vector = evaluate_query(&expr, &window, 60_000, late).unwrap();
    assert_eq!(vector[0].labels.to_string(), "{a=\"1\", of=\"m\"}");
    let at_once = evaluate(&window, text, 60_000).unwrap();
    assert_eq!(at_once, [("{a=\"1\"}".to_owned(), 2.0)]);
    assert_eq!(
        evaluate(&window, named, 60_000).unwrap(),
        [("{}".to_owned(), 2.0)]
    );
}

#[test]
fn at_start_and_end_is_the_time_of_the_rule_even_within_a_subquery() {
    let window = window(&[(Labels::metric("m"), &[1.0, 2.0, 3.0, 4.0, 5.0])]);
    let at_ms = 240_000;
    assert_eq!(
        one(&window, "sum_over_time((m @ end())[3m:1m])", at_ms),
        Some(15.0)
    );
    assert_eq!(
        one(
            &window,
            "sum_over_time((m @ start() offset 1m)[3m:1m])",
            at_ms
        ),
        Some(12.0)
    );
    assert_eq!(one(&window, "sum_over_time(m[3m:1m])", at_ms), Some(12.0));
    assert_eq!(
        one(&window, "sum_over_time(m[3m:1m] offset 1m)", at_ms),
        Some(9.0)
    );
}

#[test]
fn the_steps_of_a_subquery_are_multiples_of_the_step_whatever_the_time() {
    let window = window(&[(Labels::metric("m"), &[1.0, 2.0, 3.0, 4.0])]);
    // 60 s, 120 s and 180 s lie in (10 s, 190 s].
    assert_eq!(
        one(&window, "count_over_time(m[3m:1m])", 190_000),
        Some(3.0)
    );
    // 100 s and 200 s, at which the newest samples are of 60 s and 180 s.
    assert_eq!(
        one(&window, "sum_over_time(m[200s:100s])", 210_000),
        Some(6.0)
    );
    assert_eq!(one(&window, "count_over_time(m[30s:1m])", 170_000), None);
    // Before the epoch too: -60 s, 0 s and 60 s.
    assert_eq!(
        one(&window, "sum_over_time(vector(time())[3m:1m])", 90_000),
        Some(0.0)
    );
}

#[test]
fn series_that_become_one_at_different_times_of_a_subquery_leave_no_answer() {
    // Prometheus evaluates the inside of a subquery as one range, and finds both there.
    let (mut window, labels) = (Window::new(Duration::MAX), |name| Labels::metric(name));
    window.put(&labels("a"), 0, 1.0);
    window.put(&labels("b"), 600_000, 2.0);
    for inside in [
        "-{__name__=~\"a|b\"}",
        "max_over_time({__name__=~\"a|b\"}[1m])",
    ] {
        let text = format!("sum_over_time(({inside})[15m:1m])");
        let error = evaluate(&window, &text, 600_000).unwrap_err();
        assert!(error.to_string().contains("same labelset"), "{error}");
    }
    let of_samples = "sum_over_time(({__name__=~\"a|b\"} * 2)[15m:1m])";
    assert_eq!(
        evaluate(&window, of_samples, 600_000).unwrap(),
        [("{}".to_owned(), 14.0)]
    );
}

#[test]
fn a_time_that_no_date_can_be_told_of_leaves_no_answer() {
    let window = window(&[(Labels::metric("m"), &[f64::NAN])]);
    assert!(evaluate(&window, "hour(m)", 0).is_err());
    assert_eq!(one(&window, "hour()", 3_600_000), Some(1.0));
}

#[test]
fn how_many_to_keep_is_cut_off_and_must_be_a_number() {
    let labels = |a: &str| Labels::metric("m").with("a", a);
    let window = window(&[
        (labels("1"), &[1.0]),
        (labels("2"), &[2.0]),
        (labels("3"), &[f64::NAN]),
    ]);
    let kept = |text: &str| evaluate(&window, text, 0).map(|vector| vector.len());
    assert_eq!(kept("topk(1.9, m)"), Ok(1));
    assert_eq!(kept("topk(1e18, m)"), Ok(3));
    assert_eq!(kept("bottomk(0.9, m)"), Ok(0));
    assert_eq!(kept("topk(-Inf, m)"), Ok(0));
    assert_eq!(kept("topk(NaN, none)"), Ok(0));
    assert!(kept("topk(NaN, m)").is_err());
    assert!(kept("topk(Inf, m)").is_err());
    let last = evaluate(&window, "bottomk(3, m)", 0)
        .unwrap()
        .pop()
        .unwrap();
    assert!(last.1.is_nan(), "NaN is last: {last:?}");
}

#[test]
fn infinity_beats_nan_where_go_has_it_so() {
    let window = window(&[(Labels::metric("m"), &[f64::NAN])]);
    assert_eq!(one(&window, "clamp_min(m, Inf)", 0), Some(f64::INFINITY));
    assert!(one(&window, "clamp_min(m, 1)", 0).unwrap().is_nan());
    assert_eq!(one(&window, "clamp(m, 2, 1)", 0), None);
}
