//! Incidents side by side: one host, its exporter, a real Prometheus and the watchdog, all of the
//! shipped alerts. Whatever fires in one fires in the other, and ends there, at the same steps.
//!
//! The rules are the shipped ones with shorter times: `for` is two seconds, ranges are ten.
//!
//! Promise 8: "What cannot be read is reported, not assumed."

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::PathBuf,
    process::Command,
};

use snowguard_rules::SHIPPED;
use snowguard_tests::{
    daemon::Daemon, host::Host, lab, programs, prometheus::Prometheus, wait::until_or,
};

/// How far apart the two may be: each looks once a second, at its own moments, and what the
/// watchdog says of its own state it sees a look later.
const APART_SECONDS: f64 = 4.0;

const LIMITS: &str = "[gc]\nmode = 'observe'\ntrigger = '10%'\ntarget = '20%'\n\
    [limits]\ngc_lock = '1s'\ngenerations = 2\nboot = '1GiB'\nflake_input = '1d'\n";

/// The shipped rules with shorter times.
fn shortened() -> String {
    let mut groups = String::from("groups:\n");
    for (_, text) in SHIPPED {
        let (_, rules) = text.split_once("groups:\n").unwrap();
        for line in rules.lines() {
            let line = match line.trim_start().strip_prefix("for: ") {
                Some(time) => line.replace(time, "2s"),
                None => line.replace("[1h]", "[10s]").replace("[5m]", "[10s]"),
            };
            groups.push_str(&line);
            groups.push('\n');
        }
    }
    groups
}

/// Something that goes wrong with a host, and the alerts that say so.
struct Incident {
    begin: fn(&Host),
    end: fn(&Host),
    alerts: &'static [&'static str],
}

fn generation(host: &Host, number: u64) -> PathBuf {
    let profiles = host.root().join("nix/var/nix/profiles");
    profiles.join(format!("system-{number}-link"))
}

fn flake_lock(host: &Host, text: &str) {
    fs::create_dir_all(host.root().join("etc/nixos")).unwrap();
    fs::write(host.root().join("etc/nixos/flake.lock"), text).unwrap();
}

const INCIDENTS: [Incident; 7] = [
    Incident {
        begin: |host| host.fill_but(1024),
        end: Host::free,
        alerts: &["NixStoreSpaceLow"],
    },
    Incident {
        begin: |host| {
            let target = fs::read_link(generation(host, 2)).unwrap();
            symlink(target, generation(host, 3)).unwrap();
        },
        end: |host| fs::remove_file(generation(host, 3)).unwrap(),
        alerts: &["NixProfileGenerationsTooMany"],
    },
    Incident {
        begin: |host| {
            let system = fs::read_link(generation(host, 1)).unwrap();
            symlink(system, host.beside("kept")).unwrap();
            fs::remove_file(generation(host, 1)).unwrap();
            let gone = "/nix/store/00000000000000000000000000000000-gone";
            symlink(gone, generation(host, 1)).unwrap();
        },
        end: |host| {
            fs::remove_file(generation(host, 1)).unwrap();
            let kept = fs::read_link(host.beside("kept")).unwrap();
            symlink(kept, generation(host, 1)).unwrap();
        },
        alerts: &["NixOSGenerationDangling", "NixOSRollbackTargetMissing"],
    },
    Incident {
        begin: |host| fs::create_dir(host.root().join("boot")).unwrap(),
        end: |host| fs::remove_dir(host.root().join("boot")).unwrap(),
        alerts: &["NixOSBootSpaceLow"],
    },
    Incident {
        begin: |host| {
            flake_lock(
                host,
                r#"{"version": 7, "root": "r", "nodes": {"r": {"inputs": {"nixpkgs": "n"}},
                    "n": {"locked": {"lastModified": 1}}}}"#,
            );
        },
        end: |host| fs::remove_file(host.root().join("etc/nixos/flake.lock")).unwrap(),
        alerts: &["NixOSFlakeInputsOld"],
    },
    Incident {
        begin: |host| {
            let link = host.root().join("run/current-system");
            fs::remove_file(&link).unwrap();
            symlink(fs::read_link(generation(host, 1)).unwrap(), link).unwrap();
        },
        end: |host| {
            let link = host.root().join("run/current-system");
            fs::remove_file(&link).unwrap();
            symlink(fs::read_link(generation(host, 2)).unwrap(), link).unwrap();
        },
        alerts: &["NixOSRunningDiffersFromProfile"],
    },
    Incident {
        begin: |host| flake_lock(host, "no lock file"),
        end: |host| fs::remove_file(host.root().join("etc/nixos/flake.lock")).unwrap(),
        alerts: &["SnowguardCollectorFailing", "SnowguardWatchdogBlind"],
    },
];

/// A NixOS host of two systems, of which the second runs.
fn host() -> Host {
    let host = Host::new(&lab::nix("bookworm"), 64);
    for number in [1, 2] {
        host.store.system_generation(number, 64);
    }
    let profile = host.root().join("nix/var/nix/profiles/system");
    let _ = fs::remove_file(&profile);
    symlink("system-2-link", profile).unwrap();
    let system = fs::read_link(generation(&host, 2)).unwrap();
    for link in ["current-system", "booted-system"] {
        let link = host.root().join("run").join(link);
        let _ = fs::remove_file(&link);
        symlink(&system, link).unwrap();
    }
    host.configure(&shortened(), LIMITS);
    host
}

fn exporter(host: &Host) -> (Daemon, SocketAddr) {
    let mut command = Command::new(programs::exporter());
    command.arg("--root").arg(host.root());
    command.arg("--config").arg(host.config());
    command.args(["--web.listen-address", "127.0.0.1:0"]);
    let exporter = Daemon::start(&mut command, &host.beside("exporter.log"));
    let line = exporter.logged("msg=listening");
    let (_, address) = line.split_once("address=").unwrap();
    let address = address.split_whitespace().next().unwrap();
    (exporter, address.trim_matches('"').parse().unwrap())
}

fn prometheus(host: &Host, target: SocketAddr) -> Prometheus {
    let rules = host.root().join("etc/snowguard/test.rules.yaml");
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{rules:?}]\n\
         scrape_configs:\n\
         - {{job_name: snowguard, static_configs: [{{targets: ['{target}']}}]}}\n"
    );
    let prometheus = Prometheus::start(&lab::dir().join("bin/prometheus3"), &config);
    prometheus.wait_for("snowguard_watchdog_up == 1");
    prometheus
}

/// The names of the alerts in a state, by Prometheus or, as it scraped them, by the watchdog.
fn alerts(prometheus: &Prometheus, query: &str) -> BTreeSet<String> {
    let series = prometheus.query(query).unwrap();
    let name = |one: &serde_json::Value| one["metric"]["alertname"].as_str().unwrap().to_owned();
    series.iter().map(name).collect()
}

const THEIRS: &str = "ALERTS{alertstate=\"firing\"}";
const OURS: &str = "snowguard_alert_state{state=\"firing\"} > 0";

/// Waits until exactly these fire, by both.
fn fire(prometheus: &Prometheus, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
    let now = || (alerts(prometheus, THEIRS), alerts(prometheus, OURS));
    until_or(
        || format!("not {expected:?}: (Prometheus, watchdog) = {:?}", now()),
        || (now() == (expected.clone(), expected.clone())).then_some(()),
    );
}

/// For each alert its states in the order in which they began, and when.
fn phases(
    prometheus: &Prometheus,
    series: &str,
    label: &str,
) -> BTreeMap<String, Vec<(String, f64)>> {
    let end = prometheus.get("query", &[("query", "time()")]).unwrap();
    // A scalar: when it was asked for, and itself.
    let end = end["result"][0].as_f64().unwrap().floor();
    let (start, end) = ((end - 300.0).to_string(), end.to_string());
    let range = [
        ("query", series),
        ("start", start.as_str()),
        ("end", end.as_str()),
        ("step", "1"),
    ];
    let data = prometheus.get("query_range", &range).unwrap();
    let mut seen: BTreeMap<String, Vec<(f64, String)>> = BTreeMap::new();
    for one in data["result"].as_array().unwrap() {
        let text = |label: &str| one["metric"][label].as_str().unwrap().to_owned();
        for value in one["values"].as_array().unwrap() {
            let looks = seen.entry(text("alertname")).or_default();
            looks.push((value[0].as_f64().unwrap(), text(label)));
        }
    }
    let in_order = |(name, mut looks): (String, Vec<(f64, String)>)| {
        looks.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut phases: Vec<(String, f64)> = Vec::new();
        let mut last = f64::MIN;
        for (at, state) in looks {
            let gap = at - last > 1.5;
            if gap && !phases.is_empty() {
                phases.push(("resolved".to_owned(), last + 1.0));
            }
            if gap || phases.last().is_none_or(|(before, _)| *before != state) {
                phases.push((state, at));
            }
            last = at;
        }
        phases.push(("resolved".to_owned(), last + 1.0));
        (name, phases)
    };
    seen.into_iter().map(in_order).collect()
}

#[test]
fn what_fires_in_prometheus_fires_in_the_watchdog_and_ends_there_at_the_same_steps() {
    let host = host();
    let (_exporter, address) = exporter(&host);
    let _watchdog = host.watch();
    host.published("snowguard_watchdog_ticks_total", &[], 2.0);
    let prometheus = prometheus(&host, address);
    // The longest range of the shortened rules.
    host.ticks(11);
    fire(&prometheus, &[]);
    for incident in &INCIDENTS {
        (incident.begin)(&host);
        fire(&prometheus, incident.alerts);
        (incident.end)(&host);
        fire(&prometheus, &[]);
    }
    host.ticks(3);

    let theirs = phases(&prometheus, "ALERTS", "alertstate");
    let ours = phases(&prometheus, "snowguard_alert_state > 0", "state");
    let fired = INCIDENTS.iter().flat_map(|incident| incident.alerts);
    for name in fired {
        let (Some(theirs), Some(ours)) = (theirs.get(*name), ours.get(*name)) else {
            panic!("{name}: {theirs:?}\n{ours:?}");
        };
        println!("{name}: {theirs:?}");
        let states = |phases: &[(String, f64)]| -> Vec<String> {
            phases.iter().map(|(state, _)| state.clone()).collect()
        };
        assert_eq!(states(theirs), ["pending", "firing", "resolved"], "{name}");
        assert_eq!(states(ours), states(theirs), "{name}");
        for ((state, one), (_, other)) in theirs.iter().zip(ours) {
            let apart = (one - other).abs();
            assert!(apart <= APART_SECONDS, "{name} {state}: {apart} s apart");
        }
    }
}
