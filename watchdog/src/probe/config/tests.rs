//! Probes as they are written, and as they are refused.

use std::collections::BTreeMap;

use super::*;

fn read(text: &str) -> Result<ProbeConfig, String> {
    #[derive(Debug, Deserialize)]
    struct File {
        probes: BTreeMap<String, ProbeConfig>,
    }
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    Ok(file.probes.into_values().next().expect("one probe"))
}

#[test]
fn every_kind_is_read_with_its_defaults() {
    let tcp = read("[probes.ssh]\nkind = 'tcp'\naddress = '127.0.0.1:22'").expect("tcp");
    assert_eq!((tcp.timeout, tcp.failures), (Duration::from_secs(5), 2));
    let http = read(
        "[probes.web]\nkind='http'\nurl='http://[::1]:80/x'\nstatus=[200,204]\ntimeout='500ms'\nfailures=1",
    );
    let http = http.expect("http");
    assert_eq!(http.timeout, Duration::from_millis(500));
    assert!(matches!(http.check, Check::Http { status, .. } if status == [200, 204]));
    let command = read("[probes.job]\nkind = 'command'\ncommand = ['/bin/true', 'a b']");
    let expected = Check::Command {
        program: "/bin/true".into(),
        args: vec!["a b".into()],
    };
    assert_eq!(command.expect("command").check, expected);
}

#[test]
fn names_and_addresses_that_mean_what_they_say_are_taken() {
    for text in [
        "kind = 'tcp'\naddress = '[::1]:80'",
        "kind = 'tcp'\naddress = '127.0.0.1:80'",
        "kind = 'dns'\nhost = '1.pool.ntp.org'",
        "kind = 'dns'\nhost = 'db0.'",
        "kind = 'dns'\nhost = 'a'\ngrace = '1d'",
    ] {
        let read = read(&format!("[probes.p]\n{text}"));
        assert!(read.is_ok(), "{text}: {read:?}");
    }
}

#[test]
fn a_mistake_is_refused_with_the_key_that_is_wrong() {
    for (text, said) in [
        ("kind = 'tcp'", "needs `address"),
        ("kind = 'tcp'\naddress = 'host'", "write HOST:PORT"),
        (
            "kind = 'tcp'\naddress = 'h:1'\nurl = 'http://h'",
            "no key `url`",
        ),
        ("kind = 'http'\nurl = 'ftp://h/'", "write http://"),
        ("kind = 'http'\nurl = 'https://u:p@h/'", "no credentials"),
        (
            "kind = 'http'\nurl = 'http://h/'\nca_file = '/ca.pem'",
            "for an https://",
        ),
        (
            "kind = 'http'\nurl = 'https://h/'\nca_file = 'ca.pem'",
            "absolute path",
        ),
        ("kind = 'http'\nurl = 'http://h/'\nstatus = 99", "names 99"),
        ("kind = 'command'\ncommand = []", "is empty"),
        ("kind = 'command'\ncommand = ['true']", "absolute path"),
        (
            "kind = 'command'\ncommand = ['/x']\naddress = 'h:1'",
            "no key `address`",
        ),
        (
            "kind = 'tcp'\naddress = 'h:1'\ntimeout = '5'",
            "with its unit",
        ),
        (
            "kind = 'tcp'\naddress = 'h:1'\ntimeout = '31s'",
            "at most 30s",
        ),
        (
            "kind = 'tcp'\naddress = 'h:1'\ntimeout = '-1s'",
            "more than 0",
        ),
        ("kind = 'tcp'\naddress = 'h:1'\nfailures = 0", "from 1 to"),
        (
            "kind = 'tcp'\naddress = 'h:1'\ncolour = 1",
            "unknown field `colour`",
        ),
        ("kind = 'icmp'", "unknown variant `icmp`"),
        (
            "kind = 'dns'\nhost = 'a'\nfailures = 3\nof = 2",
            "`of` is 2",
        ),
        (
            "kind = 'dns'\nhost = 'a'\ninterval = '2d'",
            "at most one day",
        ),
        ("kind = 'dns'\nhost = 'a'\nseverity = 'low'", "`low`"),
        ("kind = 'dns'\nhost = 'a:53'", "a name alone"),
        ("kind = 'dns'\nhost = '127.0.0.1'", "write a name"),
        ("kind = 'dns'\nhost = '0x7f.1'", "write a name"),
        (
            "kind = 'dns'\nhost = 'a'\ngrace = '100w'",
            "at most one day",
        ),
        ("kind = 'tcp'\naddress = '::1:80'", "[::1]:PORT"),
        ("kind = 'tcp'\naddress = '[h]:80'", "[::1]:PORT"),
        (
            "kind = 'http'\nurl = 'http://h/'\nbody_contains = ''",
            "every body contains",
        ),
        ("kind = 'dns'", "needs `host"),
        ("kind = 'dns'\nhost = 'a'\nunits = []", "no key `units`"),
        ("kind = 'systemd'", "needs `units"),
        ("kind = 'systemd'\nunits = ['nginx']", "whole name"),
        ("kind = 'systemd'\nunits = ['*.service']", "whole name"),
        ("kind = 'systemd'\nunits = ['--all.x']", "whole name"),
        (
            "kind = 'systemd'\nmax_failed = 0\nmax_restarts = 1",
            "there are none",
        ),
        ("kind = 'writable'\ndirectory = 'x'", "absolute"),
        ("kind = 'default_route'\nfamily = 'ipx'", "`ipx`"),
    ] {
        let error = read(&format!("[probes.p]\n{text}")).expect_err(text);
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn what_is_looked_at_beside_servers_is_read_with_its_defaults() {
    for (text, check) in [
        (
            "kind = 'systemd'\nunits = ['a.service', 'b@1.socket']",
            Check::Systemd {
                units: vec!["a.service".to_owned(), "b@1.socket".to_owned()],
                max_restarts: 2,
                max_failed: None,
            },
        ),
        (
            "kind = 'systemd'\nmax_failed = 0",
            Check::Systemd {
                units: Vec::new(),
                max_restarts: 2,
                max_failed: Some(0),
            },
        ),
        (
            "kind = 'writable'\ndirectory = '/var/lib/x'",
            Check::Writable {
                directory: "/var/lib/x".into(),
            },
        ),
        (
            "kind = 'dns'\nhost = 'example.org'",
            Check::Dns {
                host: "example.org".to_owned(),
            },
        ),
        (
            "kind = 'default_route'\nfamily = 'ipv6'",
            Check::DefaultRoute {
                family: RouteFamily::Ipv6,
            },
        ),
    ] {
        let read = read(&format!("[probes.p]\n{text}"));
        assert_eq!(read, Ok(ProbeConfig::new(check)), "{text}");
    }
}

#[test]
fn how_often_it_runs_and_what_its_failures_mean_is_read() {
    let keys = "failures = 2\nof = 3\ninterval = '1m'\ngrace = '90s'\nseverity = 'wanted'";
    let read = read(&format!("[probes.p]\nkind = 'dns'\nhost = 'a'\n{keys}")).expect("valid");
    assert_eq!((read.failures, read.of), (2, 3));
    assert_eq!(read.interval, Duration::from_secs(60));
    assert_eq!(read.grace, Duration::from_secs(90));
    assert_eq!(read.severity, Severity::Wanted);
}
