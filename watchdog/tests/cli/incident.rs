//! An incident ends with what it began with, whatever the configuration says meanwhile: that of
//! the generation gone back to comes into force in the middle of it.
//!
//! Promise 4: "At most one rollback per deploy; never from blindness; never to a generation that
//! was not good."

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{fixture::Fixture, watchdog_state::Watching};

/// A host whose only generation runs, and how its machine names that.
fn host() -> (Fixture, Value) {
    let host = Fixture::new();
    let system = host.path("system", 100);
    host.generation("system", 1, &system);
    host.link("nix/var/nix/profiles/system", "system-1-link");
    host.link("run/current-system", &system);
    let id = json!({"number": 1, "store_path": system, "linked_at_ms": 1});
    (host, id)
}

/// The machine that the watchdog before this one left.
fn leave(host: &Fixture, state: &Value, more: &Value) {
    let mut content = json!({
        "version": 1, "state": state, "good": [], "denied": [], "failing": {},
    });
    let more = more.as_object().unwrap().clone();
    content.as_object_mut().unwrap().extend(more);
    let text = json!({"sequence": 4, "content": content}).to_string();
    host.write("var/lib/snowguard/rollback.json", &text);
}

fn bad() -> Value {
    json!({
        "deploy": {"store_path": "/nix/store/bad", "generation": null},
        "since_ms": 1, "alert": "NixOSDeployUnhealthy",
        "before": {"armed_since_ms": 1, "failing": []},
    })
}

fn state(host: &Fixture) -> Value {
    let text = std::fs::read_to_string(host.root().join("var/lib/snowguard/rollback.json"));
    let document: Value = serde_json::from_str(&text.unwrap()).unwrap();
    document["content"]["state"]["is"].clone()
}

fn reasons(host: &Fixture) -> Vec<String> {
    let path = host.root().join("var/lib/snowguard/journal.jsonl");
    let out = std::fs::read_to_string(path).unwrap_or_default();
    let reason = |line| serde_json::from_str::<Value>(line).unwrap()["reason"].clone();
    out.lines()
        .map(|line| reason(line).as_str().unwrap().to_owned())
        .collect()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        let patience = Duration::from_secs(60);
        assert!(begun.elapsed() < patience, "this did not come: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Looks of the watchdog, so many of them and more.
fn looks(host: &Fixture, count: u32) {
    let path = host.root().join("run/snowguard/state.json");
    for _ in 0..count {
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let now = || std::fs::read_to_string(&path).unwrap_or_default();
        until("a look", || !now().is_empty() && now() != before);
    }
}

const LOOKS: &str = "[watchdog]\ninterval = \"1s\"\n[gc]\nmode = \"off\"\n";

#[test]
fn a_rollback_is_verified_by_the_probes_that_it_began_with_through_reloads_and_restarts() {
    let (host, target) = host();
    leave(
        &host,
        &json!({"is": "verifying", "bad": bad(), "target": target}),
        &json!({}),
    );
    let file = host.root().join("works");
    let began_with = format!(
        "{LOOKS}[rollback]\nmode = \"act\"\nverify_soak = \"1s\"\nverify_window = \"50s\"\n\
         [probes.service]\nkind = \"command\"\nfailures = 1\ncommand = [\"/bin/ls\", {file:?}]\n"
    );
    let other = format!("{LOOKS}[rollback]\nmode = \"observe\"\nverify_soak = \"1s\"\n");
    let mut watching = Watching::with(&host, &began_with);
    looks(&host, 2);
    assert_eq!(state(&host), "verifying");
    // As the switch to a generation with another configuration does.
    host.beside("watch.toml", &other);
    watching.signal(Signal::SIGHUP);
    looks(&host, 3);
    assert_eq!(state(&host), "verifying", "{:?}", reasons(&host));
    watching.signal(Signal::SIGKILL);
    drop(watching);
    watching = Watching::with(&host, &other);
    looks(&host, 3);
    assert_eq!(state(&host), "verifying", "{:?}", reasons(&host));
    // Then the other configuration is in force.
    std::fs::write(&file, "").unwrap();
    until("it is verified", || state(&host) == "settled");
    assert_eq!(reasons(&host), ["rolled_back"]);
    let published = host.root().join("run/snowguard/state.json");
    until("the other mode is in force", || {
        let text = std::fs::read_to_string(&published).unwrap();
        !text.contains("\"service\"")
    });
    assert_eq!(watching.terminate(), Some(0));
}

#[test]
fn nothing_is_verified_by_an_alert_whose_rule_is_gone() {
    let (host, target) = host();
    let mut bad = bad();
    bad["alert"] = json!("OfRulesOfMyOwn");
    leave(
        &host,
        &json!({"is": "verifying", "bad": bad, "target": target}),
        &json!({}),
    );
    let text = format!(
        "{LOOKS}[rollback]\nmode = \"act\"\nverify_soak = \"1s\"\nverify_window = \"4s\"\n"
    );
    let mut watching = Watching::with(&host, &text);
    until("an end", || state(&host) != "verifying");
    assert_eq!(state(&host), "failed");
    assert_eq!(reasons(&host), ["not_verified"]);
    assert_eq!(watching.terminate(), Some(0));
}

#[test]
fn a_release_is_on_disk_before_its_marker_is_taken() {
    let (host, target) = host();
    let failure = json!({"reason": "not_cured", "why": "it is ill still"});
    leave(
        &host,
        &json!({"is": "failed", "bad": bad(), "target": target, "failure": failure}),
        &json!({}),
    );
    host.write("var/lib/snowguard/release", "");
    // A remedy that is off writes nothing of its own accord.
    let text = format!("{LOOKS}[rollback]\nmode = \"off\"\n");
    let watching = Watching::with(&host, &text);
    let marker = host.root().join("var/lib/snowguard/release");
    until("the marker is taken", || !marker.exists());
    watching.signal(Signal::SIGKILL);
    assert_eq!(state(&host), "unknown");
}

/// A lock server that gives any host a place, and takes it back at the second time it is told.
fn lock_server() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut head, mut line) = (Vec::new(), String::new());
            while stream.read_line(&mut line).unwrap() > 2 {
                head.push(std::mem::take(&mut line).to_ascii_lowercase());
            }
            let length = head
                .iter()
                .find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.unwrap().trim().parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
            let path = head[0].split(' ').nth(1).unwrap().to_owned();
            let body: Value = serde_json::from_slice(&body).unwrap();
            let who = &body["client_params"];
            let mut told = told.lock().unwrap();
            let again = told.iter().any(|asked| asked.contains(&path));
            told.push(format!("{path} {} {}", who["group"], who["id"]));
            drop(told);
            let is_well = again || path == "/v1/pre-reboot";
            let status = if is_well { 200 } else { 500 };
            write!(
                stream.get_mut(),
                "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
        }
    });
    (url, asked)
}

#[test]
fn a_place_in_the_lock_of_a_fleet_is_given_back_to_the_server_that_gave_it() {
    let (host, target) = host();
    let good = host.path("good", 100);
    // It has no program to switch with, so that the turn ends with a latch.
    host.link("nix/var/nix/gcroots/snowguard/rollback-target", &good);
    let mut condemned = bad();
    condemned["deploy"]["store_path"] = target["store_path"].clone();
    leave(
        &host,
        &json!({"is": "condemned", "bad": condemned, "waiting": ""}),
        &json!({"good": [{"number": 7, "store_path": good, "linked_at_ms": 1}]}),
    );
    let (url, asked) = lock_server();
    let fleet = format!(
        "{LOOKS}[rollback]\nmode = \"act\"\n\
         [rollback.fleet_lock]\nurl = \"{url}\"\ngroup = \"blue\"\nid = \"me\"\n"
    );
    let watching = Watching::with(&host, &fleet);
    until("the place is to be given back", || {
        asked.lock().unwrap().len() == 2
    });
    until("that failed", || {
        reasons(&host).contains(&"fleet_lock_not_returned".to_owned())
    });
    watching.signal(Signal::SIGKILL);
    drop(watching);
    // Of a generation that knew of no fleet yet.
    let mut watching = Watching::with(&host, LOOKS);
    until("it is given back", || {
        reasons(&host).contains(&"fleet_lock_returned".to_owned())
    });
    let asked = asked.lock().unwrap().clone();
    let who = "\"blue\" \"me\"";
    assert_eq!(
        asked,
        [
            format!("/v1/pre-reboot {who}"),
            format!("/v1/steady-state {who}"),
            format!("/v1/steady-state {who}")
        ]
    );
    assert_eq!(watching.terminate(), Some(0));
}
