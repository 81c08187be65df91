//! Promise: a rule that cannot be evaluated exactly is refused at load with file, group, rule,
//! reason and cure: never skipped, never guessed.

use crate::{Remedy, RuleSet};

fn refusal(text: &str) -> String {
    match RuleSet::parse("f.rules.yaml", text) {
        Ok(rules) => panic!("accepted: {rules:?}"),
        Err(error) => error.to_string(),
    }
}

fn with_rule(rule: &str) -> String {
    format!("groups:\n  - name: g\n    rules:\n      - {{{rule}}}\n")
}

fn refused_rule(rule: &str, reason: &str, cure: &str) {
    let refusal = refusal(&with_rule(rule));
    assert!(refusal.starts_with("f.rules.yaml:4:"), "{rule}: {refusal}");
    assert!(
        refusal.contains(": group \"g\": rule \""),
        "{rule}: {refusal}"
    );
    assert!(refusal.contains(reason), "{rule}: {refusal}");
    assert!(refusal.contains(cure), "{rule}: {refusal}");
}

#[test]
fn what_is_no_rule_file_is_refused_with_the_place() {
    let cases = [
        ("{ groups: [", "line"),
        ("groups: []\nextra: 1\n", "extra"),
        ("groups: [{name: g, rules: [], surprise: 1}]\n", "surprise"),
        (
            "groups: [{name: g, rules: [{alert: A, expr: x, heal: gc}]}]\n",
            "heal",
        ),
        ("groups: [{name: g, rules: [{alert: A}]}]\n", "expr"),
        ("groups: [{name: g, name: h, rules: []}]\n", "name"),
        (
            "groups: []\n\t\n",
            "a tab stands where YAML allows only spaces at line 2",
        ),
        (
            "%YAML 1.2\n---\ngroups: []\n",
            "YAML 1.1 and no other version at line 1",
        ),
        ("...\n", "document"),
        (
            "groups: [{name: g, limit: '1'}]\n",
            "expected a whole number",
        ),
        ("just text", "f.rules.yaml"),
    ];
    for (text, named) in cases {
        let refusal = refusal(text);
        assert!(
            refusal.starts_with("f.rules.yaml: not a Prometheus rule file"),
            "{refusal}"
        );
        assert!(refusal.contains(named), "{text}: {refusal}");
        assert!(
            !refusal.trim_end().contains('\n'),
            "more than one line: {refusal}"
        );
    }
}

#[test]
fn two_groups_of_one_name_are_refused() {
    let refusal = refusal("groups: [{name: g, rules: []}, {name: g, rules: []}]\n");
    assert_eq!(
        refusal,
        "f.rules.yaml:1:39: group \"g\": two groups of this name are in the file; rename one of them"
    );
}

#[test]
fn an_empty_file_has_no_rules_as_in_prometheus() {
    for text in [
        "",
        "# nothing yet\n",
        "{}",
        "groups:",
        "groups: []",
        "groups: [{name: g}]",
        "groups: [null, {name: g, rules: [~]}]",
        "groups: []\n---\ngroups: [{name: g, rules: [{alert: A, expr: x}]}]\n",
    ] {
        let rules = RuleSet::parse("f.rules.yaml", text).unwrap();
        assert!(rules.is_empty(), "{text}");
    }
}

#[test]
fn a_rule_that_cannot_be_evaluated_is_refused_with_file_group_rule_reason_and_cure() {
    let supported = "use what Prometheus 3 has for floats";
    let promql = "what Prometheus 3 reads";
    refused_rule("alert: A, expr: 'no_such(x)'", "no_such", promql);
    refused_rule(
        "alert: A, expr: 'limitk(1, x)'",
        "`limitk` is not supported",
        supported,
    );
    refused_rule(
        "alert: A, expr: 'x +'",
        "not PromQL",
        "what Prometheus 3 reads",
    );
    refused_rule(
        "record: a, alert: A, expr: x",
        "both `alert` and `record`",
        "two rules",
    );
    refused_rule(
        "expr: x",
        "rule \"#1\": neither `alert` nor `record`",
        "name the alert",
    );
    refused_rule("alert: '', expr: x", "neither `alert`", "name the alert");
    refused_rule("record: 'a{b}', expr: x", "`a{b}` has braces", "in `expr`");
}

#[test]
fn an_unknown_remedy_is_refused_with_the_known_ones() {
    let refusal = refusal(&with_rule("alert: A, expr: x, labels: {remedy: reboot}"));
    assert_eq!(
        refusal,
        "f.rules.yaml:4:17: group \"g\": rule \"A\": the remedy `reboot` is not known; known are `gc` \
         and `rollback`; without the label the alert only pages"
    );
    let templated = "alert: A, expr: x, labels: {remedy: '{{ $labels.r }}'}";
    refused_rule(templated, "is not known", "known are `gc` and `rollback`");
}

#[test]
fn the_remedy_of_a_rule_is_known_and_an_empty_one_is_none() {
    let text = "groups: [{name: g, rules: [
        {alert: A, expr: x, labels: {remedy: gc}}, {alert: B, expr: x, labels: {remedy: rollback}},
        {alert: C, expr: x, labels: {remedy: ''}}, {alert: D, expr: x}, {record: e, expr: x}]}]";
    let rules = RuleSet::parse("f.rules.yaml", text).unwrap();
    let remedies = rules.alerting().map(|(_, remedy)| remedy);
    let expected = [Some(Remedy::Gc), Some(Remedy::Rollback), None, None];
    assert_eq!(remedies.collect::<Vec<_>>(), expected);
}

#[test]
fn what_only_an_alert_has_is_refused_of_a_recording_rule() {
    for field in [
        "for: 5m",
        "keep_firing_for: 5m",
        "annotations: {a: b}",
        "labels: {remedy: gc}",
    ] {
        let rule = format!("record: a, expr: x, {field}");
        refused_rule(
            &rule,
            "a recording rule has no `",
            "make an alert of the rule",
        );
    }
}

#[test]
fn a_duration_that_is_none_is_refused() {
    for (field, text) in [
        ("for", "5 minutes"),
        ("for", "10"),
        ("keep_firing_for", "-1m"),
    ] {
        let refusal = refusal(&with_rule(&format!("alert: A, expr: x, {field}: '{text}'")));
        assert!(refusal.contains("line 4"), "{refusal}");
        let reason = format!("`{text}` is no duration; write it like 30s, 5m or 1h30m");
        assert!(refusal.contains(&reason), "{refusal}");
    }
}

#[test]
fn a_duration_that_prometheus_does_not_hold_is_refused() {
    assert!(crate::file::parse("f", &with_rule("alert: A, expr: x, for: 292y")).is_ok());
    let refusal = refusal(&with_rule("alert: A, expr: x, for: 9999999y"));
    assert!(
        refusal.contains("`9999999y` is too long a duration"),
        "{refusal}"
    );
}

#[test]
fn labels_and_annotations_outside_the_subset_are_refused_by_name() {
    let cure = "functions that need neither a query nor an address";
    let rule = "alert: A, expr: x, annotations: {summary: '{{ query \"up\" }}'}";
    refused_rule(
        rule,
        "the template of the annotation `summary`: `query` cannot be used",
        cure,
    );
    let rule = "alert: A, expr: x, labels: {l: '{{ externalURL }}'}";
    refused_rule(rule, "the template of the label `l`: `externalURL`", cure);
    refused_rule(
        "alert: A, expr: x, labels: {'': c}",
        "a label has no name",
        "give it one",
    );
    refused_rule(
        "alert: A, expr: x, labels: {__name__: c}",
        "`__name__`",
        "take the label away",
    );
}

#[test]
fn a_refusal_names_the_line_and_the_column_of_what_is_wrong_in_the_expression() {
    let cases = [
        ("x + no_such(y)", 5, 15),
        ("'x{a=''b''} + no_such(y)'", 5, 25),
        ("\"x{a=\\\"b\\\"} + no_such(y)\"", 5, 25),
        ("|\n      x\n        + no_such(y)", 7, 11),
        (">-\n      x\n\n      + no_such(y)", 8, 9),
        ("x\n      + no_such(y)", 6, 9),
        ("|\n      \"a\" + no_such(y)", 6, 13),
        ("rate(x[5m]) + 1x", 5, 25),
        ("x + (y + z", 5, 15),
        ("x + y) + z", 5, 16),
        ("x * / y", 5, 15),
        ("x +", 5, 13),
        ("x y", 5, 13),
        ("é{a=\"b\"} + limitk(1, x)", 5, 11),
        ("x{l=\"é\"} + limitk(1, x)", 5, 22),
        // Not found, or in more than one place: where the expression begins.
        ("no_such(no_such(y))", 5, 11),
        ("sum by (x", 5, 18),
    ];
    for (expr, line, column) in cases {
        let text = format!("groups:\n- name: g\n  rules:\n  - record: r\n    expr: {expr}\n");
        let refusal = refusal(&text);
        let place = format!("f.rules.yaml:{line}:{column}: group \"g\": rule \"r\": ");
        assert!(refusal.starts_with(&place), "{expr}: {refusal}");
    }
}

#[test]
fn a_field_that_no_rule_has_is_refused_with_the_group_and_the_rule_that_has_it() {
    let block = |field: &str| {
        format!(
            "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: x\n{field}  - {{record: r, expr: y}}\n"
        )
    };
    let cases = [
        (
            block("    heal: gc\n"),
            "group \"g\": rule \"A\": unknown field `heal`",
        ),
        (
            block("    for: soon\n"),
            "group \"g\": rule \"A\": `soon` is no duration",
        ),
        (block("    labels: {a: [b]}\n"), "group \"g\": rule \"A\": "),
        (
            block("  - heal: gc\n    alert: B\n    expr: x\n"),
            "group \"g\": rule \"B\": unknown field",
        ),
        (
            block("  - {expr: x, heal: gc}\n"),
            "group \"g\": rule \"#2\": unknown field",
        ),
        (
            block("") + "  surprise: 1\n",
            "group \"g\": unknown field `surprise`",
        ),
        (
            "groups: [{name: g, rules: [{alert: A, expr: 'x{}'}, {alert: B, heal: gc}]}]"
                .to_owned(),
            "group \"g\": rule \"B\": unknown field",
        ),
        (
            "groups: [{name: g, rules: [{alert: A, expr: x}], surprise: 1}]".to_owned(),
            "group \"g\": unknown field",
        ),
        ("surprise: 1\n".to_owned(), "unknown field `surprise`"),
    ];
    for (text, named) in cases {
        let refusal = refusal(&text);
        let expected = format!("f.rules.yaml: not a Prometheus rule file: {named}");
        assert!(refusal.starts_with(&expected), "{text}: {refusal}");
    }
}
