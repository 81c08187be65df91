//! Promise: an annotation reads here as it reads in Prometheus 3. Random templates and values, our
//! text written down as what `promtool test rules` is to expect.

use std::fmt::Write as _;
use std::fs;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::judge::{Random, cases, promtool3, run};

const LABELS: [(&str, &str); 7] = [
    ("disk", "sda"),
    ("host", "web-1.example.org:9100"),
    ("ip", "[2001:db8::1]:80"),
    ("n", "42.5"),
    (
        "many",
        "the o'neil foo-bar a_b x.y 3rd 1.5x p:q ŝtato 1,a2 b;c f..g h::i j'k l-m n/o",
    ),
    ("span", "1h30m"),
    ("blank", ""),
];

const VALUES: [f64; 24] = [
    0.0,
    1.0,
    -1.0,
    0.5,
    1e6,
    123_456.0,
    999_999.5,
    1_234_567.0,
    0.001,
    1e-5,
    1.5e-9,
    1e21,
    1e300,
    -61.5,
    90_061.0,
    59.999,
    3600.0,
    4_294_967_296.0,
    1_023.9,
    1_700_000_000.123,
    2.5,
    0.1234,
    99.995,
    -0.000_123_4,
];

/// Something that gives a number.
fn number() -> BoxedStrategy<String> {
    select(vec![
        "$value",
        ".Value",
        "$.Value",
        "($value)",
        "(parseDuration \"90s\")",
    ])
    .prop_map(str::to_owned)
    .boxed()
}

/// Something that gives a text.
fn text() -> BoxedStrategy<String> {
    let names = LABELS.map(|(name, _)| name).to_vec();
    let label = select([names.as_slice(), &["none"]].concat());
    let leaf = (label, select(vec!["$labels.", ".Labels.", "$.Labels."]))
        .prop_map(|(label, of)| format!("{of}{label}"));
    let literal = select(vec!["\"a b\"", "`x\\y`", "\"tab\\t\\u00e9\"", "\"\""]);
    let leaf = prop_oneof![3 => leaf.boxed(), 1 => literal.prop_map(str::to_owned).boxed()];
    leaf.prop_recursive(2, 6, 2, |inner| {
        let one = select(vec![
            "title",
            "toUpper",
            "toLower",
            "stripPort",
            "stripDomain",
            "graphLink",
            "tableLink",
        ]);
        let human = select(vec![
            "humanize",
            "humanize1024",
            "humanizeDuration",
            "humanizePercentage",
            "humanizeTimestamp",
        ]);
        prop_oneof![
            (one, inner.clone()).prop_map(|(f, of)| format!("({f} {of})")),
            (human, number()).prop_map(|(f, of)| format!("({f} {of})")),
            human_of_label(),
            (
                select(vec!["print", "println"]),
                inner.clone(),
                number(),
                inner.clone()
            )
                .prop_map(|(f, a, b, c)| format!("({f} {a} {b} {c} 7 true)")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(or {a} {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(and {a} {b})")),
            (
                select(vec!["[a-z]", "(\\\\w+)\\\\.", "^", "o(.)"]),
                select(vec!["-", "<$1>", "${1}x", "$0"]),
                inner.clone()
            )
                .prop_map(|(pattern, by, of)| format!(
                    "(reReplaceAll \"{pattern}\" \"{by}\" {of})"
                )),
            printf(inner),
        ]
    })
    .boxed()
}

fn human_of_label() -> BoxedStrategy<String> {
    select(vec![
        "(humanize $labels.n)",
        "(humanizeDuration .Labels.n)",
        "(index $labels \"n\" | humanize)",
    ])
    .prop_map(str::to_owned)
    .boxed()
}

fn printf(text: impl Strategy<Value = String> + Clone + 'static) -> BoxedStrategy<String> {
    let spec = (
        select(vec!["", "+", "-", "0", " ", "+0", "-0"]),
        select(vec!["", "1", "12"]),
        select(vec!["", ".0", ".1", ".3", ".12"]),
        select(vec!["f", "e", "g", "v", "d", "s", "q", "t", "G", "E", "F"]),
    );
    let spec = spec
        .prop_map(|(flags, width, precision, verb)| format!("%{flags}{width}{precision}{verb}"));
    (
        spec.clone(),
        spec,
        text,
        number(),
        select(vec!["", " 7", " 7 8", " true"]),
    )
        .prop_map(|(a, b, text, number, extra)| {
            format!("(printf \"{a}|{b}%%\" {number} {text}{extra})")
        })
        .boxed()
}

fn condition() -> BoxedStrategy<String> {
    let compare = select(vec!["eq", "ne", "lt", "le", "gt", "ge"]);
    prop_oneof![
        (
            compare.clone(),
            number(),
            select(vec!["1.0", "0.0", "1e6", "$value"])
        )
            .prop_map(|(f, a, b)| format!("{f} {a} {b}")),
        (compare, text(), text()).prop_map(|(f, a, b)| format!("{f} {a} {b}")),
        text(),
        number(),
        text().prop_map(|of| format!("match \"[0-9]+\" {of}")),
        text().prop_map(|of| format!("not {of}")),
        (text(), text(), text()).prop_map(|(a, b, c)| format!("eq {a} {b} {c}")),
        text().prop_map(|of| format!("gt (len {of}) 3")),
        Just("$labels".to_owned()),
    ]
    .boxed()
}

fn piece() -> BoxedStrategy<String> {
    let open = select(vec!["{{ ", "{{- ", "{{"]);
    let close = select(vec![" }}", " -}}", "}}"]);
    let plain = select(vec!["text ", " ", "100% }} \\n", "é\n ", ""]).prop_map(str::to_owned);
    let print = prop_oneof![
        text(),
        number(),
        Just("$labels".to_owned()),
        Just("$labels.many | title".to_owned()),
        text().prop_map(|of| format!("safeHtml {of}")),
        Just("$externalLabels".to_owned()),
        Just("$externalURL".to_owned()),
        Just("$value | toTime".to_owned()),
        Just("(args $value \"b\" 3).arg1".to_owned()),
        Just("args $value \"b\" 3".to_owned()),
        Just("(args 1).arg7".to_owned()),
        condition(),
    ];
    let print = (open, print, close).prop_map(|(open, what, close)| format!("{open}{what}{close}"));
    let leaf = prop_oneof![1 => plain.boxed(), 3 => print.boxed()];
    leaf.prop_recursive(2, 8, 2, |inner| {
        prop_oneof![
            (condition(), inner.clone(), inner.clone())
                .prop_map(|(c, a, b)| format!("{{{{ if {c} }}}}{a}{{{{ else }}}}{b}{{{{ end }}}}")),
            (condition(), condition(), inner.clone(), inner.clone()).prop_map(|(c, d, a, b)| {
                format!("{{{{ if {c} }}}}{a}{{{{ else if {d} }}}}{b}{{{{- end -}}}} ")
            }),
            (text(), inner.clone()).prop_map(|(of, b)| {
                format!("{{{{ with $x := {of} }}}}{{{{ $x }}}}{{{{ . }}}}{{{{ else }}}}{b}{{{{ end }}}}")
            }),
            (text(), inner.clone()).prop_map(|(of, a)| {
                format!("{{{{ $y := {of} }}}}{a}{{{{ $y = print $y 1 }}}}{{{{ $y }}}}")
            }),
            inner.prop_map(|a| {
                format!("{{{{ range $k, $v := $labels }}}}{{{{ $k }}}}={{{{ . }}}}{{{{ $v }}}};{{{{ else }}}}{a}{{{{ end }}}}{{{{/* c */}}}}")
            }),
        ]
    })
    .boxed()
}

fn template() -> BoxedStrategy<String> {
    proptest::collection::vec(piece(), 1..5)
        .prop_map(|pieces| pieces.concat())
        .boxed()
}

/// A text as a YAML scalar.
fn yaml(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    let text = text.replace('\n', "\\n").replace('\t', "\\t");
    format!("\"{text}\"")
}

#[test]
fn a_random_template_reads_as_it_does_in_prometheus() {
    const EACH: usize = 20;
    let mut random = Random::new();
    let labels = LABELS.into_iter().collect::<Labels>().with("__name__", "m");
    let context = Context {
        external_labels: &BTreeMap::from([("site".to_owned(), "one".to_owned())]),
        external_url: "http://example.org",
    };
    let mut rules = "groups:\n- name: g\n  rules:\n".to_owned();
    let (mut series, mut expected) = (String::new(), String::new());
    let (mut shown, mut errors) = (0, 0);
    for rule in 0..cases(600).div_ceil(EACH) {
        let value = random.make(select(VALUES.to_vec()));
        let labels = labels.clone().with("rule", rule.to_string());
        writeln!(
            rules,
            "  - alert: A{rule}\n    expr: m{{rule=\"{rule}\"}}\n    annotations:"
        )
        .unwrap();
        writeln!(
            series,
            "    - series: {}\n      values: '{value} {value}'",
            yaml(&labels.to_string())
        )
        .unwrap();
        let own = labels.iter().filter(|(name, _)| *name != "__name__");
        let own = own
            .map(|(name, value)| format!("{name}: {}", yaml(value)))
            .collect::<Vec<_>>()
            .join(", ");
        writeln!(expected, "    - alertname: A{rule}\n      eval_time: 1m\n      exp_alerts:\n      - exp_labels: {{{own}}}\n        exp_annotations:").unwrap();
        let mut index = 0;
        while index < EACH {
            let text = random.make(template());
            let template =
                Template::parse(&text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
            let text_shown = template.render(&labels, value, context);
            if text_shown.starts_with("<error") {
                errors += 1;
                continue;
            }
            shown += usize::from(!text_shown.is_empty());
            writeln!(rules, "      a{index}: {}", yaml(&text)).unwrap();
            if !text_shown.is_empty() {
                writeln!(expected, "          a{index}: {}", yaml(&text_shown)).unwrap();
            } else {
                writeln!(expected, "          a{index}: ''").unwrap();
            }
            index += 1;
        }
    }
    assert!(
        shown > cases(600) / 2 && errors < shown,
        "{shown} texts, {errors} errors"
    );
    let directory = tempfile::tempdir().unwrap();
    let tests = format!(
        "rule_files: [r.rules.yaml]\ntests:\n  - interval: 1m\n    external_labels: {{site: one}}\n    external_url: http://example.org\n    input_series:\n{series}    alert_rule_test:\n{expected}"
    );
    fs::write(directory.path().join("r.rules.yaml"), rules).unwrap();
    fs::write(directory.path().join("t.test.yaml"), tests).unwrap();
    let (success, said) = run(
        &promtool3(),
        directory.path(),
        &["test", "rules", "t.test.yaml"],
    );
    assert!(success, "promtool does not agree:\n{said}");
}
