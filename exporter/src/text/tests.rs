use super::{Format, negotiate};
use crate::sample::{Family, Kind};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

fn page() -> Vec<Family> {
    vec![
        Family::gauge("nix_store_paths", "Valid \"paths\"\nin C:\\store", 42.0),
        Family::of(Kind::Counter, "nix_hits_total", "Hits")
            .with(vec![("substituter", "a\"b\\c\nd".to_owned())], 0.5)
            .with(
                vec![("substituter", "x".to_owned()), ("y", String::new())],
                7.0,
            ),
        Family::of(Kind::Info, "nix_build_info", "Build").with(vec![("v", "1".to_owned())], 1.0),
        Family::of(Kind::Gauge, "nix_empty", "Nothing to say now"),
        Family::gauge("nix_up_inf", "Up", f64::INFINITY),
        Family::gauge("nix_down_inf", "Down", f64::NEG_INFINITY),
        Family::gauge("nix_nan", "Not a number", f64::NAN),
        Family::gauge("nix_huge", "Huge", 1.5e300),
    ]
}

#[test]
fn the_classic_page_is_written_to_the_letter() {
    let expected = r#"# HELP nix_store_paths Valid "paths"\nin C:\\store
# TYPE nix_store_paths gauge
nix_store_paths 42
# HELP nix_hits_total Hits
# TYPE nix_hits_total counter
nix_hits_total{substituter="a\"b\\c\nd"} 0.5
nix_hits_total{substituter="x",y=""} 7
# HELP nix_build_info Build
# TYPE nix_build_info gauge
nix_build_info{v="1"} 1
# HELP nix_up_inf Up
# TYPE nix_up_inf gauge
nix_up_inf +Inf
# HELP nix_down_inf Down
# TYPE nix_down_inf gauge
nix_down_inf -Inf
# HELP nix_nan Not a number
# TYPE nix_nan gauge
nix_nan NaN
# HELP nix_huge Huge
# TYPE nix_huge gauge
nix_huge 1.5e300
"#;
    assert_eq!(Format::Classic.render(&page()), expected);
}

#[test]
fn the_openmetrics_page_names_families_without_suffix_and_ends_in_eof() {
    let expected = r#"# HELP nix_store_paths Valid \"paths\"\nin C:\\store
# TYPE nix_store_paths gauge
nix_store_paths 42.0
# HELP nix_hits Hits
# TYPE nix_hits counter
nix_hits_total{substituter="a\"b\\c\nd"} 0.5
nix_hits_total{substituter="x",y=""} 7.0
# HELP nix_build Build
# TYPE nix_build info
nix_build_info{v="1"} 1
# HELP nix_up_inf Up
# TYPE nix_up_inf gauge
nix_up_inf inf
# HELP nix_down_inf Down
# TYPE nix_down_inf gauge
nix_down_inf -inf
# HELP nix_nan Not a number
# TYPE nix_nan gauge
nix_nan NaN
# HELP nix_huge Huge
# TYPE nix_huge gauge
nix_huge 1.5e300
# EOF
"#;
    assert_eq!(Format::OpenMetrics.render(&page()), expected);
}

#[test]
fn openmetrics_is_served_only_to_those_who_prefer_it() {
    use Format::{Classic, OpenMetrics};
    let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
        application/openmetrics-text;version=0.0.1;q=0.5,\
        text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    let cases = [
        (None, Classic),
        (Some(""), Classic),
        (Some("*/*"), Classic),
        (Some("text/html, */*;q=0.8"), Classic),
        (Some("image/png"), Classic),
        (Some(prometheus), OpenMetrics),
        (Some("application/openmetrics-text"), OpenMetrics),
        (
            Some("Application/OpenMetrics-Text; Version=\"1.0.0\""),
            OpenMetrics,
        ),
        (Some("application/openmetrics-text; version=0.0.1"), Classic),
        (Some("application/openmetrics-text; version=2.0.0"), Classic),
        (
            Some("application/openmetrics-text;version=1.0.0;q=0"),
            Classic,
        ),
        (
            Some("application/openmetrics-text;q=0.5, text/plain;q=0.6"),
            Classic,
        ),
        (
            Some("text/plain;q=0.6, application/openmetrics-text;q=0.601"),
            OpenMetrics,
        ),
        (Some("text/plain, application/openmetrics-text"), Classic),
        (
            Some("application/openmetrics-text, text/plain"),
            OpenMetrics,
        ),
        (Some("application/openmetrics-text;q=0.5, */*"), Classic),
        (Some("application/openmetrics-text;q=1.5"), Classic),
        (Some("application/openmetrics-text;q=0.6011"), Classic),
        (Some("application/openmetrics-text;q=nonsense"), Classic),
        (Some(",;,=;q"), Classic),
    ];
    for (accept, format) in cases {
        assert_eq!(negotiate(accept), format, "{accept:?}");
    }
}

/// The inverse of the writer, for one line without other labels.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some(c) => out.push(c),
                None => panic!("a lone backslash ends {text:?}"),
            },
            (c, false) => out.push(c),
        }
    }
    out
}

proptest! {
    #[test]
    fn any_label_value_and_help_come_back_as_they_were(value in any::<String>(), help in any::<String>()) {
        let family = Family {
            help: help.clone().into(),
            ..Family::of(Kind::Gauge, "nix_x", "").with(vec![("l", value.clone())], 1.0)
        };
        for (format, tail) in [(Format::Classic, " 1\n"), (Format::OpenMetrics, " 1.0\n# EOF\n")] {
            let page = format.render(std::slice::from_ref(&family));
            prop_assert_eq!(page.matches('\n').count(), tail.matches('\n').count() + 2);
            let written_help = page.strip_prefix("# HELP nix_x ").unwrap().split('\n').next().unwrap();
            prop_assert_eq!(unescape(written_help), help.as_str());
            let (_, sample) = page.split_once("\nnix_x{l=\"").unwrap();
            let written = sample.strip_suffix(tail).unwrap().strip_suffix("\"}").unwrap();
            prop_assert!(!written.replace("\\\\", "").replace("\\\"", "").contains('"'));
            prop_assert_eq!(unescape(written), value.as_str());
        }
    }

    #[test]
    fn any_number_reads_back_as_itself(value in any::<f64>()) {
        for format in [Format::Classic, Format::OpenMetrics] {
            let page = format.render(&[Family::gauge("nix_x", "x", value)]);
            let line = page.lines().find(|line| line.starts_with("nix_x ")).unwrap();
            let read: f64 = line.strip_prefix("nix_x ").unwrap().parse().unwrap();
            prop_assert!(read == value || (read.is_nan() && value.is_nan()));
        }
    }

    #[test]
    fn no_accept_header_breaks_the_negotiation(accept in any::<String>()) {
        let _ = negotiate(Some(&accept));
    }
}
