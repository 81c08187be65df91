//! The breaker of collections, and the pause after one, as they outlive the watchdog: told by
//! `status`, closed by `release`.
//!
//! Promise 2: "it never starts a collection that cannot help."

use std::{
    fs,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};

use crate::{fixture::Fixture, watchdog_state::Watching};

/// An alert that holds on any disk, and asks for a collection.
const ALWAYS: &str = "\
groups:
- name: t
  rules:
  - alert: Low
    expr: nix_store_filesystem_avail_bytes < 1e18
    labels: {remedy: gc}
";

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_millis().try_into().unwrap()
}

/// A host whose last three collections brought nothing.
fn with_open_breaker() -> Fixture {
    let host = Fixture::new();
    let now = now_ms();
    let content = json!({"ended_ms": [now], "fruitless": 3, "fruitless_at_ms": now});
    let history = json!({"sequence": 5, "content": content});
    host.write("var/lib/snowguard/gc-history.json", &history.to_string());
    host
}

/// A watchdog that is asked for a collection at each look.
fn watching(host: &Fixture) -> Watching {
    host.write("etc/always.rules.yaml", ALWAYS);
    let text = "[watchdog]\ninterval = \"1s\"\n[rules]\nfiles = [\"/etc/always.rules.yaml\"]\n\
                [gc]\ntrigger = \"98%\"\ntarget = \"100%\"\nkeep_recent = \"0s\"\n";
    Watching::with(host, text)
}

fn records(host: &Fixture) -> Vec<Value> {
    let out = host.run(&["history", "--json"]).clean();
    let lines = out.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// Waits until so many records have one of these reasons, and counts those of each.
fn reasons(host: &Fixture, wanted: &[&str], at_least: usize) -> Vec<usize> {
    let begun = Instant::now();
    loop {
        let records = records(host);
        let count = |reason: &&str| {
            let having = records.iter().filter(|record| record["reason"] == **reason);
            having.count()
        };
        let counts: Vec<usize> = wanted.iter().map(count).collect();
        if counts.iter().sum::<usize>() >= at_least {
            return counts;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{records:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_open_breaker_is_told_first_and_closed_by_a_release() {
    let host = with_open_breaker();
    let text = host.run(&["status"]).clean();
    let first = text.lines().next().unwrap();
    assert!(
        first.starts_with("BREAKER OPEN: the last 3 collections freed next to nothing")
            && first.contains("snowguard release"),
        "{text}"
    );
    let gc = text.lines().find(|line| line.starts_with("  gc  "));
    assert!(gc.unwrap().contains("breaker open until 20"), "{text}");
    let status = host.run(&["status", "--json"]).json();
    assert_eq!(status["gc"]["breaker_open"], true);

    let before = host.tree();
    let text = host.run(&["release", "--dry-run"]).clean();
    assert!(text.contains("It would be released"), "{text}");
    assert_eq!(host.tree(), before);

    let mut watching = watching(&host);
    assert_eq!(reasons(&host, &["breaker", "cannot_help"], 1), [1, 0]);
    let text = host.run(&["release", "--yes"]).clean();
    assert!(text.contains("the breaker of gc is open"), "{text}");
    // Now a plan is made, of a store with nothing in it.
    assert_eq!(reasons(&host, &["cannot_help"], 1), [1]);
    let status = host.run(&["status", "--json"]).json();
    assert_eq!(status["gc"]["breaker_open"], false);
    assert_eq!(watching.terminate(), Some(0));
    // And as it could not help, its alert waits, which a release ends as well.
    let text = host.run(&["release", "--yes"]).clean();
    assert!(text.starts_with("gc waits until") && text.contains("the watchdog ends the wait"));
}

#[test]
fn a_release_ends_a_hold_and_closes_an_open_breaker_at_once() {
    let host = with_open_breaker();
    host.run(&["hold"]).clean();
    let text = host.run(&["release", "--yes"]).clean();
    assert!(text.contains("gc is held"), "{text}");
    assert!(text.contains("the breaker of gc is open"), "{text}");
    let state = host.root().join("var/lib/snowguard");
    assert!(!state.join("hold").exists());
    assert!(state.join("release").exists());
}

#[test]
fn a_breaker_that_the_configuration_switches_off_is_not_open() {
    let host = with_open_breaker();
    let config = host.beside("c.toml", "[gc]\nbreaker = 0\n");
    let status = host.run(&["--config", &config, "status", "--json"]).json();
    assert_eq!(status["gc"]["breaker_open"], false);
    let text = host.run(&["--config", &config, "release", "--yes"]).clean();
    assert!(text.starts_with("Nothing is latched"), "{text}");
}

#[test]
fn a_restart_does_not_end_the_pause_after_a_collection_that_did_not_help() {
    let host = Fixture::new();
    host.path("dead", 1000);
    let mut first = watching(&host);
    reasons(&host, &["would_delete_paths", "cannot_help"], 1);
    assert_eq!(first.terminate(), Some(0));
    let trips = reasons(&host, &["alert"], 1);
    let mut second = watching(&host);
    let [cooldown, again] = reasons(&host, &["cooldown", "alert"], 1 + trips[0])[..] else {
        panic!("two counts");
    };
    assert_eq!((cooldown, again), (1, trips[0]));
    assert_eq!(second.terminate(), Some(0));
    assert!(fs::exists(host.root().join("var/lib/snowguard/gc-history.json")).unwrap());
}
