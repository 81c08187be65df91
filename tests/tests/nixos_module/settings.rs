//! The options, and what becomes of them.

use std::fs;

use serde_json::{Value, json};
use snowguard_exporter::config::Source;
use snowguard_watchdog::{config::Settings, record::Mode};

use crate::{BOTH, evaluate, workspace};

/// As `pkgs.formats.toml` would write it, but on one line for each section.
fn toml(settings: &Value) -> String {
    let inline = |value: &Value| match value {
        Value::Object(table) => {
            let pairs = table.iter().map(|(key, value)| format!("{key} = {value}"));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    };
    let sections = settings.as_object().unwrap().iter();
    sections
        .map(|(name, section)| format!("{name} = {}\n", inline(section)))
        .collect()
}

#[test]
fn nothing_is_installed_before_a_program_is_enabled() {
    let host = evaluate("{ }").unwrap();
    assert_eq!(host["services"], json!({}));
    assert_eq!(host["etc"], json!([]));
    assert_eq!(host["systemPackages"], json!([]));
}

#[test]
fn each_program_can_be_enabled_alone() {
    for (program, unit) in [
        ("exporter", "snowguard-exporter"),
        ("watchdog", "snowguard"),
    ] {
        let host = evaluate(&format!(
            "{{ services.snowguard.{program}.enable = true; }}"
        ))
        .unwrap();
        let services = host["services"].as_object().unwrap();
        assert_eq!(services.keys().collect::<Vec<_>>(), [unit]);
        assert_eq!(host["etc"], json!(["snowguard/snowguard.toml"]));
    }
}

#[test]
fn both_remedies_only_observe_until_the_settings_say_act() {
    let host = evaluate(BOTH).unwrap();
    assert_eq!(host["settings"]["gc"], json!({"mode": "observe"}));
    assert_eq!(host["settings"]["rollback"], json!({"mode": "observe"}));

    let host = evaluate("{ services.snowguard.settings.gc.mode = \"act\"; }").unwrap();
    assert_eq!(host["settings"]["gc"]["mode"], "act");
    assert_eq!(host["settings"]["rollback"]["mode"], "observe");
}

#[test]
fn the_watchdog_heals_by_the_rule_files_of_the_package_unless_others_are_named() {
    let host = evaluate(BOTH).unwrap();
    let files = host["settings"]["rules"]["files"].as_array().unwrap();
    assert_eq!(host["ruleFiles"].as_array().unwrap(), files);
    assert_eq!(files.len(), snowguard_rules::SHIPPED.len());
    for (file, (name, _)) in files.iter().zip(snowguard_rules::SHIPPED) {
        let end = format!("-snowguard/share/snowguard/rules/{name}");
        assert!(file.as_str().unwrap().ends_with(&end), "{file}");
        assert!(workspace().join("rules").join(name).exists(), "{name}");
    }

    let other = "{ services.snowguard.ruleFiles = [ \"/nix/store/x-own.yaml\" ]; }";
    let host = evaluate(other).unwrap();
    let expected = json!({"files": ["/nix/store/x-own.yaml"]});
    assert_eq!(host["settings"]["rules"], expected);
}

#[test]
fn a_setting_that_the_module_does_not_know_reaches_the_programs() {
    let host = evaluate(
        "{ services.snowguard.settings = {
             gc.trigger = \"10%\";
             exporter.collectors.memory = false;
             probes.web = { kind = \"tcp\"; address = \"127.0.0.1:80\"; failures = 3; };
           }; }",
    );
    let settings = &host.unwrap()["settings"];
    let gc = json!({"mode": "observe", "trigger": "10%"});
    assert_eq!(settings["gc"], gc);
    let exporter = json!({"listen": ":7669", "collectors": {"memory": false}});
    assert_eq!(settings["exporter"], exporter);
    assert_eq!(settings["probes"]["web"]["failures"], 3);
}

#[test]
fn a_setting_of_a_wrong_type_or_a_misspelt_option_fails_by_its_name() {
    for (setting, named) in [
        ("settings.gc.mode = \"on\"", "settings.gc.mode"),
        ("settings.rollback.mode = true", "settings.rollback.mode"),
        (
            "settings.exporter.listen = 7669",
            "settings.exporter.listen",
        ),
        ("exporter.enable = \"yes\"", "exporter.enable"),
        ("ruleFiles = [ \"own.yaml\" ]", "ruleFiles"),
        ("watchdogs.enable = true", "watchdogs"),
    ] {
        let said = evaluate(&format!("{{ services.snowguard.{setting}; }}")).expect_err(setting);
        let option = format!("services.snowguard.{named}");
        assert!(said.contains(&option), "{setting}: {said}");
    }
}

#[test]
fn both_programs_check_the_settings_when_the_system_is_built() {
    let host = evaluate(BOTH).unwrap();
    let check = host["check"].as_str().unwrap();
    let file = "--config /nix/store/cccccccccccccccccccccccccccccccc-written-snowguard.toml\n";
    for program in [
        "snowguard-exporter --check-config ",
        "snowguard check-config --elsewhere ",
    ] {
        assert!(check.contains(&format!("{program}{file}")), "{check}");
    }
}

#[test]
fn both_programs_accept_the_settings_that_the_module_writes() {
    let host = evaluate(
        "{ services.snowguard.settings = {
             gc.mode = \"act\";
             gc.keep_generations = 7;
             exporter.listen = [ \"127.0.0.1:7669\" ];
           }; }",
    );
    let settings = &host.unwrap()["settings"];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("snowguard.toml");
    fs::write(&file, toml(settings)).unwrap();
    // It has the exporter's own reader look at the exporter's section.
    let read = Settings::load(&Source::Named(file)).unwrap();
    assert_eq!(
        (read.gc.mode, read.rollback.mode),
        (Mode::Act, Mode::Observe)
    );
    assert_eq!(read.rules.len(), snowguard_rules::SHIPPED.len());
    let file = settings["rules"]["files"][0].as_str().unwrap();
    assert_eq!(read.rules[0].to_str(), Some(file));
}
