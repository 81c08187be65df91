//! `status`, `history` and `release`: what the watchdog left on disk, told to people.
//!
//! Promise 6: "Each decision, act or refusal, is in the journal and in a metric, with its reason."

use std::{
    collections::BTreeSet,
    process::{Child, Stdio},
    time::{Duration, Instant, SystemTime},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use snowguard_exporter::{
    sample::{Family, Kind},
    state_file::StateFile,
};

use crate::fixture::Fixture;

fn record(at_ms: u64, incident: &str, step: &str, message: &str) -> String {
    let record = json!({
        "at_ms": at_ms, "incident": incident, "remedy": "gc", "mode": "act", "step": step,
        "reason": "r", "message": message, "facts": {"bytes": 7},
    });
    format!("{record}\n")
}

/// Two incidents, interleaved.
fn with_journal() -> Fixture {
    let host = Fixture::new();
    let lines = [
        record(1_700_000_000_000, "gc-a", "trip", "alert a fires"),
        record(1_700_000_001_000, "gc-b", "refused", "nothing to do"),
        record(
            1_700_000_002_000,
            "gc-a",
            "act",
            "deleted 3\nand \u{1b}[2J more",
        ),
        record(1_700_000_003_000, "gc-a", "done", "freed 1 GiB"),
    ];
    host.write("var/lib/snowguard/journal.jsonl", &lines.concat());
    host
}

/// A host that was rolled back, so that its updater is held.
fn hold_updater(host: &Fixture) {
    let good = json!({"store_path": "/nix/store/good", "generation": null});
    host.write(
        "var/lib/snowguard/rollback.json",
        &json!({"sequence": 4, "content": {
            "version": 1,
            "state": {"is": "settled", "good": good},
            "good": [], "denied": [], "failing": {},
            "updater": {
                "is": "held", "closure": "/nix/store/bad", "target": "/nix/store/good",
                "since_ms": 1, "incident": "rollback-1",
            },
        }})
        .to_string(),
    );
}

fn latch(host: &Fixture) {
    host.write(
        "var/lib/snowguard/rollback.json",
        &json!({"sequence": 4, "content": {
            "version": 1,
            "state": {
                "is": "failed",
                "bad": {
                    "deploy": {"store_path": "/nix/store/x", "generation": null},
                    "since_ms": 1, "alert": "ProbeFailing",
                    "before": {"armed_since_ms": 1, "failing": []},
                },
                "target": null,
                "failure": {"reason": "no_target", "why": "no known good generation is left"},
            },
            "good": [], "denied": [], "failing": {},
        }})
        .to_string(),
    );
}

fn publish(host: &Fixture, written_at: SystemTime) {
    let alert =
        |name: &str, state: &str| vec![("alertname", name.to_owned()), ("state", state.to_owned())];
    let alerts = Family::of(Kind::Gauge, "snowguard_alert_state", "Alerts")
        .with(alert("NixStoreFull", "firing"), 1.0)
        .with(alert("NixStoreFull", "pending"), 0.0)
        .with(alert("Quiet", "firing"), 0.0);
    let probes = Family::of(Kind::Gauge, "snowguard_probe_success", "Probes")
        .with(vec![("probe", "web".to_owned())], 0.0);
    let path = host.root().join("run/snowguard/state.json");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let state = StateFile {
        written_at,
        tick: Duration::from_secs(15),
        families: vec![alerts, probes],
    };
    state.write_atomically(&path).unwrap();
}

#[test]
fn each_incident_is_told_as_one_story_with_its_times() {
    let text = with_journal().run(&["history"]).clean();
    assert_eq!(
        text,
        "gc-a  gc, act\n\
        \x20 2023-11-14T22:13:20Z  trip  alert a fires\n\
        \x20 2023-11-14T22:13:22Z  act   deleted 3\\nand \\u{1b}[2J more\n\
        \x20 2023-11-14T22:13:23Z  done  freed 1 GiB\n\
        \n\
        gc-b  gc, act\n\
        \x20 2023-11-14T22:13:21Z  refused  nothing to do\n"
    );
}

#[test]
fn machines_get_the_records_as_they_were_written() {
    let host = with_journal();
    let out = host.run(&["history", "--json"]).clean();
    let records: Vec<Value> = (out.lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 4);
    assert_eq!(records[2]["message"], "deleted 3\nand \u{1b}[2J more");
    assert_eq!(records[3]["facts"], json!({"bytes": 7}));
    let one = host
        .run(&["history", "--json", "--incident", "gc-b"])
        .clean();
    assert_eq!(one.lines().count(), 1);
    let none = host.run(&["history", "--incident", "gc-c"]).message(1);
    assert!(none.contains("no incident \"gc-c\""), "{none}");
}

#[test]
fn a_line_torn_by_a_crash_hides_no_other() {
    let host = with_journal();
    let path = host.root().join("var/lib/snowguard/journal.jsonl");
    let text = std::fs::read_to_string(&path).unwrap() + "{\"at_ms\": 17";
    std::fs::write(&path, text).unwrap();
    let ran = host.run(&["history", "--json"]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 4));
    assert!(ran.err.contains("warning: line 5 of"), "{}", ran.err);
    assert!(ran.err.contains("journal.jsonl"), "{}", ran.err);
}

#[test]
fn a_story_begins_with_how_it_ended_and_older_files_are_told_too() {
    let host = with_journal();
    let line = |at_ms: i64, step: &str, facts: Value| {
        json!({
            "at_ms": at_ms, "incident": "gc-old", "remedy": "gc", "mode": "act", "step": step,
            "reason": if step == "done" { "reached" } else { "alert" }, "message": "m",
            "facts": facts,
        })
    };
    let space = |bytes: u64| json!({"bytes": bytes, "files": 1});
    let numbers = json!({"promised": space(3 << 20), "freed": space(2 << 20)});
    let story = [
        line(1_000, "trip", json!({})),
        line(43_000, "done", numbers),
    ];
    let text = story.map(|line| format!("{line}\n")).concat();
    host.write("var/lib/snowguard/journal.jsonl.1", &text);
    let text = host.run(&["history"]).clean();
    let heading = "gc-old  gc, act: reached, 2.0 MiB freed of 3.0 MiB promised, after 42 s\n";
    assert!(text.starts_with(heading), "{text}");
    assert!(text.contains("\ngc-a  gc, act\n"), "{text}");
}

#[test]
fn what_needs_a_human_comes_first() {
    let host = Fixture::new();
    latch(&host);
    host.write("var/lib/snowguard/hold", "");
    let text = host.run(&["status"]).clean();
    let mut lines = text.lines();
    let first = lines.next().unwrap();
    assert!(
        first.starts_with("LATCHED: rollback failed")
            && first.contains("no known good generation is left")
            && first.contains("snowguard release"),
        "{text}"
    );
    assert!(lines.next().unwrap().starts_with("HELD"), "{text}");
    let facts = host.run(&["status", "--json"]).json();
    assert_eq!(facts["latched"][0]["reason"], "no_target");
    assert_eq!(facts["rollback"]["state"], "failed");
    assert_eq!(facts["held"], true);
}

#[test]
fn a_watchdog_that_is_absent_or_silent_does_not_run() {
    let host = Fixture::new();
    let text = host.run(&["status"]).clean();
    assert!(
        text.contains("the watchdog does not run: there is no /run/snowguard"),
        "{text}"
    );

    publish(&host, SystemTime::now());
    let text = host.run(&["status"]).clean();
    assert!(text.contains("  runs, last look at "), "{text}");
    assert!(text.contains("  alert firing: NixStoreFull\n"), "{text}");
    assert!(!text.contains("Quiet"), "{text}");
    assert!(text.contains("  probe failing: web\n"), "{text}");

    publish(&host, SystemTime::now() - Duration::from_secs(120));
    let facts = host.run(&["status", "--json"]).json();
    assert_eq!(facts["watchdog"]["runs"], false);
    let text = host.run(&["status"]).clean();
    assert!(
        text.contains("the watchdog does not run: its last look was at"),
        "{text}"
    );
}

#[test]
fn the_last_decisions_and_the_limits_are_in_the_status() {
    let host = with_journal();
    let text = host.run(&["status"]).clean();
    assert!(
        text.contains("2023-11-14T22:13:23Z  gc  done     freed 1 GiB"),
        "{text}"
    );
    let config = host.beside(
        "c.toml",
        "[gc]\nmode = \"act\"\ntrigger = \"1GiB\"\ntarget = \"2GiB\"\n",
    );
    let facts = host.run(&["--config", &config, "status", "--json"]).json();
    assert_eq!(facts["gc"]["mode"], "act");
    assert_eq!(facts["gc"]["trigger"]["bytes"], 1 << 30);
    assert_eq!(facts["journal"].as_array().unwrap().len(), 4);
}

#[test]
fn a_store_that_cannot_be_read_hides_no_latched_remedy() {
    let host = Fixture::new();
    latch(&host);
    std::fs::write(host.database_path(), "no database").unwrap();
    let ran = host.run(&["status"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.starts_with("LATCHED: rollback"), "{}", ran.out);
    assert!(ran.out.contains("store  could not be read"), "{}", ran.out);
    assert!(ran.err.contains("db.sqlite"), "{}", ran.err);
}

#[test]
fn a_release_leaves_its_marker_only_for_what_is_latched() {
    let host = Fixture::new();
    let marker = host.root().join("var/lib/snowguard/release");
    let text = host.run(&["release", "--yes"]).clean();
    assert!(text.starts_with("Nothing is latched"), "{text}");
    assert!(!marker.exists());

    latch(&host);
    let before: BTreeSet<String> = host.tree().into_iter().collect();
    let text = host.run(&["release", "--dry-run"]).clean();
    assert!(text.contains("It would be released"), "{text}");
    assert_eq!(host.tree().into_iter().collect::<BTreeSet<_>>(), before);

    let text = host.run(&["release", "--yes"]).clean();
    assert!(text.contains("no known good generation is left"), "{text}");
    assert!(marker.exists());

    let message = host.run_as_nobody(&["release"]).message(1);
    assert_eq!(message, "only root may release a remedy: run it as root");
}

#[test]
fn an_updater_that_is_held_is_told_of_first_and_can_be_released() {
    let host = Fixture::new();
    hold_updater(&host);
    let text = host.run(&["status"]).clean();
    assert!(
        text.starts_with("HELD: the updater may not deploy /nix/store/bad again"),
        "{text}"
    );
    let status = host.run(&["status", "--json"]).json();
    assert_eq!(status["rollback"]["updater_held"], "/nix/store/bad");
    let text = host.run(&["release", "--yes"]).clean();
    assert!(text.contains("lets the updater go"), "{text}");
    let system = host.path("system", 100);
    host.generation("system", 1, &system);
    host.link("nix/var/nix/profiles/system", "system-1-link");
    host.link("run/current-system", &system);
    let mut watching = Watching::start(&host);
    let free = |status: &Value| status["rollback"]["updater_held"].is_null();
    let status = status_that(&host, free);
    assert!(free(&status), "{status}");
    assert_eq!(watching.terminate(), Some(0));
}

/// A watchdog that looks every second; it is stopped with the test.
pub(crate) struct Watching(Child);

impl Watching {
    fn start(host: &Fixture) -> Self {
        Self::with(host, "[watchdog]\ninterval = \"1s\"\n")
    }

    /// One with this configuration.
    pub(crate) fn with(host: &Fixture, text: &str) -> Self {
        let config = host.beside("watch.toml", text);
        let mut command = host.command(&["watch", "--config", &config]);
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.0.wait().unwrap().code()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.0.id().try_into().unwrap());
        kill(pid, signal).unwrap();
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first status that is as expected; the last one seen if none is within a minute.
fn status_that(host: &Fixture, expected: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let status = host.run(&["status", "--json"]).json();
        if expected(&status) || begun.elapsed() > Duration::from_secs(60) {
            return status;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_running_watchdog_takes_a_release_up_and_ends_when_asked_to() {
    let host = Fixture::new();
    let system = host.path("system", 100);
    host.generation("system", 1, &system);
    host.link("nix/var/nix/profiles/system", "system-1-link");
    host.link("run/current-system", &system);
    latch(&host);
    let mut watching = Watching::start(&host);
    let status = status_that(&host, |status| status["watchdog"]["runs"] == true);
    assert_eq!(status["watchdog"]["runs"], true);
    assert_eq!(status["latched"][0]["remedy"], "rollback");

    let second = host.run(&["watch"]);
    assert_eq!(second.code, 1);
    assert!(second.err.contains("another watchdog"), "{}", second.err);

    host.run(&["release", "--yes"]).clean();
    let status = status_that(&host, |status| status["latched"] == json!([]));
    assert_eq!(status["latched"], json!([]));
    let status = status_that(&host, |status| status["rollback"]["state"] == "adopting");
    assert_eq!(status["rollback"]["state"], "adopting");
    assert_eq!(watching.terminate(), Some(0));
}
