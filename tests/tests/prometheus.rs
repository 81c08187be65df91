//! A real Prometheus that scrapes the exporter and loads the shipped rule files says of the host
//! what the watchdog says of it: the same alerts, at the same steps.
//!
//! Promise 6: "Each decision, act or refusal, is in the journal and in a metric, with its reason."

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use snowguard_exporter::state_file::{self, StateFile};
use snowguard_host::Layout;
use snowguard_rules::SHIPPED;
use snowguard_tests::{
    daemon::Daemon, host::Host, lab, programs, prometheus::Prometheus, wait::until,
};
use snowguard_watchdog::record::Step;

/// Long enough to hold all of the test, short enough that nothing of it is left out.
const WINDOW_SECONDS: u64 = 300;
const ALERT: &str = "NixStoreSpaceLow";

/// The host with both programs, and enough room for now.
fn host() -> (Host, Daemon, Daemon, SocketAddr) {
    let host = Host::new(&lab::nix("bookworm"), 64);
    let path = host.store.add("alive", 1024);
    host.store.link(&path, "nix/var/nix/gcroots/alive");
    host.store.add("dead", 8192);
    host.configure(
        "",
        "[gc]\nmode = 'observe'\ntrigger = '10%'\ntarget = '20%'\n",
    );
    let (exporter, address) = exporter(&host);
    let watchdog = host.watch();
    host.published("snowguard_watchdog_ticks_total", &[], 2.0);
    (host, exporter, watchdog, address)
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

fn prometheus3() -> std::path::PathBuf {
    lab::dir().join("bin/prometheus3")
}

/// The one target, once it was scraped, with no error.
fn target_is_up(prometheus: &Prometheus) {
    prometheus.wait_for("up == 1");
    prometheus.wait_for("snowguard_watchdog_up == 1");
    let targets = prometheus.get("targets", &[]).unwrap();
    let active = targets["activeTargets"].as_array().unwrap();
    assert_eq!(active.len(), 1);
    assert_eq!(active[0]["health"], "up", "{}", active[0]);
    assert_eq!(active[0]["lastError"], "");
    for fault in [
        "min_over_time(up[5m]) < 1",
        "snowguard_scrape_collector_success < 1",
    ] {
        let found = prometheus.query(fault).unwrap();
        assert!(found.is_empty(), "{found:?}");
    }
}

/// One look a second at the states of an alert, as (seconds since 1970, state).
fn looks(prometheus: &Prometheus, series: &str, state: &str) -> Vec<(f64, String)> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let (start, end) = ((now - WINDOW_SECONDS).to_string(), now.to_string());
    let range = [
        ("query", series),
        ("start", start.as_str()),
        ("end", end.as_str()),
        ("step", "1"),
    ];
    let data = prometheus.get("query_range", &range).unwrap();
    let mut looks = Vec::new();
    for series in data["result"].as_array().unwrap() {
        let state = series["metric"][state].as_str().unwrap();
        for value in series["values"].as_array().unwrap() {
            looks.push((value[0].as_f64().unwrap(), state.to_owned()));
        }
    }
    looks.sort_by(|one, other| one.0.total_cmp(&other.0));
    looks
}

/// When each state began, in order, and when the last of them ended.
fn phases(looks: &[(f64, String)]) -> Vec<(String, f64)> {
    let mut phases: Vec<(String, f64)> = Vec::new();
    for (at, state) in looks {
        if phases.last().is_none_or(|(last, _)| last != state) {
            phases.push((state.clone(), *at));
        }
    }
    phases.extend(
        looks
            .last()
            .map(|(at, _)| ("resolved".to_owned(), at + 1.0)),
    );
    phases
}

/// When the watchdog logged it, seconds since 1970.
fn logged_at(watchdog: &Daemon, what: &str) -> f64 {
    let line = watchdog.logged_with(&[what, ALERT]);
    let time = line.strip_prefix("time=").unwrap();
    let time = time.split_whitespace().next().unwrap();
    let parsed = Command::new("date").args(["+%s.%N", "-d", time]).output();
    lab::stdout("date", parsed).trim().parse().unwrap()
}

fn names(phases: &[(String, f64)]) -> Vec<&str> {
    phases.iter().map(|(state, _)| state.as_str()).collect()
}

#[test]
fn prometheus_fires_the_same_alert_as_the_watchdog_at_the_same_steps() {
    let (host, _exporter, watchdog, address) = host();
    let prometheus = Prometheus::start(
        &prometheus3(),
        &snowguard_tests::prometheus::scraping(address, ""),
    );
    target_is_up(&prometheus);
    host.fill_but(1024);
    let fires = format!("ALERTS{{alertname={ALERT:?}, alertstate=\"firing\"}}");
    prometheus.wait_for(&fires);
    let plan = host.recorded(Step::Plan, "plan");
    assert!(plan.message.contains("delete 1 dead entries"), "{plan:?}");
    let says = format!("snowguard_alert_state{{alertname={ALERT:?}, state=\"firing\"}} == 1");
    prometheus.wait_for(&says);
    // In observe mode it fires until somebody frees the disk by hand.
    host.free();
    let _ = watchdog.logged_with(&["alert resolved", ALERT]);
    until("Prometheus resolves it", || {
        prometheus.query(&fires).unwrap().is_empty().then_some(())
    });
    host.ticks(3);

    let series = format!("ALERTS{{alertname={ALERT:?}}}");
    let theirs = phases(&looks(&prometheus, &series, "alertstate"));
    let series = format!("snowguard_alert_state{{alertname={ALERT:?}}} == 1");
    let scraped = phases(&looks(&prometheus, &series, "state"));
    let ours = [
        ("pending", logged_at(&watchdog, "alert pending")),
        ("firing", logged_at(&watchdog, "alert firing")),
        ("resolved", logged_at(&watchdog, "alert resolved")),
    ];
    println!("Prometheus {theirs:?}\nscraped {scraped:?}\nwatchdog {ours:?}");
    assert_eq!(names(&theirs), ["pending", "firing", "resolved"]);
    assert_eq!(names(&scraped), ["pending", "firing", "resolved"]);
    for (index, (state, at)) in ours.iter().enumerate() {
        let apart = (theirs[index].1 - at).abs();
        assert!(apart <= 3.0, "{state}: {apart} s apart");
        let apart = (scraped[index].1 - at).abs();
        assert!(apart <= 3.0, "{state}: {apart} s apart as scraped");
    }
    for (who, held) in [
        ("Prometheus", theirs[1].1 - theirs[0].1),
        ("the watchdog", ours[1].1 - ours[0].1),
    ] {
        // By the times of the log lines, which are not quite those of the ticks.
        assert!((29.5..=32.0).contains(&held), "{who} waited {held} s");
    }
    // Nobody fired anything else.
    for (series, label) in [
        ("ALERTS{alertstate=\"firing\"}", "alertname"),
        ("snowguard_alert_state{state=\"firing\"} == 1", "alertname"),
    ] {
        for (_, name) in looks(&prometheus, series, label) {
            assert_eq!(name, ALERT, "{series}");
        }
    }
    target_is_up(&prometheus);
}

#[test]
fn every_kind_of_prometheus_scrapes_without_error_and_loads_the_rules() {
    let (_host, _exporter, _watchdog, address) = host();
    let classic = "scrape_protocols: [PrometheusText0.0.4]";
    let old = Path::new("/usr/bin/prometheus");
    for (program, scrape, format) in [
        (prometheus3().as_path(), "", "OpenMetrics"),
        (prometheus3().as_path(), classic, "text"),
        (old, "", "OpenMetrics of 2.42"),
    ] {
        println!("== {} by {format}", program.display());
        let config = snowguard_tests::prometheus::scraping(address, scrape);
        let prometheus = Prometheus::start(program, &config);
        target_is_up(&prometheus);
        // Counters have the names that the rules and dashboards know, whichever the format.
        prometheus.wait_for("snowguard_remedy_suppressed_total{reason=\"cannot_help\"} == 0");
        prometheus.wait_for("snowguard_build_info == 1");
        let rules = prometheus.get("rules", &[]).unwrap();
        let groups = rules["groups"].as_array().unwrap();
        let of = |name: &str| groups.iter().find(|group| group["name"] == name).is_some();
        for (file, _) in SHIPPED {
            let group = file.strip_suffix(".rules.yaml").unwrap();
            assert!(of(group), "{group}: {rules}");
        }
        until("all rules are evaluated without error", || {
            let rules = prometheus.get("rules", &[]).unwrap();
            let mut all = rules["groups"].as_array().unwrap().iter();
            let healthy = all.all(|group| {
                let mut rules = group["rules"].as_array().unwrap().iter();
                rules.all(|rule| rule["health"] == "ok")
            });
            healthy.then_some(())
        });
    }
}

/// What one host costs the Prometheus of a fleet of 10,000, in series: the page of a NixOS host as
/// the exporter's own tests have it, what a real watchdog adds, what the shipped rules record of a
/// host, and what Prometheus itself says of each scrape.
#[test]
fn a_host_costs_fewer_than_250_series() {
    let (host, _exporter, _watchdog, _address) = host();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../exporter/tests/program/golden");
    let page = fs::read_to_string(path.join("page.prom")).unwrap();
    let published: BTreeSet<&str> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap().0)
        .collect();
    let state = Layout::new(host.root()).inside(state_file::PATH);
    let families = StateFile::read(&state).unwrap().families;
    let of_watchdog = families
        .iter()
        .filter(|family| family.name.starts_with("snowguard_"))
        .map(|family| family.samples.len())
        .sum::<usize>();
    let recorded = SHIPPED.map(|(_, rules)| rules.matches("- record: ").count());
    // up, scrape_duration_seconds, scrape_samples_scraped, scrape_samples_post_metric_relabeling
    // and scrape_series_added.
    let of_scrape = 5;
    let parts = (published.len(), of_watchdog, recorded.iter().sum::<usize>());
    println!("(page, watchdog, recorded) = {parts:?}");
    assert!(parts.0 > 60 && parts.1 > 50 && parts.2 > 3, "{parts:?}");
    assert!(parts.0 + parts.1 + parts.2 + of_scrape < 250, "{parts:?}");
}
