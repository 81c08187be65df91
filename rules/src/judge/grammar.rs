//! Random series, and random expressions of all that the checker accepts.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::strategy::Union;

use super::{Point, TestSeries};
use crate::labels::Labels;

const METRICS: [&str; 3] = ["depth", "events_total", "level"];

/// Series of three metrics with two labels each, with gaps, ends and counter resets.
pub(super) fn series(points: usize) -> impl Strategy<Value = Vec<TestSeries>> {
    let all = METRICS.into_iter().flat_map(|metric| {
        ["x", "y"].into_iter().flat_map(move |a| {
            ["1", "2", ""].into_iter().map(move |b| {
                let labels = Labels::metric(metric).with("a", a).with("b", b);
                let points = match metric {
                    "events_total" => counter(points).boxed(),
                    _ => gauge(points).boxed(),
                };
                (any::<u8>(), points).prop_map(move |(there, points)| {
                    (there % 4 != 0).then(|| TestSeries {
                        labels: labels.clone(),
                        points,
                    })
                })
            })
        })
    });
    all.collect::<Vec<_>>()
        .prop_map(|all| all.into_iter().flatten().collect())
}

fn point(value: impl Strategy<Value = f64>) -> impl Strategy<Value = Point> {
    (0..20, value).prop_map(|(kind, value)| match kind {
        0 | 1 => Point::Missing,
        2 => Point::Stale,
        _ => Point::Value(value),
    })
}

fn gauge(points: usize) -> impl Strategy<Value = Vec<Point>> {
    let odd = select(vec![
        0.0,
        -0.0,
        1e9,
        1e-9,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e308,
    ]);
    let tame = prop_oneof![-100..100_i32, Just(0), Just(7)].prop_map(f64::from);
    let tenth = (-1000..1000_i32).prop_map(|value| f64::from(value) / 10.0);
    let value = prop_oneof![6 => tame, 6 => tenth, 1 => odd];
    vec(point(value), points)
}

fn counter(points: usize) -> impl Strategy<Value = Vec<Point>> {
    let steps = vec((0..8_i32, point(Just(0.0))), points);
    (0..50_i32, steps).prop_map(|(first, steps)| {
        let mut total = first;
        let points = steps.into_iter().map(|(step, point)| {
            total = if step == 7 { 0 } else { total + step };
            match point {
                Point::Value(_) => Point::Value(f64::from(total)),
                other => other,
            }
        });
        points.collect()
    })
}

fn labels_of(keyword: &'static str) -> impl Strategy<Value = String> {
    select(vec!["", "a", "b", "a, b", "c"]).prop_map(move |names| format!("{keyword} ({names}) "))
}

fn selector() -> impl Strategy<Value = String> {
    let matcher = select(vec![
        "a=\"x\"",
        "a!=\"x\"",
        "a=~\"x|z\"",
        "a!~\"y.*\"",
        "b=\"\"",
        "b!=\"\"",
        "b=~\"1|\"",
        "b=~\".+\"",
        "c=\"\"",
        "b=\"2\"",
    ]);
    let offset = prop_oneof![4 => Just(""), 1 => Just(" offset 1m"), 1 => Just(" offset -30s")];
    (
        select(METRICS.to_vec()),
        vec(matcher, 0..3),
        offset,
        any::<bool>(),
    )
        .prop_map(|(metric, mut matchers, offset, plain)| {
            matchers.dedup();
            if plain || matchers.is_empty() {
                return format!("{metric}{offset}");
            }
            format!("{metric}{{{}}}{offset}", matchers.join(","))
        })
}

fn range() -> impl Strategy<Value = String> {
    let range = select(vec!["1m", "90s", "2m", "5m", "10m", "17m30s", "1h"]);
    (selector(), range).prop_map(|(selector, range)| match selector.split_once(" offset") {
        None => format!("{selector}[{range}]"),
        Some((selector, offset)) => format!("{selector}[{range}] offset{offset}"),
    })
}

fn over_range() -> impl Strategy<Value = String> {
    let functions = vec![
        "rate",
        "increase",
        "delta",
        "deriv",
        "avg_over_time",
        "min_over_time",
        "max_over_time",
        "sum_over_time",
        "count_over_time",
        "last_over_time",
        "present_over_time",
        "changes",
        "resets",
    ];
    let plain = (select(functions), range()).prop_map(|(name, of)| format!("{name}({of})"));
    let ahead = select(vec!["60", "3600", "4 * 60 * 60", "-30"]);
    let linear = (range(), ahead).prop_map(|(of, ahead)| format!("predict_linear({of}, {ahead})"));
    prop_oneof![6 => plain, 1 => linear]
}

fn number() -> impl Strategy<Value = String> {
    select(vec!["0", "1", "2", "0.5", "-3", "7", "1e3", "Inf", "NaN"]).prop_map(str::to_owned)
}

fn scalar(
    vector: Option<Union<proptest::strategy::BoxedStrategy<String>>>,
) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![4 => number(), 1 => Just("time()".to_owned())];
    let leaf = match vector {
        Some(vector) => {
            prop_oneof![3 => leaf, 1 => vector.prop_map(|of| format!("scalar({of})"))].boxed()
        }
        None => leaf.boxed(),
    };
    leaf.prop_recursive(2, 6, 2, |inner| {
        let operator = select(vec![
            "+", "-", "*", "/", "%", "== bool", "> bool", "<= bool",
        ]);
        prop_oneof![
            (inner.clone(), operator, inner.clone())
                .prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            inner.prop_map(|of| format!("-({of})")),
        ]
    })
}

/// An expression that gives an instant vector.
pub(super) fn vector() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => selector(),
        4 => over_range(),
        1 => scalar(None).prop_map(|of| format!("vector({of})")),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            2 => between(inner.clone()),
            2 => with_scalar(inner.clone()),
            1 => sets(inner.clone()),
            2 => aggregation(inner.clone()),
            1 => each(inner),
        ]
    })
}

fn operator() -> impl Strategy<Value = &'static str> {
    select(vec![
        "+", "-", "*", "/", "%", "==", "!=", ">", "<", ">=", "<=", "> bool", "== bool",
    ])
}

fn between(inner: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> {
    let plain = prop_oneof![Just(String::new()), labels_of("on"), labels_of("ignoring")];
    let on = select(vec!["on (a)", "ignoring (b)", "on (a, b)"]);
    let group = select(vec![
        " group_left ()",
        " group_right ()",
        " group_left (b)",
        " group_right (c)",
    ]);
    let grouped = (on, group).prop_map(|(on, group)| format!("{on}{group} "));
    let matching = prop_oneof![3 => plain, 1 => grouped];
    (inner.clone(), operator(), matching, inner)
        .prop_filter(
            "a label is either matched by or taken over",
            |(_, _, matching, _)| !matching.contains("on (a, b) group_left (b)"),
        )
        .prop_map(|(left, operator, matching, right)| {
            format!("({left}) {operator} {matching}({right})")
        })
}

fn with_scalar(
    inner: impl Strategy<Value = String> + Clone + 'static,
) -> impl Strategy<Value = String> {
    let inside = Union::new([inner.clone().boxed()]);
    let operand = (inner, operator(), scalar(Some(inside)), any::<bool>());
    let plain = operand.prop_map(|(vector, operator, scalar, left)| {
        if left {
            format!("{scalar} {operator} ({vector})")
        } else {
            format!("({vector}) {operator} {scalar}")
        }
    });
    prop_oneof![9 => plain, 1 => selector().prop_map(|of| format!("{of} ^ 2"))]
}

fn sets(inner: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> {
    let matching = prop_oneof![Just(String::new()), labels_of("on"), labels_of("ignoring")];
    (
        inner.clone(),
        select(vec!["and", "or", "unless"]),
        matching,
        inner,
    )
        .prop_map(|(left, operator, matching, right)| {
            format!("({left}) {operator} {matching}({right})")
        })
}

fn aggregation(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let grouping = option::of(prop_oneof![labels_of("by"), labels_of("without")]);
    (
        select(vec!["sum", "min", "max", "avg", "count"]),
        grouping,
        inner,
    )
        .prop_map(|(name, grouping, of)| format!("{name} {}({of})", grouping.unwrap_or_default()))
}

fn each(inner: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> {
    let forms = select(vec![
        "-(#)",
        "abs(#)",
        "clamp_min(#, 3)",
        "clamp_max(#, 5)",
        "absent(#)",
    ]);
    let of_any = (forms, inner).prop_map(|(form, of)| form.replace('#', &of));
    let absent = selector().prop_map(|of| format!("absent(no_{of})"));
    prop_oneof![4 => of_any, 1 => absent]
}
