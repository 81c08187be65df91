//! `store` and `generations`, for people and for machines.
//!
//! Promise 7: "Reading never blocks or slows Nix: no lock of Nix's is taken, no reading transaction
//! stays open, no users' GC roots are touched."
//! Promise 8: "What cannot be read is reported, not assumed."

use std::process::Stdio;

use crate::fixture::{Fixture, Ran};

/// Three generations of a system: 1 was booted, 2 runs, 3 is current; one dead path.
fn nixos() -> (Fixture, [String; 4]) {
    let host = Fixture::new();
    let systems = ["one", "two", "three"].map(|name| host.path(name, 5000));
    for (number, path) in (1..).zip(&systems) {
        host.generation("system", number, path);
    }
    host.link("nix/var/nix/profiles/system", "system-3-link");
    host.link("run/booted-system", &systems[0]);
    host.link("run/current-system", &systems[1]);
    let dead = host.path("dead", 100_000);
    let [one, two, three] = systems;
    (host, [one, two, three, dead])
}

#[test]
fn the_store_is_told_in_paths_and_in_bytes_of_disk() {
    let (host, _) = nixos();
    let facts = host.run(&["store", "--json"]).json();
    assert_eq!(facts["paths"], 4);
    assert_eq!(facts["nar_bytes"], 115_000);
    assert_eq!(facts["dead_paths"], 1);
    assert_eq!(facts["dead_nar_bytes"], 100_000);
    assert_eq!(facts["roots"]["profile"], 3);
    assert_eq!(facts["complete"], true);
    // Blocks of the file, and the directory.
    let bytes = facts["reclaimable"]["bytes"].as_u64().unwrap();
    assert!((100_000..130_000).contains(&bytes), "{bytes}");
    assert_eq!(facts["reclaimable"]["files"], 2);

    let text = host.run(&["store"]).clean();
    assert!(
        text.contains("Valid paths          4, 112.3 KiB of NARs"),
        "{text}"
    );
    assert!(
        text.contains("Dead paths           1, 97.6 KiB of NARs"),
        "{text}"
    );
    assert!(
        text.contains("Roots                3 of profiles"),
        "{text}"
    );
}

#[test]
fn a_stray_name_comes_out_byte_for_byte_and_nothing_else_does() {
    let (host, [.., dead]) = nixos();
    host.write("nix/store/left\nover", "");
    let out = host.run(&["store", "--dead"]).clean();
    assert_eq!(out, format!("{dead}\n/nix/store/left\nover\n"));
    let facts = host.run(&["store", "--dead", "--json"]).json();
    assert_eq!(facts["dead"][1], "/nix/store/left\nover");
}

#[test]
fn what_this_user_may_not_see_makes_the_answer_incomplete_and_says_so() {
    let (host, _) = nixos();
    let ran = host.run_as_nobody(&["store", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let facts: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(facts["complete"], false);
    assert!(!facts["unreadable"].as_array().unwrap().is_empty());
    assert!(
        ran.err.contains("warning: cannot read the runtime roots"),
        "{}",
        ran.err
    );
    let text = host.run_as_nobody(&["store"]);
    assert!(text.out.contains("at most 1, "), "{}", text.out);
}

#[test]
fn current_running_and_booted_are_three_marks_on_three_generations() {
    let (host, [one, ..]) = nixos();
    let facts = host.run(&["generations", "--json"]).json();
    let generations = facts["profiles"][0]["generations"].as_array().unwrap();
    let marks: Vec<_> = generations.iter().map(|g| g["marks"].clone()).collect();
    assert_eq!(
        serde_json::Value::from(marks),
        serde_json::json!([["booted"], ["running"], ["current"]])
    );
    assert_eq!(generations[0]["store_path"], one.as_str());
    assert_eq!(facts["system"]["booted"]["generation"], 1);

    let text = host.run(&["generations"]).clean();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("PROFILE  GENERATION  CREATED"),
        "{text}"
    );
    assert!(
        lines[1].contains("  booted   ") && lines[1].ends_with(&one),
        "{text}"
    );
    assert!(lines[3].contains("  current  "), "{text}");
}

#[test]
fn a_running_system_that_is_no_generation_is_named() {
    let host = Fixture::new();
    let path = host.path("tried", 10);
    host.link("run/current-system", &path);
    let text = host.run(&["generations"]).clean();
    assert!(
        text.contains(&format!("running: {path}, which is no generation")),
        "{text}"
    );
}

#[test]
fn a_name_with_a_newline_and_a_quote_forges_no_line() {
    let host = Fixture::new();
    let path = host.path("p", 10);
    host.generation("a\n\"b", 1, &path);
    let text = host.run(&["generations"]).clean();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[1].starts_with("a\\n\"b "), "{text}");
    let facts = host.run(&["generations", "--json"]).json();
    assert_eq!(facts["profiles"][0]["name"], "a\n\"b");
}

#[test]
fn a_link_that_dangles_is_shown_and_not_hidden() {
    let host = Fixture::new();
    let path = host.path("p", 10);
    host.generation("system", 1, &path);
    host.generation(
        "system",
        2,
        "/nix/store/00000000000000000000000000000009-gone",
    );
    host.link("nix/var/nix/profiles/system", "system-9-link");
    let text = host.run(&["generations"]).clean();
    let dangling: Vec<&str> = text.lines().filter(|l| l.contains(" dangling ")).collect();
    assert_eq!(dangling.len(), 1, "{text}");
    assert!(dangling[0].contains("-gone"), "{text}");
    assert!(
        text.contains("system: points at generation 9, which is gone"),
        "{text}"
    );
    let facts = host.run(&["generations", "--json"]).json();
    assert_eq!(facts["profiles"][0]["generations"][1]["valid"], false);
}

#[test]
fn no_command_that_tells_changes_anything_on_the_host() {
    let (host, _) = nixos();
    let any_age = host.beside("snowguard.toml", "[gc]\nkeep_recent = \"0s\"\n");
    let before = host.tree();
    for args in [
        &["store"][..],
        &["store", "--dead"],
        &["generations"],
        &["store", "roots"],
        &["store", "why", "00000000000000000000000000000001"],
        &["plan", "gc", "--free", "90KiB", "--config", &any_age],
        &["status"],
        &["history"],
        &["check-config"],
        &["release"],
        &["confirm"],
    ] {
        host.run(args).clean();
        assert_eq!(host.tree(), before, "{args:?}");
    }
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let (host, _) = nixos();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = host.command(&["store", "--dead"]);
    let ran = command.stdout(Stdio::from(writer)).output().unwrap();
    Ran::of(ran).clean();
}

#[test]
fn the_settings_in_force_are_told_as_json_too() {
    let (host, _) = nixos();
    let told = host.run(&["check-config", "--json"]).json();
    assert_eq!(told["settings"]["gc.mode"], "observe");
    assert_eq!(told["settings"]["gc.keep_generations"], "5");
}
