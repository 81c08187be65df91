//! `generations`, `store roots` and `store why`: what each root holds, and what keeps a path.
//!
//! Promise 7: "no users' GC roots are touched." Promise 8: "What cannot be read is reported, not
//! assumed."

use serde_json::{Value, json};

use crate::fixture::Fixture;

/// Three generations that share a library; a `result` and a link whose target is gone.
struct Host {
    host: Fixture,
    systems: [String; 3],
    library: String,
    result: String,
    dead: String,
}

fn host() -> Host {
    let host = Fixture::new();
    let library = host.path("library", 10_000);
    let systems = [("one", 1000), ("two", 200), ("three", 30)].map(|(name, bytes)| {
        let system = host.path(name, bytes);
        host.refer(&system, &library);
        system
    });
    for (number, system) in (1..).zip(&systems) {
        host.generation("system", number, system);
    }
    host.link("nix/var/nix/profiles/system", "system-3-link");
    let result = host.path("built", 4000);
    host.refer(&result, &library);
    host.link("home/u/result", &result);
    host.link("nix/var/nix/gcroots/auto/1", "/home/u/result");
    host.link("nix/var/nix/gcroots/auto/2", "/home/u/gone");
    let dead = host.path("dead", 50);
    Host {
        host,
        systems,
        library,
        result,
        dead,
    }
}

#[test]
fn a_profile_without_generations_is_told_with_what_its_link_keeps() {
    let Host { host, .. } = host();
    let direct = host.path("direct", 4000);
    host.link("nix/var/nix/profiles/direct", &direct);
    let facts = host.run(&["generations", "--json"]).json();
    let profiles = facts["profiles"].as_array().unwrap();
    let profile = profiles.iter().find(|p| p["name"] == "direct").unwrap();
    let one_path = json!({"paths": 1, "nar_bytes": 4000});
    assert_eq!(
        (&profile["generations"], &profile["together"]),
        (&json!([]), &one_path)
    );
    let text = host.run(&["generations"]).clean();
    let said = "direct: has no generations; its link alone keeps 3.9 KiB (NAR)\n";
    assert!(text.contains(said), "{text}");
}

/// A share that is not there is more than any.
fn bytes(share: &Value) -> u64 {
    share["nar_bytes"].as_u64().unwrap_or(u64::MAX)
}

#[test]
fn each_generation_says_what_it_holds_and_what_giving_up_the_older_ones_frees() {
    let Host { host, systems, .. } = host();
    let facts = host.run(&["generations", "--json"]).json();
    let profile = &facts["profiles"][0];
    let column = |name: &str| -> Vec<u64> {
        let generations = profile["generations"].as_array().unwrap();
        generations
            .iter()
            .map(|generation| bytes(&generation[name]))
            .collect()
    };
    assert_eq!(column("closure"), [11_000, 10_200, 10_030]);
    // The library is held by `result`, too.
    assert_eq!(column("alone"), [1000, 200, 30]);
    assert_eq!(column("frees_older"), [0, 1000, 1200]);
    assert_eq!(bytes(&profile["together"]), 1230);
    let curve = profile["keeping"].as_array().unwrap();
    let curve: Vec<_> = curve
        .iter()
        .map(|p| (p["keep"].clone(), bytes(&p["frees"])))
        .collect();
    assert_eq!(curve, [(json!(1), 1200), (json!(2), 1000), (json!(3), 0)]);

    host.link("run/booted-system", &systems[0]);
    let facts = host.run(&["generations", "--json"]).json();
    let keeping = &facts["profiles"][0]["keeping"][0];
    assert_eq!(bytes(&keeping["frees"]), 200, "the booted one stays");

    let text = host.run(&["generations"]).clean();
    let heading = text.lines().next().unwrap();
    for column in ["CLOSURE (NAR)", "ALONE (NAR)", "OLDER FREE (NAR)"] {
        assert!(heading.contains(column), "{text}");
    }
    assert!(
        text.lines().nth(1).unwrap().contains("  10.7 KiB  "),
        "{text}"
    );
}

#[test]
fn generations_are_listed_without_the_database_and_the_answer_says_what_it_lacks() {
    let Host { host, .. } = host();
    std::fs::remove_file(host.database_path()).unwrap();
    let ran = host.run(&["generations", "--json"]);
    // What they hold was asked for, too.
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("db.sqlite"), "{}", ran.err);
    let facts: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(facts["complete"], false);
    let generations = facts["profiles"][0]["generations"].as_array().unwrap();
    assert_eq!(generations.len(), 3);
    assert!(
        generations
            .iter()
            .all(|generation| generation["alone"].is_null())
    );
    let text = host.run(&["generations"]).out;
    assert!(text.lines().nth(1).unwrap().contains("  ?  "), "{text}");
}

#[test]
fn the_roots_come_largest_first_and_the_stale_ones_are_named_and_left_in_place() {
    let Host { host, result, .. } = host();
    let before = host.tree();
    let facts = host.run(&["store", "roots", "--json"]).json();
    let roots = facts["roots"].as_array().unwrap();
    let held: Vec<_> = roots.iter().map(|root| bytes(&root["alone"])).collect();
    assert_eq!(held, [4000, 1000, 200, 30]);
    assert_eq!(roots[0]["origin"], "result");
    assert_eq!(roots[0]["kind"], "indirect");
    assert_eq!(roots[0]["store_paths"], json!([result]));
    assert!(
        roots[0]["via"]
            .as_str()
            .unwrap()
            .ends_with("gcroots/auto/1")
    );
    assert_eq!(roots[1]["origin"], "generation");
    assert_eq!(bytes(&facts["kinds"]["profile"]["together"]), 1230);
    assert_eq!(facts["kinds"]["profile"]["roots"], 3);
    let stale = facts["stale"].as_array().unwrap();
    assert_eq!(stale.len(), 1, "{facts}");
    assert!(
        stale[0]["link"]
            .as_str()
            .unwrap()
            .ends_with("gcroots/auto/2")
    );
    assert_eq!(stale[0]["reason"], "target_gone");

    let text = host.run(&["store", "roots"]).clean();
    assert!(
        text.lines().nth(1).unwrap().contains("3.9 KiB  result  "),
        "{text}"
    );
    assert!(text.contains("/home/u/gone is gone"), "{text}");
    assert_eq!(host.tree(), before);
}

#[test]
fn a_path_says_by_which_chain_it_is_kept_however_it_is_named() {
    let Host {
        host,
        library,
        systems,
        result,
        dead,
    } = host();
    let facts = host.run(&["store", "why", &library, "--json"]).json();
    assert_eq!(facts["alive"], true);
    assert_eq!(
        facts["chain"]["steps"],
        json!([
            {"by": null, "store_path": systems[0]},
            {"by": "reference", "store_path": library},
        ])
    );
    assert_eq!(facts["roots"].as_array().unwrap().len(), 4);

    let base_name = library.rsplit('/').next().unwrap();
    let told = host.run(&["store", "why", &library]).clean();
    for name in [base_name, &base_name[..32], &format!("{library}/data")] {
        assert_eq!(host.run(&["store", "why", name]).clean(), told, "{name}");
    }
    assert!(told.contains("system-1-link (generation)\n"), "{told}");
    assert!(
        told.contains(&format!("  refers to  {library}\n")),
        "{told}"
    );
    assert!(
        told.ends_with("4 roots reach it; --all lists them\n"),
        "{told}"
    );
    let all = host.run(&["store", "why", &library, "--all"]).clean();
    let is_result = |line: &&str| line.contains("/home/u/result ") && line.ends_with(&result);
    assert_eq!(all.lines().filter(is_result).count(), 1, "{all}");

    let told = host.run(&["store", "why", &dead]).clean();
    assert_eq!(
        told,
        format!("nothing keeps {dead}: it is dead, and a collection deletes it\n")
    );
    let facts = host.run(&["store", "why", &dead, "--json"]).json();
    assert_eq!(
        (&facts["alive"], &facts["chain"]),
        (&json!(false), &Value::Null)
    );
}

#[test]
fn a_path_that_is_not_in_the_store_is_an_error_with_its_cause() {
    let Host { host, .. } = host();
    let gone = "/nix/store/99999999999999999999999999999999-gone";
    let message = host.run(&["store", "why", gone]).message(1);
    assert!(
        message.contains("there is no such path in the store"),
        "{message}"
    );
    let message = host.run(&["store", "why", "0000"]).message(1);
    assert!(message.contains("paths begin with it: "), "{message}");
    let message = host.run(&["store", "--dead", "roots"]).message(2);
    assert!(message.contains("--dead"), "{message}");
}

#[test]
fn what_this_user_may_not_see_makes_each_share_an_upper_bound_and_says_so() {
    let Host {
        host,
        library,
        dead,
        ..
    } = host();
    for args in [&["generations"][..], &["store", "roots"]] {
        let ran = host.run_as_nobody(args);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(
            ran.err.contains("warning: cannot read the runtime roots"),
            "{}",
            ran.err
        );
        assert!(ran.out.contains("<= "), "{}", ran.out);
    }
    let ran = host.run_as_nobody(&["store", "why", &dead]);
    assert!(
        ran.out.starts_with("no root that could be read keeps "),
        "{}",
        ran.out
    );
    let ran = host.run_as_nobody(&["store", "why", &library, "--json"]);
    let facts: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(facts["complete"], false);
}
