//! `plan gc`.
//!
//! Promise 1: "Snowguard never deletes a path that Nix holds alive, and never removes the booted,
//! running, current, boot-default or last known good generation, nor goes under K."
//! Promise 2: "It frees what it promised or says why not; it never starts a collection that cannot
//! help."

use serde_json::json;

use crate::fixture::{Fixture, Ran};

const MIB: usize = 1 << 20;

/// Seven generations of 1 MiB each, of which the newest is current and the second is booted, and
/// dead paths of 2 and 1 MiB.
///
/// All of that came only now, so the plans are made as if nothing were too young.
fn host() -> (Fixture, Vec<String>, [String; 2]) {
    let host = Fixture::new();
    let systems: Vec<String> = (1..=7).map(|n| host.path(&format!("s{n}"), MIB)).collect();
    for (number, path) in (1..).zip(&systems) {
        host.generation("system", number, path);
    }
    host.link("nix/var/nix/profiles/system", "system-7-link");
    host.link("run/booted-system", &systems[1]);
    let dead = [host.path("large", 2 * MIB), host.path("small", MIB)];
    (host, systems, dead)
}

impl Fixture {
    fn plan(&self, limits: &str, args: &[&str]) -> Ran {
        let config = self.beside("snowguard.toml", &format!("[gc]\n{limits}\n"));
        self.run(&[&["plan", "gc", "--config", &config], args].concat())
    }
}

const ANY_AGE: &str = "keep_recent = \"0s\"";

#[test]
fn the_largest_dead_path_goes_first_and_no_more_than_is_needed() {
    let (host, _, dead) = host();
    let plan = host.plan(ANY_AGE, &["--free", "2MiB", "--json"]).json();
    assert_eq!(plan["dead"]["paths"], json!([dead[0]]));
    assert_eq!(plan["generations"], json!([]));
    assert_eq!(plan["reaches_target"], true);
    assert_eq!(plan["need"], json!({"bytes": 2 * MIB, "files": 0}));
    assert_eq!(plan["dead"]["largest"][0]["path"], dead[0].as_str());
}

#[test]
fn generations_are_given_up_from_the_oldest_but_never_the_booted_one() {
    let (host, systems, _) = host();
    let plan = host.plan(ANY_AGE, &["--free", "4MiB", "--json"]).json();
    assert_eq!(plan["dead"]["entries"], 2);
    // Number 2 is beyond the newest five as well, but booted.
    let given_up = plan["generations"].as_array().unwrap();
    assert_eq!(given_up.len(), 1);
    assert_eq!(given_up[0]["number"], 1);
    assert_eq!(given_up[0]["store_path"], systems[0].as_str());

    let text = host.plan(ANY_AGE, &["--free", "4MiB"]).clean();
    assert!(
        text.contains("1. Delete 2 dead entries: frees 3.0 MiB"),
        "{text}"
    );
    assert!(text.contains("3. Give up 1 generation, if"), "{text}");
    assert!(
        text.contains("2. Remove nothing that builds left"),
        "{text}"
    );
    assert!(text.contains("Never touched"), "{text}");
    assert!(text.contains("observe: the watchdog plans this"), "{text}");
}

#[test]
fn a_known_good_generation_is_not_given_up() {
    let (host, systems, _) = host();
    let good = json!({"number": 1, "store_path": systems[0], "linked_at_ms": 0});
    host.write(
        "var/lib/snowguard/rollback.json",
        &json!({"sequence": 1, "content": {
            "version": 1, "state": {"is": "unknown"}, "good": [good], "denied": [], "failing": {},
        }})
        .to_string(),
    );
    let plan = host.plan(ANY_AGE, &["--free", "4MiB", "--json"]).json();
    assert_eq!(plan["generations"], json!([]));
    assert_eq!(plan["reaches_target"], false);
    assert!(plan["kept"].as_str().unwrap().contains("known good"));
}

#[test]
fn a_refusal_has_its_reason_and_its_exit_code() {
    let (host, ..) = host();
    let message = host.plan(ANY_AGE, &["--free", "900GiB"]).message(3);
    assert!(
        message.starts_with("refused (cannot_help): 900.0 GiB"),
        "{message}"
    );

    let ran = host.plan(ANY_AGE, &["--free", "900GiB", "--json"]);
    assert_eq!(ran.code, 3);
    let refused: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(refused["refused"]["reason"], "cannot_help");

    let nothing = host.plan(ANY_AGE, &["--free", "0B"]).message(3);
    assert!(nothing.starts_with("refused (not_needed)"), "{nothing}");
}

#[test]
fn a_user_who_cannot_see_every_root_gets_a_refusal_and_no_plan() {
    let (host, ..) = host();
    let message = host
        .run_as_nobody(&["plan", "gc", "--free", "1MiB"])
        .message(3);
    assert!(
        message.starts_with("refused (roots_unreadable): "),
        "{message}"
    );
    assert!(message.contains("run as root"), "{message}");
}

#[test]
fn what_came_only_now_stays_and_the_refusal_says_so() {
    let (host, ..) = host();
    let message = host.run(&["plan", "gc", "--free", "2MiB"]).message(3);
    assert!(message.starts_with("refused (cannot_help)"), "{message}");
    let told = "2 dead entries are too young (`gc.keep_recent`)";
    assert!(message.contains(told), "{message}");
}

#[test]
fn a_profile_with_rules_of_its_own_keeps_what_they_say() {
    let (host, systems, _) = host();
    let limits = format!("{ANY_AGE}\n[gc.profiles.\"sys*\"]\nkeep_generations = 3");
    let plan = host.plan(&limits, &["--free", "5MiB", "--json"]).json();
    let given_up = plan["generations"].as_array().unwrap();
    let paths: Vec<_> = given_up.iter().map(|g| g["store_path"].as_str()).collect();
    assert_eq!(
        paths,
        [Some(systems[0].as_str()), Some(systems[2].as_str())]
    );

    let limits = format!("{ANY_AGE}\nkeep_younger_than = \"1d\"");
    let plan = host.plan(&limits, &["--free", "5MiB", "--json"]).json();
    assert_eq!(plan["generations"], json!([]));
    let kept = plan["kept"].as_str().unwrap();
    assert!(kept.contains("those younger than 1d"), "{kept}");
}

#[test]
fn the_plan_says_what_it_would_take_to_have_the_paths_again() {
    let (host, ..) = host();
    let plan = host.plan(ANY_AGE, &["--free", "3MiB", "--json"]).json();
    assert_eq!(plan["dead"]["missed"], json!({"fetch": 2}));
    let text = host.plan(ANY_AGE, &["--free", "3MiB"]).clean();
    assert!(
        text.contains("To have them again: 2 from elsewhere"),
        "{text}"
    );
}

#[test]
fn a_root_that_is_stale_is_named_with_what_it_frees_where_that_is_asked_for() {
    let (host, ..) = host();
    let kept = host.path("environment", 5 * MIB);
    host.link("home/u/result", &kept);
    let link = host.root().join("home/u/result");
    host.link("nix/var/nix/gcroots/auto/a", link.to_str().unwrap());
    for link in ["home/u/result", "nix/var/nix/gcroots/auto/a"] {
        let aged = std::process::Command::new("touch")
            .args(["-h", "-d", "2020-01-01"])
            .arg(host.root().join(link))
            .status();
        assert!(aged.unwrap().success());
    }
    let asked = ["--free", "9MiB", "--json"];
    let plan = host.plan(ANY_AGE, &asked).json();
    assert_eq!(
        (&plan["roots"], &plan["reaches_target"]),
        (&json!([]), &json!(false))
    );

    let limits = format!("{ANY_AGE}\nstale_roots_older_than = \"90d\"");
    let plan = host.plan(&limits, &asked).json();
    assert_eq!(plan["roots"][0]["store_path"], kept.as_str(), "{plan}");
    assert_eq!(plan["roots"][0]["link"], link.to_str().unwrap());
    assert_eq!(plan["reaches_target"], true);
    let text = host.plan(&limits, &asked[..2]).clean();
    assert!(
        text.contains("4. Give up 1 stale automatic root, if"),
        "{text}"
    );
}
