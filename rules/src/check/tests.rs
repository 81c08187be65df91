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
        ("mad_over_time(a[5m])", "function `mad_over_time`"),
        (
            "ts_of_max_over_time(a[5m])",
            "function `ts_of_max_over_time`",
        ),
        ("first_over_time(a[5m])", "function `first_over_time`"),
        (
            "double_exponential_smoothing(a[5m], 0.5, 0.5)",
            "function `double_exponential_smoothing`",
        ),
        ("sort_by_label(a, \"b\")", "function `sort_by_label`"),
        ("info(a)", "function `info`"),
        ("histogram_avg(a)", "function `histogram_avg`"),
        ("histogram_fraction(0, 1, a)", "native histograms"),
        ("limitk(3, a)", "aggregation `limitk`"),
        ("limit_ratio(0.5, a)", "aggregation `limit_ratio`"),
        ("a + fill(0) b", "fill modifiers"),
        ("{a=\"1\" or b=\"2\"}", "`or` between matchers"),
        ("a @ 5", "`@` with a fixed time"),
        ("rate(a[5m] @ 5)", "`@` with a fixed time"),
        ("max_over_time(a[1h:1m] @ 5)", "`@` with a fixed time"),
        ("max_over_time(a[1h:])", "write the step"),
        ("max_over_time(a[1h:1ms])", "more than 11000 steps"),
        (
            "max_over_time(max_over_time(a[1h:10s])[1h:10s])",
            "more than 11000 steps",
        ),
        ("a[5m]", "a range needs a function"),
        ("a[5m:1m]", "a range needs a function"),
        ("rate(a[1h99999999999s])", "too long a duration"),
        ("rate(a[0s])", "at least a millisecond"),
        ("max_over_time(a[1m:0])", "at least a millisecond"),
        ("a offset Inf", "not a duration"),
        ("\"text\"", "a string is not a value"),
        ("timestamp(a @ end() offset 1m)", "mixes the two up"),
        ("time(5)", "argument"),
        ("round(a, 1, 2)", "argument"),
        ("label_join(a, \"b\")", "argument"),
        ("label_join(a, \"\", \"-\", \"b\")", "names of labels"),
        (
            "label_replace(a, \"b\", \"$1\", \"c\", \"(\")",
            "`(` is not a regular expression",
        ),
        ("count_values(\"\", a)", "name of a label"),
        ("count_values(\"\\xff\", a)", "UTF-8"),
        ("absent(a{b=\"1\", b!=\"2\"})", "no certain labels"),
        (
            "absent_over_time(a{b=\"1\", b!=\"2\"}[5m])",
            "no certain labels",
        ),
        ("a{b=~\"x{y}z\"}", "`x{y}z` is not a regular expression"),
    ];
    for (text, reason) in cases {
        let refusal = refusal(text);
        assert!(refusal.contains(reason), "{text}: {refusal}");
    }
}

#[test]
fn what_only_a_rule_may_not_say_a_query_may() {
    for text in [
        "a @ 5",
        "rate(a[5m] @ -5.5 offset 1m)",
        "max_over_time(a[1h:])",
    ] {
        assert!(parse(text).is_err(), "{text}");
        assert!(parse_query(text).is_ok(), "{text}: {:?}", parse_query(text));
    }
}

#[test]
fn what_prometheus_reads_and_the_parser_does_not_is_read() {
    let texts = [
        "a{b=~`\\d+`}",
        "1_000 * 0x1F",
        "{\"a metric\", \"a label\"=\"x\"}",
        "sum by (\"a label\") (a)",
        "predict_linear(a[1h], 4h)",
        "rate(a[300] offset 60) > 0 # or so",
        "max_over_time((a > 5)[1h:5m] offset -1m @ end())",
        "sum without () (offset) + by",
        "a + on () group_left () b atan2 c",
    ];
    for text in texts {
        assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
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
        // What is inside is evaluated as far back as the subquery reaches.
        ("max_over_time(a[1h:1m])", 3600, 3900),
        ("max_over_time(rate(a[5m])[1h:1m] offset 10m)", 4500, 4500),
        (
            "max_over_time(min_over_time(a[1h:1m] offset 1m)[10m:1m] offset 1h)",
            7860,
            8160,
        ),
        ("max_over_time(a[1h:1m] offset -30m)", 1800, 2100),
        // Within a subquery, too, these are the time of the rule.
        ("max_over_time((a - a @ end())[1h:1m])", 3600, 3900),
        ("max_over_time((a @ start() offset 5m)[1h:1m])", 300, 600),
        ("max_over_time(a[1h:1m] @ end()) > b offset 2h", 7200, 7500),
        ("quantile_over_time(scalar(b offset 1h), a[5m])", 3600, 3900),
        ("topk(scalar(b offset 1h), a)", 3600, 3900),
        ("round(a, scalar(b offset 1h))", 3600, 3900),
        ("timestamp(a offset 1h)", 3600, 3900),
        ("absent_over_time(a[20m])", 1200, 1200),
        ("histogram_quantile(0.9, rate(a[20m]))", 1200, 1200),
        (
            "sort(label_join(label_replace(a offset 1m, \"b\", \"\", \"\", \"\"), \"c\", \"\"))",
            60,
            360,
        ),
    ];
    for (text, needed, read) in cases {
        let reach = parse(text).unwrap().reach();
        assert_eq!(reach.needed_ms, needed * 1000, "{text}");
        assert_eq!(reach.read_ms, read * 1000, "{text}");
    }
}
