//! What the server answers, and how signals end and change it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use nix::sys::signal::Signal;
use snowguard_exporter::{
    sample::{Family, Kind},
    state_file::StateFile,
};

use crate::{
    host::{Host, write},
    run::{Running, command, count_lines, stderr, with_host},
};

fn config(host: &Host, text: &str) -> PathBuf {
    let path = host.dir.path().join("snowguard.toml");
    write(&path, text);
    path
}

#[test]
fn the_page_is_classic_by_default_and_openmetrics_when_asked() {
    let host = Host::new();
    let running = Running::start(&host, None);
    let classic = running.request("GET", "/metrics", "");
    assert!(classic.starts_with("HTTP/1.1 200 OK\r\n"), "{classic}");
    assert!(classic.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(classic.contains("\nnix_store_paths 4\n"));
    let asked = "Accept: application/openmetrics-text;version=1.0.0;q=0.6,*/*;q=0.2\r\n";
    let openmetrics = running.request("GET", "/metrics", asked);
    assert!(openmetrics.contains(
        "\r\ncontent-type: application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores\r\n"
    ));
    assert!(openmetrics.contains("\nnix_store_paths 4.0\n"));
    assert!(openmetrics.ends_with("\n# EOF\n"));
}

#[test]
fn only_three_paths_and_two_methods_are_served() {
    let host = Host::new();
    let running = Running::start(&host, None);
    let status = |method, path| {
        let answer = running.request(method, path, "");
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status("GET", "/"), "200");
    assert_eq!(status("GET", "/-/healthy"), "200");
    assert_eq!(status("GET", "/metrics?x=1"), "200");
    assert_eq!(status("GET", "/metrics/"), "404");
    assert_eq!(status("GET", "/favicon.ico"), "404");
    assert_eq!(status("POST", "/metrics"), "405");
    assert_eq!(status("DELETE", "/"), "405");
    assert!(
        running
            .request("PUT", "/", "")
            .contains("\r\nallow: GET, HEAD\r\n")
    );
    assert!(
        running
            .request("GET", "/", "")
            .contains("href=\"/metrics\"")
    );
}

#[test]
fn head_is_get_without_the_body() {
    let host = Host::new();
    let running = Running::start(&host, None);
    let answer = running.request("HEAD", "/metrics", "");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains("content-length: "), "{head}");
    assert_eq!(body, "");
}

#[test]
fn a_request_that_is_none_or_too_large_ends_only_its_own_connection() {
    let host = Host::new();
    let running = Running::start(&host, None);
    assert!(
        running
            .send(b"\x16\x03\x01 not http\r\n\r\n")
            .starts_with("HTTP/1.1 400")
    );
    let header = format!("X: {}\r\n", "x".repeat(1 << 20));
    let mut stream = TcpStream::connect(running.address).unwrap();
    // The server may close while we still write.
    let _ = stream.write_all(format!("GET / HTTP/1.1\r\nHost: x\r\n{header}\r\n").as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert!(
        running
            .request("GET", "/-/healthy", "")
            .starts_with("HTTP/1.1 200")
    );
}

#[test]
fn sigterm_and_sigint_end_the_program_with_success() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let host = Host::new();
        let running = Running::start(&host, None);
        running.signal(signal);
        running.wait_for("ending");
        assert_eq!(running.wait(), Some(0));
    }
}

#[test]
fn sighup_takes_a_good_configuration_and_keeps_the_old_one_over_a_bad_one() {
    let host = Host::new();
    let path = config(&host, "");
    let running = Running::start(&host, Some(&path));
    let has_memory = || {
        running
            .request("GET", "/metrics", "")
            .contains("\nnix_host_memory_total")
    };
    assert!(has_memory());
    write(&path, "[exporter]\ncollectors = { memory = false }\n");
    running.signal(Signal::SIGHUP);
    running.wait_for("configuration read again");
    assert!(!has_memory());
    write(
        &path,
        "[exporter]\ncollectors = { memory = true }\nlisten = 7\n",
    );
    running.signal(Signal::SIGHUP);
    let line = running.wait_for("the configuration in force is kept");
    assert!(line.contains("line 3"), "{line}");
    assert!(!has_memory());
}

#[test]
fn a_failure_is_logged_when_it_begins_and_when_it_ends_and_not_at_each_scrape() {
    let host = Host::new();
    let running = Running::start(&host, None);
    let hidden = host.dir.path().join("hidden.sqlite");
    std::fs::rename(host.database(), &hidden).unwrap();
    for _ in 0..3 {
        let page = running.request("GET", "/metrics", "");
        assert!(page.contains("\nsnowguard_scrape_collector_success{collector=\"store\"} 0\n"));
        assert!(page.contains("\nnix_profile_generations{profile=\"system\"} 2\n"));
        assert!(!page.contains("\nnix_store_paths"));
    }
    std::fs::rename(&hidden, host.database()).unwrap();
    assert!(
        running
            .request("GET", "/metrics", "")
            .contains("\nnix_store_paths 4\n")
    );
    running.signal(Signal::SIGTERM);
    let log = running.rest_of_log();
    assert_eq!(
        count_lines(&log, "msg=\"collector fails\" collector=store"),
        1,
        "{log}"
    );
    assert_eq!(
        count_lines(&log, "msg=\"collector works again\" collector=store"),
        1,
        "{log}"
    );
    assert!(log.contains("db.sqlite"), "{log}");
}

#[test]
fn a_port_that_is_taken_is_named_with_the_cure_and_has_its_own_exit_code() {
    let host = Host::new();
    let running = Running::start(&host, None);
    let address = running.address.to_string();
    let output = with_host(command(), &host)
        .args(["--web.listen-address", &address])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let log = stderr(&output);
    assert_eq!(count_lines(&log, "level=ERROR"), 1, "{log}");
    assert!(
        log.contains(&format!("cannot listen on {address}")),
        "{log}"
    );
    assert!(log.contains("stop the process that holds it"), "{log}");
}

#[test]
fn a_path_that_comes_between_two_scrapes_is_counted_by_its_origin() {
    let host = Host::new();
    let running = Running::start(&host, None);
    let sources = || {
        let page = running.request("GET", "/metrics", "");
        let name = "nix_store_paths_added_total{origin=\"source\"} ";
        page.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::to_owned)
    };
    assert_eq!(
        sources().as_deref(),
        Some("0"),
        "what was there before does not count"
    );
    rusqlite::Connection::open(host.database())
        .unwrap()
        .execute(
            "INSERT INTO ValidPaths (path, hash, registrationTime, narSize, ca)
             VALUES ('/nix/store/' || ?1, 'sha256:0', 1, 7, 'text:sha256:0')",
            [crate::host::name('6', "text")],
        )
        .unwrap();
    assert_eq!(sources().as_deref(), Some("1"));
    assert_eq!(sources().as_deref(), Some("1"), "and only once");
}

#[test]
fn a_reload_that_changes_a_setting_of_collectors_ends_no_count() {
    let host = Host::new();
    let path = config(&host, "[exporter]\ncollect_share = \"100%\"\n");
    let running = Running::start(&host, Some(&path));
    let counts = || {
        let page = running.request("GET", "/metrics", "");
        [
            "nix_store_paths_added_total{origin=\"source\"} ",
            "nix_store_paths_deleted_total ",
        ]
        .map(|name| {
            let line = page.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name}:\n{page}"))
                .to_owned()
        })
    };
    assert_eq!(counts(), ["0", "0"]);
    let database = rusqlite::Connection::open(host.database()).unwrap();
    let insert = |hash| {
        let insert = "INSERT INTO ValidPaths (path, hash, registrationTime, narSize, ca)
                      VALUES ('/nix/store/' || ?1, 'sha256:0', 1, 7, 'text:sha256:0')";
        let name = crate::host::name(hash, "text");
        database.execute(insert, [name]).unwrap();
    };
    insert('6');
    assert_eq!(counts(), ["1", "0"]);
    let delete = "DELETE FROM ValidPaths WHERE path LIKE '%-text'";
    database.execute(delete, []).unwrap();
    assert_eq!(counts(), ["1", "1"]);
    write(
        &path,
        "[exporter]\ncollect_share = \"100%\"\nweigh_share = \"20%\"\nflake_lock = \"/x\"\ncollectors = { memory = false }\n",
    );
    running.signal(Signal::SIGHUP);
    running.wait_for("configuration read again");
    // What comes between the last scrape and the next is counted, too.
    insert('7');
    let page = running.request("GET", "/metrics", "");
    assert!(!page.contains("\nnix_host_memory_total"), "{page}");
    assert_eq!(counts(), ["2", "1"]);
}

/// The watchdog's families beside the exporter's own, with everything that needs escaping.
fn watchdog_state(host: &Host) {
    let path = host.root().join("run/snowguard/state.json");
    write(&path, "");
    StateFile {
        written_at: SystemTime::now(),
        tick: Duration::from_secs(600),
        families: vec![
            Family::of(
                Kind::Counter,
                "snowguard_acts_total",
                "a \"quote\" \\ and\na line",
            )
            .with(vec![("reason", "\"\\\n".to_owned())], 1.5),
        ],
    }
    .write_atomically(&path)
    .unwrap();
}

#[test]
fn promtool_finds_nothing_in_the_page() {
    let host = Host::new();
    watchdog_state(&host);
    let running = Running::start(&host, None);
    let answer = running.request("GET", "/metrics", "");
    let (_, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(page.contains("\nsnowguard_acts_total{reason="), "{page}");
    for promtool in promtools() {
        let mut child = Command::new(&promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(page.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{promtool:?}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{promtool:?}");
    }
}

/// The distribution's and the lab's, those that are installed, at least one.
fn promtools() -> Vec<PathBuf> {
    let lab = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/lab/bin/promtool3");
    let mut found = vec![PathBuf::from("/usr/bin/promtool"), lab];
    found.retain(|path| path.exists());
    assert!(
        !found.is_empty(),
        "promtool is not installed; see tests/lab"
    );
    found
}
