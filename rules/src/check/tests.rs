use super::*;

fn refusal(text: &str) -> String {
    match parse(text) {
        Ok(expr) => panic!("{text} is accepted: {expr:?}"),
        Err(Unsupported(reason)) => reason,
    }
}

#[test]
fn what_cannot_be_evaluated_is_refused_by_name() {
    let cases = [
        (
            "quantile_over_time(0.9, a[5m])",
            "function `quantile_over_time`",
        ),
        ("irate(a[5m])", "function `irate`"),
        (
            "label_replace(a, \"b\", \"$1\", \"c\", \".*\")",
            "function `label_replace`",
        ),
        (
            "histogram_quantile(0.9, a)",
            "function `histogram_quantile`",
        ),
        ("topk(3, a)", "aggregation `topk`"),
        ("quantile(0.5, a)", "aggregation `quantile`"),
        ("count_values(\"v\", a)", "aggregation `count_values`"),
        ("stddev(a)", "aggregation `stddev`"),
        ("a atan2 b", "operator `atan2`"),
        ("max_over_time(a[1h:1m])", "subqueries"),
        ("rate(rate(a[1m])[1h:1m])", "subqueries"),
        ("a @ 5", "`@` modifier"),
        ("a[5m]", "a range needs a function"),
        ("rate(a[1h99999999999s])", "too long a duration"),
        ("\"text\"", "a string is not a value"),
        ("time(5)", "argument"),
        ("absent(a{b=\"1\", b!=\"2\"})", "no certain labels"),
        ("a{b=~\"x{y}z\"}", "`x{y}z` is not a regular expression"),
    ];
    for (text, reason) in cases {
        let refusal = refusal(text);
        assert!(refusal.contains(reason), "{text}: {refusal}");
    }
}

#[test]
fn what_is_not_promql_is_refused() {
    let cases = [
        "",
        "a +",
        "a < > b",
        "sum(",
        "no_such_function(a)",
        "a{",
        "rate(a)",
        "1 < 2",
        "{}",
        "a and 1",
        "rate(a[5 apples])",
        "a[5m] + 1",
        "sum(1)",
        "a offset",
    ];
    for text in cases {
        refusal(text);
    }
}

#[test]
fn an_unknown_function_is_named() {
    let refusal = refusal("no_such_function(a)");
    assert!(refusal.contains("no_such_function"), "{refusal}");
}

#[test]
fn a_rule_needs_its_longest_range_with_the_offset_and_reads_what_an_instant_looks_back() {
    let cases = [
        ("a", 0, 300),
        ("a offset 10m", 600, 900),
        ("rate(a[5m])", 300, 300),
        ("rate(a[5m] offset 1h) > b", 3900, 3900),
        (
            "predict_linear(a[1h], 4 * 60 * 60) < scalar(b offset 2h)",
            7200,
            7500,
        ),
        (
            "clamp_min(sum without (x) (increase(a[30m])), 3) or absent(b)",
            1800,
            1800,
        ),
        ("time() > bool 3", 0, 0),
    ];
    for (text, needed, read) in cases {
        let reach = parse(text).unwrap().reach();
        assert_eq!(reach.needed_ms, needed * 1000, "{text}");
        assert_eq!(reach.read_ms, read * 1000, "{text}");
    }
}
