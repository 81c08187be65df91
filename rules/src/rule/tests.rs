use std::fs;

use super::*;

const RULES: &str = "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]\n";

#[test]
fn of_a_directory_every_rule_file_is_loaded_in_name_order() {
    let directory = tempfile::tempdir().unwrap();
    for file in ["b.rules.yaml", "a.rules.yaml", "notes.txt", "c.yaml"] {
        let text = if file.ends_with(".rules.yaml") {
            RULES
        } else {
            "{"
        };
        fs::write(directory.path().join(file), text).unwrap();
    }
    let rules = RuleSet::load(&[directory.path().to_owned()]).unwrap();
    let files = rules.alerting().map(|(rule, _)| rule.file.clone());
    let expected = ["a.rules.yaml", "b.rules.yaml"]
        .map(|file| directory.path().join(file).display().to_string());
    assert_eq!(files.collect::<Vec<_>>(), expected);
    assert_eq!(rules.len(), 2);
}

#[test]
fn a_directory_without_rules_a_missing_file_and_a_file_named_twice_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let error = RuleSet::load(std::slice::from_ref(&path)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no file there is named *.rules.yaml")
    );

    let missing = path.join("missing.rules.yaml");
    let error = RuleSet::load(std::slice::from_ref(&missing)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("missing.rules.yaml: No such file")
    );

    let file = path.join("a.rules.yaml");
    fs::write(&file, RULES).unwrap();
    let error = RuleSet::load(&[path, file]).unwrap_err();
    assert!(matches!(error, LoadError::FileTwice { .. }), "{error}");
}

#[test]
fn no_rules_need_no_more_than_the_lookback() {
    assert_eq!(RuleSet::default().needed_window(), Duration::from_secs(300));
}

#[test]
fn a_rule_that_looks_further_back_than_samples_are_kept_is_refused_with_both_times() {
    let text = "groups: [{name: g, query_offset: 1m, rules: [{alert: A, expr: x},
        {alert: B, expr: 'delta(x[1h] offset 1h) < 0'}]}]";
    let rules = RuleSet::parse("f.rules.yaml", text).unwrap();
    let needed = Duration::from_secs(2 * 3600 + 300 + 60);
    assert_eq!(rules.needed_window(), needed);
    assert!(rules.clone().within(needed).is_ok());
    let error = rules.within(Duration::from_secs(3600)).unwrap_err();
    let expected = "f.rules.yaml: group \"g\": rule \"B\": it needs samples of 7560 s, and they may \
        be kept for at most 3600 s; shorten its range, or raise `rules.window`";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn ten_thousand_rules_are_loaded_and_evaluated() {
    let mut text = "groups:\n- name: g\n  rules:\n".to_owned();
    for rule in 0..10_000 {
        text.push_str(&format!(
            "  - alert: A{rule}\n    expr: rate(x{{n=\"{rule}\"}}[5m]) > {rule}\n    annotations: {{a: '{{{{ $value | humanize }}}}'}}\n"
        ));
    }
    let begun = std::time::Instant::now();
    let rules = RuleSet::parse("f.rules.yaml", &text).unwrap();
    assert_eq!(rules.len(), 10_000);
    let mut window = crate::Window::new(rules.needed_window());
    let mut engine = crate::Engine::new(rules);
    assert_eq!(engine.evaluate(&mut window, 0).len(), 10_000);
    // Ten times what a busy machine took without optimisation.
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.rules.yaml");
    fs::write(&path, RULES).unwrap();
    assert_eq!(
        read_steady(&path, |file| io::read_to_string(file)).unwrap(),
        RULES
    );
    let error = read_steady(&path, |file| {
        let text = io::read_to_string(file)?;
        fs::write(&path, "groups: []\n")?;
        Ok(text)
    });
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("changed while it was read")
    );
}
