use super::*;

fn render(text: &str, value: f64) -> String {
    let labels = Labels::metric("m").with("disk", "sda");
    let context = Context {
        external_labels: &BTreeMap::new(),
        external_url: "",
    };
    let template = Template::parse(text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
    template.render(&labels, value, context)
}

#[test]
fn labels_and_values_are_filled_in() {
    let text = "{{ $labels.disk }}{{$labels.none}}: {{ $value }} {{ printf \"%.2f\" $value }}";
    assert_eq!(render(text, 12.345), "sda: 12.345 12.35");
    assert_eq!(
        render("no {braces} to fill }} in", 0.0),
        "no {braces} to fill }} in"
    );
}

#[test]
fn numbers_are_written_as_prometheus_writes_them() {
    let cases = [
        ("{{ $value }}", 1e6, "1e+06"),
        ("{{ $value }}", 123_456.0, "123456"),
        ("{{ $value }}", 0.00001, "1e-05"),
        ("{{ $value }}", f64::INFINITY, "+Inf"),
        ("{{ $value | humanize }}", 1_234_567.0, "1.235M"),
        ("{{ $value | humanize }}", 0.00123, "1.23m"),
        ("{{ $value | humanize }}", 0.0, "0"),
        ("{{ $value | humanize }}", f64::NAN, "NaN"),
        ("{{ $value | humanize1024 }}", 4_294_967_296.0, "4Gi"),
        ("{{ $value | humanizePercentage }}", 0.1234, "12.34%"),
        ("{{ $value | humanizeDuration }}", 90_061.0, "1d 1h 1m 1s"),
        ("{{ $value | humanizeDuration }}", -61.5, "-1m 1s"),
        ("{{ $value | humanizeDuration }}", 0.0123, "12.3ms"),
        ("{{ $value | printf \"%.0f\" }}", 2.5, "2"),
    ];
    for (text, value, expected) in cases {
        assert_eq!(render(text, value), expected, "{text} of {value}");
    }
}

#[test]
fn conditions_variables_and_pipelines_are_followed() {
    let cases = [
        (
            "{{ if gt $value 10.0 }}much{{ else if gt $value 1.0 }}some{{ else }}little{{ end }}",
            "some",
        ),
        ("{{- $value -}}  |  {{ .Value }}", "5|  5"),
        ("a {{- /* nothing */ -}} b", "ab"),
        ("{{ with $labels.disk }}{{ . | toUpper }}{{ end }}", "SDA"),
        ("{{ with $labels.none }}x{{ else }}none{{ end }}", "none"),
        (
            r#"{{ $d := .Labels.disk }}{{ $d = print $d "!" }}{{ $d }}"#,
            "sda!",
        ),
        (
            "{{ range $n, $v := $labels }}{{ $n }}={{ $v }};{{ end }}",
            "__name__=m;disk=sda;",
        ),
        ("{{ $labels }}", "map[__name__:m disk:sda]"),
        (
            r#"{{ printf "%s|%5.1f|%-4d|%q" $labels.disk $value 7 "x" }}"#,
            r#"sda|  5.0|7   |"x""#,
        ),
        (r#"{{ printf "%d" $value }}"#, "%!d(float64=5)"),
        (
            r#"{{ and $labels.none "x" }}{{ or $labels.none "y" }}"#,
            "y",
        ),
        (
            r#"{{ (args 1 "b").arg1 }}{{ (args 1).arg5 }}"#,
            "b<no value>",
        ),
        (r#"{{ index $labels "disk" }}{{ len $labels }}"#, "sda2"),
        (r#"{{ reReplaceAll "(s)d" "${1}x" $labels.disk }}"#, "sxa"),
        (
            "{{ $value | humanizeTimestamp }}",
            "1970-01-01 00:00:05 +0000 UTC",
        ),
        (r#"{{ parseDuration "1h" }}"#, "3600"),
        (
            "{{ humanize $labels.disk }}",
            "<error expanding template: error calling humanize: strconv.ParseFloat: parsing \"sda\": invalid syntax>",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(render(text, 5.0), expected, "{text}");
    }
}

#[test]
fn a_template_outside_the_subset_is_refused_and_named() {
    let cases = [
        (
            r#"{{ query "up" }}"#,
            "`query` cannot be used: a template makes no query",
        ),
        (
            "{{ externalURL }}",
            "`externalURL` cannot be used: the watchdog has no address",
        ),
        (
            "{{ frobnicate }}",
            "`frobnicate` cannot be used: there is no such function",
        ),
        (r#"{{ template "x" }}"#, "`template` cannot be used"),
        ("{{ $nothing }}", "the variable $nothing is not known"),
        ("{{ .Name }}", "`.Name` is not there"),
        ("{{ $value.x }}", "has no field `.x`"),
        ("{{ . }}", "`.` is no text"),
        ("{{ if $value }}", "`if` has no {{ end }}"),
        ("{{ end }}", "{{ end }} has nothing to end"),
        ("{{ else }}", "{{ else }} has no {{ if }}"),
        ("{{ $labels.a-b }}", "-b is not a plain decimal"),
        ("{{}}", "an action is empty"),
        ("{{ $value", "}} is missing"),
        ("{{ $value | 5 }}", "only a function can take"),
        ("{{ $value 5 }}", "only a function takes arguments"),
        ("{{ gt $value 10 }}", "write 10.0"),
        ("{{ humanize }}", "`humanize` does not take 0 arguments"),
        ("{{ printf $value }}", "must be a text in quotes"),
        ("{{ printf \"%x\" $value }}", "`%x` is not supported"),
        ("{{ printf \"%#v\" $value }}", "`%#v` is not supported"),
        ("{{ printf \"%5T\" $value }}", "`%T` is not supported"),
        ("{{ printf \"%[1]d\" 1 }}", "`%[` is not supported"),
        ("{{ printf \"%*d\" 1 2 }}", "`%*` is not supported"),
        (r#"{{ match "(" "x" }}"#, "not a regular expression"),
        (r#"{{ "x }}"#, "not closed"),
        ("{{ (1 }}", "a ( is not closed"),
        ("{{ /* x }}", "not closed"),
    ];
    for (text, expected) in cases {
        let refused = Template::parse(&format!("before {text}")).unwrap_err();
        assert!(refused.contains(expected), "{text}: {refused}");
    }
}

#[test]
fn no_template_however_odd_takes_the_reader_down() {
    let odd = [
        "{{",
        "{{(",
        "{{((((",
        "{{if}}",
        "{{.}}",
        "{{$}}",
        "{{|}}",
        "{{\"",
        "{{`",
        "{{-",
        "{{- -}}",
        "{{/**/}}",
        "{{1.}}",
        "{{+}}",
        "{{\u{e9}}}",
        "{{ \u{20ac} }}",
    ];
    for text in odd {
        let _ = Template::parse(text);
    }
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(Template::parse(&deep).unwrap_err().contains("too deeply"));
    let deep = "{{ if 1 }}".repeat(10_000);
    assert!(Template::parse(&deep).unwrap_err().contains("too deeply"));
}
