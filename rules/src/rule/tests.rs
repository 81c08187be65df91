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
