use super::*;

fn render(text: &str, value: f64) -> String {
    let labels = Labels::metric("m").with("disk", "sda");
    Template::parse(text).unwrap().render(&labels, value)
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
fn a_template_outside_the_subset_is_refused_and_named() {
    let cases = [
        "{{ $externalURL }}",
        "{{ query \"up\" }}",
        "{{ $labels.disk | toUpper }}",
        "{{ $value | humanizeTimestamp }}",
        "{{ printf \"%d\" $value }}",
        "{{ printf \"%.2f%%\" $value }}",
        "{{ if $value }}",
        "{{- $value }}",
        "{{ $labels }}",
        "{{ .Value }}",
        "{{ $labels.a-b }}",
        "{{}}",
        "{{ $value",
    ];
    for text in cases {
        let refused = Template::parse(&format!("before {text}")).unwrap_err();
        assert_eq!(refused, text);
    }
}
