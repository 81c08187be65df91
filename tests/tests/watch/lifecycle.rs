//! How the daemon begins, goes on and ends.

use std::fs;

use nix::sys::signal::Signal;
use snowguard_tests::{daemon::Daemon, host::Host, lab};

use crate::SPACE_LOW;

fn host() -> Host {
    let host = Host::new(&lab::nix("bookworm"), 32);
    host.configure(SPACE_LOW, "");
    host
}

/// What it says and how it ends when it does not even begin.
fn refused(host: &Host) -> (i32, String) {
    let log = host.beside("refused.log");
    let _ = fs::remove_file(&log);
    let mut refused = Daemon::start(&mut host.watch_command(), &log);
    (refused.end().code().unwrap(), refused.log())
}

#[test]
fn a_second_watchdog_of_one_host_refuses() {
    let host = host();
    let mut first = host.watch();
    host.ticks(1);
    let (code, said) = refused(&host);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("another watchdog watches this host"),
        "{said}"
    );
    assert!(said.contains("watch.lock"), "{said}");
    host.ticks(2);
    assert!(first.runs());
}

#[test]
fn sigterm_ends_it_with_success_and_it_can_begin_again() {
    let host = host();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut watchdog = host.watch();
        let _ = watchdog.logged("msg=watching");
        host.ticks(1);
        watchdog.signal(signal);
        let status = watchdog.end();
        assert_eq!(status.code(), Some(0), "{}", watchdog.log());
        let _ = watchdog.logged("msg=ending");
        fs::remove_file(host.beside("watch.log")).unwrap();
    }
}

#[test]
fn a_bad_configuration_does_not_replace_the_one_in_force() {
    let host = host();
    let mut watchdog = host.watch();
    let mode = [("remedy", "gc"), ("mode", "observe")];
    host.published("snowguard_remedy_mode", &mode, 1.0);
    let bad_rules = SPACE_LOW.replace("remedy: gc", "remedy: reboot");
    for (rules, text, why) in [
        (
            SPACE_LOW,
            "[gc]\nmode = 'act'\ntreshold = '5%'\n",
            "treshold",
        ),
        (
            SPACE_LOW,
            "[gc]\nmode = 'act'\ntrigger = '20%'\ntarget = '10%'\n",
            "gc.trigger",
        ),
        (&bad_rules, "[gc]\nmode = 'off'\n", "reboot"),
    ] {
        host.configure(rules, text);
        watchdog.signal(Signal::SIGHUP);
        let line = watchdog.logged("reload refused");
        assert!(line.contains("what was in force stays in force"), "{line}");
        assert!(line.contains(why), "{line}");
        host.ticks(2);
        host.published("snowguard_remedy_mode", &mode, 1.0);
        fs::write(host.beside("watch.log"), "").unwrap();
    }
    assert!(watchdog.runs());
    host.configure(SPACE_LOW, "[gc]\nmode = 'off'\n");
    watchdog.signal(Signal::SIGHUP);
    let mode = [("remedy", "gc"), ("mode", "off")];
    host.published("snowguard_remedy_mode", &mode, 1.0);
}

#[test]
fn rules_that_cannot_be_used_keep_it_from_beginning() {
    let host = host();
    let rule = |expr: &str, remedy: &str| {
        format!(
            "groups:\n- name: g\n  rules:\n  - alert: Broken\n    expr: {expr}\n    \
             labels: {{remedy: {remedy}}}\n"
        )
    };
    for (rules, says) in [
        (rule("up == 0", "reboot"), &["\"Broken\"", "reboot"][..]),
        (rule("frobnicate(up)", "gc"), &["\"Broken\"", "frobnicate"]),
        ("groups: [".to_owned(), &["not a Prometheus rule file"]),
    ] {
        host.configure(&rules, "");
        let (code, said) = refused(&host);
        assert_eq!(code, 2, "{said}");
        for text in says.iter().chain(&["test.rules.yaml"]) {
            // The log writes quotes with a backslash before them.
            assert!(said.replace('\\', "").contains(text), "{text}: {said}");
        }
        assert!(!host.root().join("run/snowguard/state.json").exists());
    }
}
