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
fn ten_thousand_rules_are_read_and_evaluated_but_no_more_than_two_thousand_are_put_in_force() {
    let mut text = "groups:\n- name: g\n  rules:\n".to_owned();
    for rule in 0..10_000 {
        text.push_str(&format!(
            "  - alert: A{rule}\n    expr: rate(x{{n=\"{rule}\"}}[5m]) > {rule}\n    annotations: {{a: '{{{{ $value | humanize }}}}'}}\n"
        ));
    }
    let begun = std::time::Instant::now();
    let rules = RuleSet::parse("f.rules.yaml", &text).unwrap();
    assert_eq!(rules.len(), 10_000);
    assert!(rules.clone().at_most(10_000).is_ok());
    let error = rules.clone().at_most(2_000).unwrap_err().to_string();
    assert!(
        error.starts_with("f.rules.yaml: group \"g\": rule \"A2000\": 10000 rules are more"),
        "{error}"
    );
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
fn what_is_no_regular_file_or_too_large_is_refused_and_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let refusal = |file: &str| {
        let (file, (said, heard)) = (path(file), std::sync::mpsc::channel());
        std::thread::spawn(move || said.send(RuleSet::load(&[file]).unwrap_err().to_string()));
        // One that waits for a writer would wait for ever.
        heard.recv_timeout(Duration::from_secs(30)).unwrap()
    };
    let fifo = path("fifo.rules.yaml");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", path("device.rules.yaml")).unwrap();
    std::os::unix::fs::symlink(&fifo, path("link.rules.yaml")).unwrap();
    fs::create_dir_all(path("in/directory.rules.yaml")).unwrap();
    for name in [
        "fifo.rules.yaml",
        "device.rules.yaml",
        "link.rules.yaml",
        "in",
    ] {
        let said = refusal(name);
        assert!(said.contains(name), "{said}");
        assert!(said.contains("not a regular file; put a file"), "{said}");
    }

    let large = File::create(path("large.rules.yaml")).unwrap();
    large.set_len(LARGEST_FILE + 1).unwrap();
    let said = refusal("large.rules.yaml");
    assert!(said.contains("it has 16777217 bytes"), "{said}");
    assert!(said.contains("large.rules.yaml"), "{said}");

    fs::write(path("plain"), RULES).unwrap();
    std::os::unix::fs::symlink(path("plain"), path("good.rules.yaml")).unwrap();
    assert_eq!(RuleSet::load(&[path("good.rules.yaml")]).unwrap().len(), 1);
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
