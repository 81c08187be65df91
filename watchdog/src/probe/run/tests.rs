//! Probes against servers and programs of the tests' own.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::{Means, ProbeConfig, ProbeResult, Prober};
use crate::probe::config::{Check, RouteFamily};

mod judgement;
mod tls;

fn config(check: Check, timeout_ms: u64) -> ProbeConfig {
    ProbeConfig {
        timeout: Duration::from_millis(timeout_ms),
        failures: 1,
        of: 1,
        ..ProbeConfig::new(check)
    }
}

fn means() -> Means {
    Means {
        systemctl: "/nonexistent/systemctl".into(),
        net: "/proc/net".into(),
        authorities: vec!["/nonexistent/ca.pem".into()],
    }
}

fn run(check: Check, timeout_ms: u64) -> ProbeResult {
    let configs = BTreeMap::from([("p".to_owned(), config(check, timeout_ms))]);
    let results = Prober::new(configs, means()).run(Instant::now(), None);
    results.into_iter().next().expect("one result")
}

fn shell(line: &str) -> Check {
    Check::Command {
        program: "/bin/sh".into(),
        args: vec!["-c".to_owned(), line.to_owned()],
    }
}

/// A server that gives one answer, and its port.
fn server(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let port = listener.local_addr().expect("address").port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(answer);
    });
    port
}

fn http(port: u16, status: &[u16], body_contains: Option<&str>) -> Check {
    Check::Http {
        url: format!("http://127.0.0.1:{port}/x?y").parse().expect("URL"),
        status: status.to_vec(),
        body_contains: body_contains.map(ToOwned::to_owned),
        ca_file: None,
    }
}

#[test]
fn a_port_that_listens_passes_and_one_that_does_not_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let address = listener.local_addr().expect("address").to_string();
    assert!(
        run(
            Check::Tcp {
                address: address.clone()
            },
            2_000
        )
        .passed
    );
    // A port that is taken and does not listen, so that no other test can listen there meanwhile.
    let client = TcpStream::connect(&address).expect("connected");
    let address = client.local_addr().expect("address").to_string();
    let result = run(Check::Tcp { address }, 2_000);
    assert!(
        !result.passed && result.detail.contains("refused"),
        "{result:?}"
    );
}

#[test]
fn a_web_server_is_judged_by_status_and_body() {
    const WELL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall well";
    const SICK: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    assert!(run(http(server(WELL), &[], None), 5_000).passed);
    assert!(run(http(server(WELL), &[200], Some("well")), 5_000).passed);
    assert!(!run(http(server(WELL), &[204], None), 5_000).passed);
    assert!(!run(http(server(WELL), &[], Some("ill")), 5_000).passed);
    assert!(run(http(server(SICK), &[503], None), 5_000).passed);
    let result = run(http(server(SICK), &[], None), 5_000);
    assert!(
        !result.passed && result.detail.contains("503"),
        "{result:?}"
    );
    assert!(!run(http(server(b"nonsense\r\n\r\n"), &[], None), 5_000).passed);
}

#[test]
fn a_body_without_end_is_cut_off_rather_than_eaten() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let port = listener.local_addr().expect("address").port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'a'; 65_536]).is_ok() {}
    });
    let result = run(http(port, &[], Some("never")), 20_000);
    assert!(
        !result.passed && result.detail.contains("limit"),
        "{result:?}"
    );
}

#[test]
fn a_program_is_judged_by_its_exit_code_and_its_complaint_is_kept() {
    assert!(run(shell("exit 0"), 5_000).passed);
    let result = run(shell("echo no database >&2; exit 3"), 5_000);
    assert!(!result.passed);
    assert!(
        result.detail.contains("no database") && result.detail.contains('3'),
        "{result:?}"
    );
    let long = run(
        shell("i=0; while [ $i -lt 9000 ]; do echo line$i >&2; i=$((i+1)); done; exit 1"),
        20_000,
    );
    assert!(long.detail.len() < 3_000 && long.detail.contains("line8999"));
}

#[test]
fn a_program_gets_an_empty_environment_and_no_shell() {
    let check = Check::Command {
        program: "/usr/bin/env".into(),
        args: vec![
            "/bin/sh".to_owned(),
            "-c".to_owned(),
            "test -z \"$HOME$USER\"".to_owned(),
        ],
    };
    assert!(run(check, 5_000).passed);
    let literal = Check::Command {
        program: "/usr/bin/test".into(),
        args: vec!["$HOME".to_owned(), "=".to_owned(), "$HOME".to_owned()],
    };
    assert!(run(literal, 5_000).passed);
}

#[test]
fn a_program_that_hangs_is_killed_with_its_children_and_holds_nobody_up() {
    let root = tempfile::tempdir().expect("temporary directory");
    let pid = root.path().join("pid");
    let line = format!("sleep 600 & echo $! > {}; wait", pid.display());
    let begun = Instant::now();
    let result = run(shell(&line), 300);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(
        !result.passed && result.detail.contains("longer than"),
        "{result:?}"
    );
    let child = fs::read_to_string(pid).expect("pid");
    let status = format!("/proc/{}/stat", child.trim());
    // Its parent is gone: it is a zombie until somebody reaps it, or nothing at all.
    for _ in 0..200 {
        match fs::read_to_string(&status) {
            Ok(stat) if !stat.contains(") Z ") => thread::sleep(Duration::from_millis(20)),
            _ => return,
        }
    }
    panic!("the child of the probe lives on");
}

#[test]
fn all_probes_run_at_once() {
    let sleeper = || config(shell("exec sleep 600"), 400);
    let configs = (0..8).map(|i| (format!("p{i}"), sleeper())).collect();
    let begun = Instant::now();
    let results = Prober::new(configs, means()).run(Instant::now(), None);
    assert!(begun.elapsed() < Duration::from_millis(2_400));
    assert!(results.len() == 8 && results.iter().all(|result| !result.passed));
}
