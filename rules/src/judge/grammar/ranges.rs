//! Random selectors, ranges and subqueries, and functions of them.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use crate::judge::series::METRICS;

/// What is behind a selector, a range or a subquery.
fn when() -> impl Strategy<Value = String> {
    let offset = prop_oneof![
        12 => Just(""),
        3 => Just(" offset 1m"),
        2 => Just(" offset -30s"),
        1 => Just(" offset 90"),
        1 => Just(" offset 0x1F"),
    ];
    let at = prop_oneof![12 => Just(""), 1 => Just(" @ end()"), 1 => Just(" @ start()")];
    (offset, at, any::<bool>()).prop_map(|(offset, at, swapped)| {
        if swapped {
            format!("{at}{offset}")
        } else {
            format!("{offset}{at}")
        }
    })
}

/// A selector with nothing behind it.
fn plain() -> impl Strategy<Value = String> {
    let matcher = select(vec![
        "a=\"x\"",
        "a!='x'",
        "a=~\"x|z\"",
        "a!~`y.*`",
        "b=\"\"",
        "b!=\"\"",
        "b=~`\\d|`",
        "b=~\".+\"",
        "c=\"\"",
        "\"b\"=\"\\x32\"",
    ]);
    (select(METRICS.to_vec()), vec(matcher, 0..3), 0..4).prop_map(|(metric, mut matchers, form)| {
        matchers.dedup();
        let quoted = format!("\"{metric}\"");
        match form {
            0 | 1 => metric.to_owned(),
            2 => format!("{metric}{{{}}}", matchers.join(",")),
            _ => {
                matchers.insert(0, &quoted);
                format!("{{{}}}", matchers.join(","))
            }
        }
    })
}

pub(super) fn selector() -> impl Strategy<Value = String> {
    (plain(), when()).prop_map(|(plain, when)| plain + &when)
}

fn range() -> impl Strategy<Value = String> {
    let range = select(vec![
        "1m", "90s", "2m", "300", "10m", "17m30s", "1h", "1_200",
    ]);
    (plain(), range, when()).prop_map(|(plain, range, when)| format!("{plain}[{range}]{when}"))
}

/// A subquery of an expression.
fn subquery(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let range = select(vec!["1m", "5m", "10m", "17m", "20s", "1h"]);
    let step = select(vec!["15s", "1m", "47s", "5m", "60"]);
    (inner, range, step, when())
        .prop_map(|(of, range, step, when)| format!("({of})[{range}:{step}]{when}"))
}

/// A function of a range.
pub(super) fn over_range() -> impl Strategy<Value = String> {
    prop_oneof![3 => over(range()), 1 => over(subquery(selector()))]
}

/// A function of a subquery of any expression.
pub(super) fn over_subquery(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    over(subquery(inner))
}

fn over(range: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let functions = vec![
        "rate(#)",
        "increase(#)",
        "delta(#)",
        "irate(#)",
        "idelta(#)",
        "deriv(#)",
        "avg_over_time(#)",
        "min_over_time(#)",
        "max_over_time(#)",
        "sum_over_time(#)",
        "count_over_time(#)",
        "last_over_time(#)",
        "present_over_time(#)",
        "stddev_over_time(#)",
        "stdvar_over_time(#)",
        "changes(#)",
        "resets((#))",
        "absent_over_time(#)",
        "predict_linear(#, 60)",
        "predict_linear(#, 4 * 60 * 60)",
        "predict_linear(#, -30s)",
        "quantile_over_time(0.3, #)",
        "quantile_over_time(1, #)",
        "quantile_over_time(-0.5, #)",
        "quantile_over_time(time() % 1, #)",
    ];
    (select(functions), range).prop_map(|(function, of)| function.replace('#', &of))
}
