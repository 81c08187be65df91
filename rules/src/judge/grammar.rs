//! Random expressions of all that the checker accepts.

use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::strategy::{BoxedStrategy, Union};

use super::series::BUCKETS;
use ranges::{over_range, over_subquery, selector};

mod ranges;

fn labels_of(keyword: &'static str) -> impl Strategy<Value = String> {
    select(vec!["", "a", "b", "a, b", "c"]).prop_map(move |names| format!("{keyword} ({names}) "))
}

fn number() -> impl Strategy<Value = String> {
    select(vec![
        "0", "1", "2", "0.5", "-3", "0x7", "1e3", "Inf", "NaN", "010", "pi()", "1m",
    ])
    .prop_map(str::to_owned)
}

fn scalar(vector: Option<Union<BoxedStrategy<String>>>) -> impl Strategy<Value = String> {
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
///
/// What Go and Rust calculate to the last bit alike is anywhere in it; what they do not, on top,
/// so that no comparison or remainder makes much of a bit.
pub(super) fn vector() -> impl Strategy<Value = String> {
    let on_top = select(vec![
        "exp", "ln", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
        "tanh", "asinh", "acosh", "atanh", "deg", "rad",
    ]);
    let on_top = (on_top, exact()).prop_map(|(name, of)| format!("{name}({of})"));
    let operator = select(vec!["^ 2", "^ 0.5", "^ -1", "^ 3", "atan2 7", "atan2 -1"]);
    let powers = (exact(), operator).prop_map(|(of, operator)| format!("({of}) {operator}"));
    prop_oneof![20 => exact(), 3 => on_top, 1 => powers]
}

fn exact() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        8 => selector(),
        8 => over_range(),
        1 => histogram(),
        1 => date(),
        1 => selector().prop_map(|of| format!("timestamp({of})")),
        1 => scalar(None).prop_map(|of| format!("vector({of})")),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            4 => between(inner.clone()),
            4 => with_scalar(inner.clone()),
            2 => sets(inner.clone()),
            4 => aggregation(inner.clone()),
            1 => relabelled(inner.clone()),
            1 => over_subquery(inner.clone()),
            3 => each(inner),
        ]
    })
}

fn histogram() -> impl Strategy<Value = String> {
    let share = select(vec![
        "0",
        "0.5",
        "0.9",
        "1",
        "-1",
        "2",
        "NaN",
        "scalar(level)",
    ]);
    let of = select(vec![
        "#",
        "rate(#[10m])",
        "sum by (le) (#)",
        "sum by (le, a) (increase(#[5m]))",
        "#{le!=\"+Inf\"}",
        "#{le!=\"1\"} or level",
    ]);
    (share, of).prop_map(|(share, of)| {
        let of = of.replace('#', BUCKETS);
        format!("histogram_quantile({share}, {of})")
    })
}

/// Of times from about 1650 to 2290: what is no time has no date of ours.
fn date() -> impl Strategy<Value = String> {
    let part = select(vec![
        "year",
        "month",
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "days_in_month",
        "hour",
        "minute",
    ]);
    let of = (selector(), select(vec!["1e8", "86_399", "3e5"]))
        .prop_map(|(of, times)| format!("abs(({of}) * {times}) < 1e10"));
    let of = prop_oneof![1 => Just(String::new()), 6 => of];
    (part, of).prop_map(|(part, of)| format!("{part}({of})"))
}

fn relabelled(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let forms = select(vec![
        "label_replace(#, \"c\", \"$1-$2\", \"a\", \"(.)(.*)\")",
        "label_replace(#, \"b\", \"${1}z$$\", \"b\", \"(1|)\")",
        "label_replace(#, \"a\", \"\", \"a\", \"x\")",
        "label_replace(#, \"__name__\", \"n_$name\", \"a\", `(?P<name>\\w)`)",
        "label_replace(#, \"a b\", \"$0$3x\", \"__name__\", \".*\")",
        "label_join(#, \"c\", \"-\", \"b\", \"none\", \"a\")",
        "label_join(#, \"a\", \"\")",
        "label_join(#, \"__name__\", \"_\", \"__name__\", \"a\")",
    ]);
    (forms, inner).prop_map(|(form, of)| form.replace('#', &of))
}

fn operator() -> impl Strategy<Value = &'static str> {
    select(vec![
        "+", "-", "*", "/", "%", "==", "!=", ">", "<", ">=", "<=", "> bool", "== bool", "!= bool",
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
    operand.prop_map(|(vector, operator, scalar, left)| {
        if left {
            format!("{scalar} {operator} ({vector})")
        } else {
            format!("({vector}) {operator} {scalar}")
        }
    })
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

fn aggregation(inner: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> {
    let grouping = option::of(prop_oneof![labels_of("by"), labels_of("without")]);
    let plain = select(vec![
        "sum #",
        "min #",
        "max #",
        "avg #",
        "count #",
        "group #",
        "stddev #",
        "stdvar #",
        "quantile #0.4, ",
        "quantile #1.5, ",
        "quantile #scalar(level{a=\"x\",b=\"1\"}) / 100, ",
    ]);
    // Which of two equal ones is kept is left open, what their sum is, is not.
    let first = select(vec![
        "sum #topk #1, ",
        "count #bottomk #2.9, ",
        "max #bottomk #3, ",
        "min #topk #time() % 4, ",
        "sum #topk #-1, ",
    ]);
    let forms = prop_oneof![6 => plain, 1 => first];
    let any = (forms, grouping.clone(), inner).prop_map(|(form, grouping, of)| {
        let grouping = grouping.unwrap_or_default();
        let open = form.matches('#').count();
        let form = form.replace('#', &format!("{grouping}("));
        format!("{form}{of}{}", ")".repeat(open))
    });
    // The value becomes a label, which is compared to the last digit.
    let counted =
        (grouping, select(vec!["v", "a"]), selector()).prop_map(|(grouping, label, of)| {
            let grouping = grouping.unwrap_or_default();
            format!("count_values {grouping}(\"{label}\", {of})")
        });
    prop_oneof![12 => any, 1 => counted]
}

fn each(inner: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> {
    let forms = select(vec![
        "-(#)",
        "+(#)",
        "abs(#)",
        "ceil(#)",
        "floor(#)",
        "sgn(#)",
        "sqrt(#)",
        "round(#)",
        "round(#, 5)",
        "round(#, 0.5)",
        "clamp_min(#, 3)",
        "clamp_max(#, 5)",
        "clamp(#, -4, 4.5)",
        "clamp(#, 1, scalar(level{a=\"x\",b=\"1\"}))",
        "clamp_min(#, Inf)",
        "absent(#)",
        "timestamp(#)",
        "sort(#)",
        "sort_desc(#)",
    ]);
    let of_any = (forms, inner).prop_map(|(form, of)| form.replace('#', &of));
    let absent = selector()
        .prop_filter("the metric is named first", |of| !of.starts_with('{'))
        .prop_map(|of| format!("absent(no_{of})"));
    prop_oneof![6 => of_any, 1 => absent]
}
