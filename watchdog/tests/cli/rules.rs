//! Promise: `snowguard rules check|test` reads what `promtool check rules|test rules` of Prometheus
//! 3 reads, and ends as it does; what cannot be evaluated on a host is refused by name.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// Files with their texts; the last one is judged.
type Files<'a> = &'a [(&'a str, &'a str)];

const RULES: &str = "
groups:
  - name: g
    rules:
      - record: half
        expr: x / 2
      - alert: A
        expr: half > 1
        for: 1m
        labels: {team: a}
        annotations: {text: 'is {{ $value }}'}
";

fn promtool3() -> PathBuf {
    let lab = env::var_os("SNOWGUARD_LAB").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/lab"),
        PathBuf::from,
    );
    let promtool = lab.join("bin/promtool3");
    assert!(
        promtool.exists(),
        "{} is missing: run tests/lab/install, or set SNOWGUARD_LAB to where the lab is",
        promtool.display()
    );
    promtool
}

fn run(program: &Path, arguments: &[&str], directory: &Path) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn snowguard() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_snowguard"))
}

/// The exit statuses of both programs on the same files, and what ours said.
fn both(arguments: [&str; 2], flags: &[&str], files: Files<'_>) -> (i32, i32, String) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let last = files.last().map_or("missing.yaml", |(name, _)| *name);
    let [what, rules] = arguments;
    let theirs = [&[what, rules], flags, &[last]].concat();
    let ours = [&[rules, what], flags, &[last]].concat();
    let theirs = run(&promtool3(), &theirs, directory.path());
    let ours = run(snowguard(), &ours, directory.path());
    let said = String::from_utf8_lossy(&[ours.stdout, ours.stderr].concat()).into_owned();
    (
        theirs.status.code().unwrap(),
        ours.status.code().unwrap(),
        said,
    )
}

/// One group with one rule or more, in the flow style of YAML.
fn group(rules: &str) -> String {
    format!("groups: [{{name: g, rules: [{rules}]}}]\n")
}

#[test]
fn a_rule_file_is_good_or_bad_as_it_is_to_promtool() {
    let alert = |more: &str| group(&format!("{{alert: A, expr: x, {more}}}"));
    let record = |more: &str| group(&format!("{{record: r, expr: x, {more}}}"));
    let expr =
        |expr: &str| format!("groups:\n- name: g\n  rules:\n  - record: r\n    expr: {expr}\n");
    let of_group =
        |more: &str| format!("groups: [{{name: g, {more}, rules: [{{record: r, expr: x}}]}}]\n");
    let cases = [
        (RULES.to_owned(), 0),
        (String::new(), 0),
        ("# nothing\n".to_owned(), 0),
        ("groups:\n".to_owned(), 0),
        ("groups: []\n".to_owned(), 0),
        ("{}\n".to_owned(), 0),
        ("groups: [{name: g}]\n".to_owned(), 0),
        ("groups: [{name: g, rules: []}]\n".to_owned(), 0),
        ("just text\n".to_owned(), 1),
        ("{ groups: [\n".to_owned(), 1),
        ("- a\n- b\n".to_owned(), 1),
        ("\tgroups: []\n".to_owned(), 1),
        ("groups: {}\n".to_owned(), 1),
        ("groups: 5\n".to_owned(), 1),
        ("groups: [5]\n".to_owned(), 1),
        ("groups: []\nextra: 1\n".to_owned(), 1),
        (
            "groups: [{name: g, rules: [], surprise: 1}]\n".to_owned(),
            1,
        ),
        ("groups: [{rules: []}]\n".to_owned(), 1),
        ("groups: [{name: '', rules: []}]\n".to_owned(), 1),
        (
            "groups: [{name: g, rules: []}, {name: g, rules: []}]\n".to_owned(),
            1,
        ),
        (
            "groups: [{name: g, rules: []}, {name: h, rules: []}]\n".to_owned(),
            0,
        ),
        ("groups: [{name: g, name: h, rules: []}]\n".to_owned(), 1),
        ("groups: [{name: g, rules: {}}]\n".to_owned(), 1),
        ("groups: [{name: 5, rules: []}]\n".to_owned(), 0),
        (of_group("interval: 1m"), 0),
        (of_group("interval: 1 m"), 1),
        (of_group("interval: 5"), 1),
        (of_group("interval: -1m"), 1),
        (of_group("limit: 5"), 0),
        (of_group("limit: five"), 1),
        (of_group("limit: -1"), 0),
        (of_group("query_offset: 1m"), 0),
        (of_group("query_offset: [1m]"), 1),
        (of_group("labels: {a: b}"), 0),
        (of_group("labels: {a: [b]}"), 1),
        (of_group("labels: {__name__: b}"), 1),
        (of_group("labels: {'': b}"), 1),
        (group("{expr: x}"), 1),
        (group("{alert: A}"), 1),
        (group("{alert: A, expr: ''}"), 1),
        (group("{alert: '', expr: x}"), 1),
        (group("{alert: A, record: r, expr: x}"), 1),
        (group("{alert: A, record: '', expr: x}"), 0),
        (group("{alert: A, expr: 1}"), 0),
        (group("{alert: A, expr: x, heal: gc}"), 1),
        (group("{alert: 'a b', expr: x}"), 0),
        (group("{record: 'a b', expr: x}"), 0),
        (group("{record: 'a{b=\"c\"}', expr: x}"), 1),
        (group("{record: '', expr: x}"), 1),
        (record("for: 5m"), 1),
        (record("for: 0s"), 0),
        (record("keep_firing_for: 5m"), 1),
        (record("annotations: {a: b}"), 1),
        (record("annotations: {}"), 0),
        (record("labels: {l: '{{ $nothing }}'}"), 0),
        (record("labels: {a: 1, b: true, c: 1.5}"), 0),
        (record("labels: {a: {b: c}}"), 1),
        (alert("for: 5 minutes"), 1),
        (alert("for: 1h30m"), 0),
        (alert("for: 30m1h"), 1),
        (alert("for: 10"), 1),
        (alert("for: '0'"), 0),
        (alert("keep_firing_for: -1m"), 1),
        (alert("labels: {__name__: a}"), 1),
        (alert("labels: {a-b: c}"), 0),
        (alert("labels: {'': c}"), 1),
        (alert("annotations: {'': c}"), 1),
        (alert("annotations: {a: '{{ $value | humanize }}'}"), 0),
        (alert("annotations: {a: '{{ $value | humanise }}'}"), 1),
        (alert("annotations: {a: '{{ $value'}"), 1),
        (alert("annotations: {a: '{{ if $value }}'}"), 1),
        (alert("annotations: {a: '{{ end }}'}"), 1),
        (alert("annotations: {a: '{{ $nothing }}'}"), 1),
        (alert("labels: {a: '{{ toUpper $labels.a }}'}"), 0),
        (expr("no_such(x)"), 1),
        (expr("rate(x)"), 1),
        (expr("rate(x[5m]"), 1),
        (expr("sum(x) by (a)"), 0),
        (expr("x +"), 1),
        (expr("1 > 2"), 1),
        (expr("1 > bool 2"), 0),
        (expr("x{a=~\"(\"}"), 1),
        (expr("'{}'"), 1),
        (expr("x offset 5m"), 0),
        (expr("x and 1"), 1),
        (expr("sum(1)"), 1),
        (expr("|-\n      x\n      > 1"), 0),
    ];
    let mut different = Vec::new();
    for (text, expected) in &cases {
        let (theirs, ours, said) = both(["check", "rules"], &[], &[("a.rules.yaml", text)]);
        if theirs != ours || ours != *expected {
            different.push(format!(
                "{text}expected {expected}, promtool {theirs}, ours {ours}: {said}"
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    let (theirs, ours, _) = both(["check", "rules"], &[], &[]);
    assert_eq!((theirs, ours), (1, 1), "a missing file");
}

/// Whatever YAML allows, or only some readers of it do.
#[test]
fn yaml_of_every_kind_is_read_or_refused_as_it_is_by_promtool() {
    let of_group =
        |more: &str| format!("groups: [{{name: g, {more}, rules: [{{record: r, expr: x}}]}}]\n");
    let labels = |labels: &str| group(&format!("{{alert: A, expr: x, labels: {labels}}}"));
    let expr =
        |expr: &str| format!("groups:\n- name: g\n  rules:\n  - record: r\n    expr: {expr}\n");
    let limits = [
        "'1'",
        "\"1\"",
        "1.0",
        "1.5",
        "0x10",
        "0o17",
        "010",
        "08",
        "1_000",
        "1e3",
        "+5",
        "-5",
        ".inf",
        ".nan",
        "true",
        "null",
        "~",
        "",
        "[1]",
        "{}",
        "!!int '1'",
        "!!str 1",
        "9223372036854775808",
        "1:30",
        "yes",
        "2001-01-01",
    ];
    let spans = [
        "null", "~", "''", "0", "00", "1.0", "true", "[]", "!!str 1m", "'1m'", "1d12h", "-1m",
    ];
    let label_sets = [
        "null",
        "''",
        "[]",
        "{a: null}",
        "{~: x}",
        "{null: x}",
        "{1: x}",
        "{true: x}",
        "{a: 2001-01-01}",
        "{1: a, '1': b}",
        "{a: 1, a: 2}",
        "{a: 1, 'a': 2}",
        "{a: 0x10}",
        "{a: .inf}",
        "{a: {}}",
        "{a: []}",
        "{[a]: b}",
        "{a}",
        "{? a : b}",
        "{<<: {b: c}}",
        "{<<: x}",
        "{a: *nope}",
        "{a: &x y, b: *x}",
        "{a: \"\\/\"}",
        "{a: \"\\q\"}",
        "{a: \"\\e\\_\\N\"}",
        "{a: 'it''s'}",
        "{a: @x}",
        "{a: `x`}",
        "{a: %x}",
        "{a: x#y}",
        "{a: b,}",
        "{a: b,,}",
        "{a: 'b' 'c'}",
        "{a:b}",
        "{'a':b}",
        "{a: !!binary YQ==}",
        "{a: !!int x}",
        "{a: !foo b}",
    ];
    let rules = [
        "null",
        "~",
        "",
        "{}",
        "[]",
        "''",
        "{alert: null, record: r, expr: x}",
        "{alert, record: r, expr: x}",
        "{alert: A, expr: null}",
        "{alert: A, expr: }",
        "{alert: 5, expr: x}",
        "{alert: [], expr: x}",
        "{alert: A, expr: x, for: null}",
        "{alert: A, expr: x, for: 0}",
        "{alert: A, expr: x, annotations: ~}",
        "{alert: A, expr: x, annotations: {a: ~}}",
        "{alert: A, expr: x, expr: y}",
        "{alert: A, 'alert': B, expr: x}",
        "{alert: A, expr: x, <<: {for: 5m}}",
        "{alert: A, expr: x, <<: {foo: 5m}}",
        "{Alert: A, expr: x}",
        "&a {alert: A, expr: x}, {<<: *a, alert: B}",
        "{alert: A expr: x}",
        "{alert: A,\nexpr: x}",
        "{alert: A, expr: x}}",
    ];
    let exprs = [
        "|\n      x\n\t",
        "|\n      x\n      \t> 1",
        "|\n\tx",
        "|\n      \tx",
        "|\n        \n      x",
        "|2\n      x",
        "|9\n      x",
        "|0\n      x",
        "|+\n      x\n\n",
        "|2-\n      x",
        "|x\n      x",
        ">\n      x\n      > 1",
        "|\n    x",
        "|\n     x\n    # c\n    labels: {}",
        "|\n",
        "x\n      > 1",
        "x\n      \t> 1",
        "x\n    > 1",
        "x\n   > 1",
        "x # c\n      > 1",
        "x#c",
        "'x\n     > 1'",
        "\"x\\\n     > 1\"",
        "'x\n---\n> 1'",
        "{a: b}",
        "null",
        "!!str 5",
        "0x10",
        "- 1",
        "-x",
        "?x",
        "? x",
        "a:b",
        "@x",
        "`x`",
        "%x",
        "x % y",
        "&x",
        "&x x",
        "*x",
        "!x x",
        "!!binary eA==",
        "<<",
        "x < <y",
        "x\n...\ngroups: 5\n",
        "x\n---\n5\n",
        "x\n--- x\n",
        "x\n---\n{",
        "x\n...x\n",
        "x\n---x: 1\n",
    ];
    let files = [
        "groups: [null]\n",
        "groups: [~, {name: g}]\n",
        "groups: ''\n",
        "groups: !!seq []\n",
        "groups: []\ngroups: []\n",
        "? groups\n: []\n",
        "1: x\n",
        "null\n",
        "~\n",
        "''\n",
        "5\n",
        "groups: [{name: ~}]\n",
        "groups: [{}]\n",
        "groups: [{name: 1}, {name: '1'}]\n",
        "groups: [{name: g, rules: ~}]\n",
        "groups: &a [*a]\n",
        "groups : []",
        "groups:[]",
        "---\n",
        "---\n---\n",
        "---\n...\n",
        "...\n",
        "--- {}\n",
        "--- # c\ngroups: []\n",
        "--- 5\n--- {groups: []}\n",
        "groups: []\n...\n",
        "groups: []\n---\n",
        "groups: []\n---\ngroups: [{]\n",
        "groups: []\n---\nextra: 5\n",
        "groups: []\n...\ngarbage: [\n",
        "---\ngroups: []\n---\n5\n",
        "groups: []\n...\n%YAML 1.1\n---\n{\n",
        "%YAML 1.1\n---\ngroups: []\n",
        "%YAML 1.2\n---\ngroups: []\n",
        "%YAML 2.0\n---\ngroups: []\n",
        "%YAML\n---\n{}\n",
        "%YAML 1.1\ngroups: []\n",
        "%YAML 1.1\n",
        "%TAG !e! tag:yaml.org,2002:\n---\ngroups: !e!seq []\n",
        "%FOO bar\n---\ngroups: []\n",
        "# c\n%YAML 1.1\n---\ngroups: []\n",
        "\u{feff}groups: []\n",
        "groups: []\r\n",
        "groups: []\0\n",
        "\t\n",
        " \tgroups: []\n",
        "groups:\t[]\n",
        "groups: []\t# c\n",
        "groups: [\t]\n",
        "groups:\n\t- name: g\n",
        "groups:\n-\tname: g\n",
        "groups:\n- \tname: g\n",
        "groups:\n- name: g\n\n\t\n  rules: []\n",
        "groups:\n- name: g\n\t# c\n  rules: []\n",
        "\t# c\ngroups: []\n",
        "groups:\n- {name: g,\n\trules: []}\n",
        "{\n\t\"groups\": [\n\t\t{\"name\": \"g\"}\n\t]\n}\n",
        "groups:\n- name: a\tb\n",
        "groups:\n- name: \"a\tb\"\n",
        "groups:\n- name: a\n\tb\n",
        "groups:\n- name: a\n  \tb\n",
        "groups: []\n\t\n",
        "groups:\n  \t\n- name: g\n",
        "groups:\n- name: g\n rules: []\n",
        "groups:\n - name: g\n- name: h\n",
    ];
    let texts = [
        limits
            .map(|limit| of_group(&format!("limit: {limit}")))
            .to_vec(),
        spans
            .map(|span| of_group(&format!("interval: {span}")))
            .to_vec(),
        label_sets.map(labels).to_vec(),
        rules.map(group).to_vec(),
        exprs.map(expr).to_vec(),
        files.map(str::to_owned).to_vec(),
    ];
    let texts = texts.concat();
    let directory = tempfile::tempdir().unwrap();
    let name = |index: usize| format!("{index}.rules.yaml");
    let names = (0..texts.len()).map(name).collect::<Vec<_>>();
    for (name, text) in names.iter().zip(&texts) {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let judged = |program: &Path, arguments: [&str; 2]| {
        let said = directory.path().join("said");
        let file = fs::File::create(&said).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).args(&names).current_dir(&directory);
        command.stdout(file.try_clone().unwrap()).stderr(file);
        command.status().unwrap();
        fs::read_to_string(said).unwrap()
    };
    let theirs = judged(&promtool3(), ["check", "rules"]);
    let ours = judged(snowguard(), ["rules", "check"]);
    let mut different = Vec::new();
    for (name, text) in names.iter().zip(&texts) {
        let begin = format!("Checking {name}\n");
        let (_, of_theirs) = theirs.split_once(&begin).expect("each file is checked");
        let of_theirs = of_theirs.split("Checking ").next().unwrap();
        let of_ours = ours
            .lines()
            .filter(|line| line.starts_with(&format!("{name}: ")));
        let of_ours = of_ours.collect::<Vec<_>>().join("\n");
        let good = [of_theirs.contains("SUCCESS"), of_ours.contains(": OK, ")];
        assert_eq!(of_theirs.contains("FAILED"), !good[0], "{of_theirs}");
        if good[0] != good[1] {
            different.push(format!("{text:?}:\npromtool: {of_theirs}\nours: {of_ours}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn a_document_that_prometheus_does_not_read_is_named() {
    for (text, warned) in [
        ("groups: []\n---\ngroups: []\n", true),
        ("groups: []\n---\n# nothing\n", false),
        ("---\ngroups: []\n...\n", false),
    ] {
        let (theirs, ours, said) = both(["check", "rules"], &[], &[("a.rules.yaml", text)]);
        assert_eq!((theirs, ours), (0, 0), "{text}: {said}");
        let warning = "warning: only the first YAML document is read";
        assert_eq!(said.contains(warning), warned, "{text}: {said}");
    }
}

#[test]
fn what_promtool_accepts_and_a_host_cannot_evaluate_is_refused_by_name() {
    let cases = [
        (
            group("{record: r, expr: 'x[5m]'}"),
            "a range needs a function around it",
        ),
        (
            group("{record: r, expr: '\"text\"'}"),
            "a string is not a value for a rule",
        ),
        (
            group("{alert: A, expr: x, labels: {remedy: reboot}}"),
            "the remedy `reboot` is not known",
        ),
        (
            group("{record: r, expr: x, labels: {remedy: gc}}"),
            "a recording rule has no `labels: remedy`",
        ),
        (
            group("{alert: A, expr: x, annotations: {a: '{{ query \"up\" }}'}}"),
            "`query` cannot be used",
        ),
        (
            group("{alert: A, expr: x, annotations: {a: '{{ if gt $value 5 }}{{ end }}'}}"),
            "write 5.0",
        ),
        (
            group("{record: r, expr: 'x{a=~\"(a{1000}){1000}\"}'}"),
            "1:46",
        ),
    ];
    for (text, named) in &cases {
        let (_, ours, said) = both(["check", "rules"], &[], &[("a.rules.yaml", text)]);
        assert_eq!(ours, 1, "{text}: {said}");
        assert!(
            said.contains(named) && said.contains("a.rules.yaml"),
            "{text}: {said}"
        );
    }
}

#[test]
fn a_command_line_ends_as_it_does_with_promtool() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.rules.yaml"), RULES).unwrap();
    // Of `check rules` without a file both read standard input, which is empty here.
    let cases: [(&[&str], i32); 13] = [
        (&["check", "rules"], 0),
        (&["check", "rules", "missing.yaml"], 1),
        (&["check", "rules", ""], 1),
        (&["check", "rules", "a.rules.yaml", "missing.yaml"], 1),
        (&["check", "rules", "--surprise", "a.rules.yaml"], 1),
        (&["check", "rules", "--lint=surprise", "a.rules.yaml"], 0),
        (&["check", "rules", "--lint=none,all", "a.rules.yaml"], 0),
        (&["check", "rules", "--help"], 0),
        (&["test", "rules"], 1),
        (&["test", "rules", "missing.yaml"], 1),
        (&["test", "rules", "--surprise", "t.test.yaml"], 1),
        (&["test", "rules", "--help"], 0),
        (&["test", "rules", "a.rules.yaml"], 1),
    ];
    for (arguments, expected) in cases {
        let theirs = run(&promtool3(), arguments, directory.path());
        let (what, rest) = arguments.split_first().unwrap();
        let ours = [&[rest[0], *what], &rest[1..]].concat();
        let ours = run(snowguard(), &ours, directory.path());
        let codes = (theirs.status.code(), ours.status.code());
        assert_eq!(codes, (Some(expected), Some(expected)), "{arguments:?}");
    }
    let ours = run(snowguard(), &["rules"], directory.path());
    assert_eq!(ours.status.code(), Some(1), "what of the rules is not said");
}

#[test]
fn a_rule_that_is_there_twice_is_a_warning_or_a_failure_as_asked() {
    let twice = group("{record: r, expr: x, labels: {a: b}}, {record: r, expr: y, labels: {a: b}}");
    let once = group("{record: r, expr: x, labels: {a: b}}, {record: r, expr: y, labels: {a: c}}");
    let cases: [(&str, &[&str], i32); 5] = [
        (&twice, &[], 0),
        (&twice, &["--lint-fatal"], 3),
        (&twice, &["--lint=none", "--lint-fatal"], 0),
        (&twice, &["--lint=all", "--lint-fatal"], 3),
        (&once, &["--lint-fatal"], 0),
    ];
    for (text, flags, expected) in cases {
        let files = [("a.rules.yaml", text)];
        let (theirs, ours, said) = both(["check", "rules"], flags, &files);
        assert_eq!((theirs, ours), (expected, expected), "{flags:?}: {said}");
        assert_eq!(
            said.contains("r{a=\"b\"} is there twice"),
            text == twice && flags != ["--lint=none", "--lint-fatal"],
            "{said}"
        );
    }
}

#[test]
fn a_test_passes_or_fails_as_it_does_with_promtool() {
    let test = |body: &str| {
        format!(
            "rule_files: [a.rules.yaml]\ntests:\n- interval: 1m\n  input_series: [{{series: x, values: '4x10'}}]\n{body}"
        )
    };
    let alerts = |body: &str| test(&format!("  alert_rule_test:\n{body}"));
    let exprs = |body: &str| test(&format!("  promql_expr_test:\n{body}"));
    let good = "exp_labels: {team: a}, exp_annotations: {text: is 2}";
    let cases = [
        (String::new(), 0),
        ("tests: []\n".to_owned(), 0),
        ("rule_files: [none.yaml]\ntests: [{}]\n".to_owned(), 0),
        ("rule_files: [none.yaml]\ntests: [{alert_rule_test: [{eval_time: 1m, alertname: A, exp_alerts: [{}]}]}]\n".to_owned(), 1),
        ("rule_files: ['[']\ntests: []\n".to_owned(), 1),
        ("rule_files: ['*.rules.yaml', 'a.rules.yaml']\ntests: [{}]\n".to_owned(), 0),
        ("rule_files: [bad.yaml]\ntests: [{}]\n".to_owned(), 1),
        ("rule_files: [bad.yaml]\ntests: []\n".to_owned(), 0),
        ("tests: [{surprise: 1}]\n".to_owned(), 1),
        ("surprise: 1\n".to_owned(), 1),
        ("- 1\n".to_owned(), 1),
        ("tests: {}\n".to_owned(), 1),
        ("evaluation_interval: soon\n".to_owned(), 1),
        ("group_eval_order: [g, g]\n".to_owned(), 1),
        ("group_eval_order: [g]\nrule_files: [a.rules.yaml]\ntests: [{}]\n".to_owned(), 0),
        (alerts(&format!("  - {{eval_time: 5m, alertname: A, exp_alerts: [{{{good}}}]}}\n")), 0),
        (alerts("  - {eval_time: 5m, alertname: A, exp_alerts: []}\n"), 1),
        (alerts("  - {eval_time: 5m, alertname: A}\n"), 1),
        (alerts("  - {eval_time: 30s, alertname: A}\n"), 0),
        (alerts("  - {alertname: A}\n"), 0),
        (alerts("  - {eval_time: 5m}\n"), 1),
        (alerts("  - {eval_time: 5, alertname: A}\n"), 1),
        (alerts("  - {eval_time: 5m, alertname: B}\n"), 0),
        (alerts("  - {eval_time: 5m, alertname: A, exp_alerts: [{exp_labels: {team: b}, exp_annotations: {text: is 2}}]}\n"), 1),
        (alerts("  - {eval_time: 5m, alertname: A, exp_alerts: [{exp_labels: {team: a}, exp_annotations: {text: is 3}}]}\n"), 1),
        (alerts("  - {eval_time: 5m, alertname: A, exp_alerts: [{exp_labels: {team: a}}]}\n"), 1),
        (alerts(&format!("  - {{eval_time: 90s, alertname: A, exp_alerts: [{{{good}}}]}}\n")), 0),
        (alerts(&format!("  - {{eval_time: 5m, alertname: A, exp_alerts: [{{{good}}}, {{{good}}}]}}\n")), 1),
        (alerts(&format!("  - {{eval_time: 14m, alertname: A, exp_alerts: [{{{good}}}]}}\n")), 0),
        (alerts("  - {eval_time: 16m, alertname: A, exp_alerts: []}\n"), 0),
        (exprs("  - {expr: half, eval_time: 1m, exp_samples: [{labels: half, value: 2}]}\n"), 0),
        (exprs("  - {expr: half, eval_time: 1m, exp_samples: [{labels: 'half{a=\"b\"}', value: 2}]}\n"), 1),
        (exprs("  - {expr: half, eval_time: 1m, exp_samples: [{labels: half, value: 3}]}\n"), 1),
        (exprs("  - {expr: half, eval_time: 1m, exp_samples: []}\n"), 1),
        (exprs("  - {expr: half, eval_time: 1m}\n"), 1),
        (exprs("  - {expr: nothing, eval_time: 1m}\n"), 0),
        (exprs("  - {expr: '1 + 1', eval_time: 1m, exp_samples: [{labels: '{}', value: 2}]}\n"), 0),
        (exprs("  - {expr: '1 + 1', eval_time: 1m, exp_samples: [{value: 2}]}\n"), 0),
        (exprs("  - {expr: '0.1 + 0.2', eval_time: 1m, exp_samples: [{labels: '{}', value: 0.3}]}\n"), 1),
        (format!("fuzzy_compare: true\n{}", exprs("  - {expr: '0.1 + 0.2', eval_time: 1m, exp_samples: [{labels: '{}', value: 0.3}]}\n")), 0),
        (exprs("  - {expr: '0 / 0', eval_time: 1m, exp_samples: [{labels: '{}', value: .nan}]}\n"), 1),
        (exprs("  - {expr: '1 / 0', eval_time: 1m, exp_samples: [{labels: '{}', value: .inf}]}\n"), 0),
        (exprs("  - {expr: 'x +', eval_time: 1m}\n"), 1),
        (exprs("  - {eval_time: 1m}\n"), 1),
        (exprs("  - {expr: 'x[1m]', eval_time: 1m}\n"), 1),
        (exprs("  - {expr: ALERTS, eval_time: 0m, exp_samples: [{labels: 'ALERTS{alertname=\"A\",alertstate=\"pending\",team=\"a\"}', value: 1}]}\n"), 0),
        (exprs("  - {expr: ALERTS_FOR_STATE, eval_time: 3m, exp_samples: [{labels: 'ALERTS_FOR_STATE{alertname=\"A\",team=\"a\"}', value: 0}]}\n"), 0),
        (exprs("  - {expr: 'count_over_time(x[5m:])', eval_time: 10m, exp_samples: [{labels: '{}', value: 5}]}\n"), 0),
        (exprs("  - {expr: 'x', eval_time: 90s, exp_samples: [{labels: x, value: 4}]}\n"), 0),
        ("tests: [{input_series: [{series: 'x{', values: 1}]}]\n".to_owned(), 1),
        ("tests: [{input_series: [{series: x, values: one}]}]\n".to_owned(), 1),
        ("tests: [{input_series: [{series: x, values: 1}, {series: x, values: 2}], promql_expr_test: [{expr: x, exp_samples: [{labels: x, value: 2}]}]}]\n".to_owned(), 0),
        ("tests: [{external_labels: {a: b}, external_url: 'http://x', name: n}]\n".to_owned(), 0),
        ("tests: [{external_labels: [a]}]\n".to_owned(), 1),
        ("rule_files: [same.rules.yaml]\ntests: [{input_series: [{series: 'x{a=\"1\"}', values: 1}, {series: 'x{a=\"2\"}', values: 1}]}]\n".to_owned(), 1),
        ("rule_files: [limit.rules.yaml]\ntests: [{input_series: [{series: 'x{a=\"1\"}', values: 1}, {series: 'x{a=\"2\"}', values: 1}]}]\n".to_owned(), 1),
        ("rule_files: [terms.rules.yaml]\ntests: [{interval: 1m, input_series: [{series: 'x', values: '1+1x10'}], promql_expr_test: [{expr: late, eval_time: 5m, exp_samples: [{labels: 'late{g=\"h\"}', value: 5}]}]}]\n".to_owned(), 0),
        ("rule_files: [terms.rules.yaml]\ntests: [{interval: 1m, input_series: [{series: 'x', values: '1+1x10'}], alert_rule_test: [{alertname: Late, eval_time: 5m, exp_alerts: [{exp_labels: {g: h}, exp_annotations: {v: '5'}}]}]}]\n".to_owned(), 0),
    ];
    let same = group("{record: r, expr: x, labels: {a: ''}}");
    let limit = "groups: [{name: g, limit: 1, rules: [{record: r, expr: x}]}]\n";
    let terms = "groups: [{name: g, query_offset: 1m, interval: 3m, labels: {g: h}, rules: [{record: late, expr: x}, {alert: Late, expr: x > 1, annotations: {v: '{{ $value }}'}}]}]\n";
    let mut different = Vec::new();
    for (text, expected) in &cases {
        let files = [
            ("a.rules.yaml", RULES),
            ("same.rules.yaml", &same),
            ("limit.rules.yaml", limit),
            ("terms.rules.yaml", terms),
            ("bad.yaml", "groups: 5"),
            ("t.test.yaml", text),
        ];
        let files = if text.contains('*') {
            &[files[0], files[5]][..]
        } else {
            &files[..]
        };
        let (theirs, ours, said) = both(["test", "rules"], &[], files);
        if theirs != ours || ours != *expected {
            different.push(format!(
                "{text}expected {expected}, promtool {theirs}, ours {ours}: {said}"
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    let (theirs, ours, _) = both(["test", "rules"], &[], &[]);
    assert_eq!((theirs, ours), (1, 1), "a missing file");
}

#[test]
fn what_two_rules_write_into_one_series_is_judged_as_it_is_by_promtool() {
    let alert = |expr: &str, more: &str| format!("{{alert: A, expr: {expr} > 1{more}}}");
    let record = |expr: &str| format!("{{record: r, expr: '{expr}'}}");
    let two = |first: &str, second: &str| group(&format!("{first}, {second}"));
    let groups = |first: &str, second: &str| {
        format!("groups: [{{name: g, {first}}}, {{name: h, {second}}}]\n")
    };
    let alerts = two(&alert("x", ""), &alert("y", ""));
    let keeping = two(&alert("x", ", keep_firing_for: 3m"), &alert("y", ""));
    let records = two(&record("x"), &record("y"));
    let highs = two(&record("x > 1"), &record("y > 1"));
    let cases = [
        // Without `group_eval_order` promtool takes the groups in an order left to chance, so no case
        // may depend on it. Alerts of one name and labels: since the same time, and since different ones.
        (alerts.clone(), "x: 2x5", "y: 2x5", 0),
        (alerts.clone(), "x: 2x5", "y: 0 2x4", 1),
        (alerts.clone(), "x: 0 2x4", "y: 2x5", 1),
        (alerts.clone(), "x: 2 2 0x4", "y: 0 0 2x4", 1),
        (alerts.clone(), "x: 2x5", "y: 2 2 0x4", 0),
        (alerts.clone(), "x: 2 2 0 0", "y: 2x5", 1),
        (alerts, "x: 2 0 0 0", "y: 0 0 2 2", 0),
        (
            two(&alert("x", ", for: 2m"), &alert("y", "")),
            "x: 2x5",
            "y: 2x5",
            0,
        ),
        (
            two(&alert("x", ", labels: {s: a}"), &alert("y", "")),
            "x: 2x5",
            "y: 0 2x4",
            0,
        ),
        (keeping.clone(), "x: 2 0x5", "y: 0 2x4", 1),
        (keeping, "x: 2 0x5", "y: 2x5", 1),
        (
            groups(
                "rules: [{alert: A, expr: x > 1}]",
                "rules: [{alert: A, expr: y > 1}]",
            ),
            "x: 2x5",
            "y: 0 2x4",
            1,
        ),
        // Of results of one rule, and by what a template makes of them.
        (
            group("{alert: A, expr: x > 1, labels: {i: ''}}"),
            "x{i=\"a\"}: 2x5",
            "x{i=\"b\"}: 2x5",
            1,
        ),
        (
            group("{alert: A, expr: x > 1, labels: {i: '{{ $value }}'}}"),
            "x{i=\"a\"}: 2x5",
            "x{i=\"b\"}: 3x5",
            0,
        ),
        // Recorded series.
        (records.clone(), "x: 2x5", "y: 2x5", 0),
        (records.clone(), "x: 2x5", "y: 3x5", 1),
        (records.clone(), "x{a=\"1\"}: 2x5", "y{a=\"2\"}: 3x5", 0),
        (records, "x: 0x5", "y: -0x5", 1),
        (
            two(&record("x * 0"), &record("y * 0")),
            "x: 2x5",
            "y: -2x5",
            1,
        ),
        (
            two(&record("x / 0 * 0"), &record("y / 0 * 0")),
            "x: 2x5",
            "y: 2x5",
            0,
        ),
        (highs.clone(), "x: 2 2 0x4", "y: 0 0 2x4", 1),
        (highs, "x: 0 0 2x4", "y: 2 2 0x4", 0),
        // What is there already.
        (group("{record: x, expr: x + 1}"), "x: 2x5", "y: 2x5", 1),
        (group("{record: x, expr: x + 0}"), "x: 2x5", "y: 2x5", 0),
        (group("{record: r, expr: x}"), "x: 2x5", "r: _ _ _ 7", 1),
        (
            group("{record: r, expr: x}"),
            "x: 2 2 _ _ _",
            "r: _ _ stale",
            1,
        ),
        (
            group("{alert: A, expr: x > 1}"),
            "x: 2x5",
            "ALERTS{alertname=\"A\",alertstate=\"firing\"}: 2x5",
            1,
        ),
    ];
    let mut different = Vec::new();
    for (rules, one, other, expected) in &cases {
        let series = [one, other].map(|row| {
            let (series, values) = row.split_once(": ").unwrap();
            format!("  - {{series: '{series}', values: '{values}'}}\n")
        });
        let test = format!(
            "rule_files: [a.rules.yaml]\ntests:\n- interval: 1m\n  input_series:\n{}  \
             alert_rule_test: [{{eval_time: 5m, alertname: none}}]\n",
            series.concat()
        );
        let files = [("a.rules.yaml", rules.as_str()), ("t.test.yaml", &test)];
        let (theirs, ours, said) = both(["test", "rules"], &[], &files);
        if theirs != ours || ours != *expected {
            different.push(format!(
                "{rules}{one}, {other}: expected {expected}, promtool {theirs}, ours {ours}: {said}"
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn the_shipped_rules_pass_their_own_tests_and_nothing_is_said_against_them() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules");
    let named = |directory: &Path, end: &str| {
        let files = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.to_str().unwrap().ends_with(end));
        files
            .map(|path| path.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let rules = named(&directory, ".rules.yaml");
    let tests = named(&directory.join("tests"), ".test.yaml");
    for (flags, files) in [
        (&["check", "--lint=all", "--lint-fatal"][..], rules),
        (&["test"][..], tests),
    ] {
        let files = files.iter().map(String::as_str).collect::<Vec<_>>();
        assert!(!files.is_empty());
        let arguments = [&["rules"], flags, &files].concat();
        let output = run(snowguard(), &arguments, &directory);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.stderr.is_empty());
    }
}
