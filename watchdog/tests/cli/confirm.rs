//! `confirm`: somebody says that a deploy is well.

use crate::fixture::Fixture;

const ASKED_FOR: &str = "[rollback]\nrequire_confirmation = \"5m\"\n";

fn host() -> (Fixture, String, String) {
    let host = Fixture::new();
    let system = host.path("system", 100);
    host.generation("system", 1, &system);
    host.link("nix/var/nix/profiles/system", "system-1-link");
    host.link("run/current-system", &system);
    host.write("var/lib/snowguard/.keep", "");
    let config = host.beside("snowguard.toml", ASKED_FOR);
    (host, system, config)
}

#[test]
fn a_confirmation_names_the_system_that_runs() {
    let (host, system, config) = host();
    let marker = host.root().join("var/lib/snowguard/confirm");
    let dry = host.run(&["confirm", "--dry-run", "--config", &config]);
    assert!(dry.clean().contains("would be confirmed"));
    assert!(!marker.exists());
    let text = host.run(&["confirm", "--yes", "--config", &config]).clean();
    assert!(text.contains(&system), "{text}");
    assert_eq!(std::fs::read_to_string(&marker).unwrap(), system);
    let message = host.run_as_nobody(&["confirm"]).message(1);
    assert_eq!(message, "only root may confirm a deploy: run it as root");
}

#[test]
fn a_deploy_tool_that_comes_too_late_is_told_so() {
    let (host, system, config) = host();
    let wanted = [
        "confirm",
        "--system",
        "/nix/store/other",
        "--config",
        &config,
    ];
    let message = host.run(&wanted).message(3);
    assert!(message.contains("something else was deployed"), "{message}");
    let marker = host.root().join("var/lib/snowguard/confirm");
    assert!(!marker.exists());
    let wanted = ["confirm", "--system", &system, "--yes", "--config", &config];
    host.run(&wanted).clean();
    assert!(marker.exists());
}

#[test]
fn where_nothing_needs_to_be_confirmed_nothing_is_left_behind() {
    let (host, _, _) = host();
    let text = host.run(&["confirm", "--yes"]).clean();
    assert!(text.contains("rollback.require_confirmation"), "{text}");
    assert!(!host.root().join("var/lib/snowguard/confirm").exists());
}
