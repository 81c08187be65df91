use std::path::PathBuf;

use super::{ConfigError, Settings, Source, parse_listen};
use crate::{collect::Name, weigh::Share};

fn refusal(text: &str) -> String {
    match Settings::parse(text) {
        Ok(settings) => panic!("{text:?} was accepted: {settings:?}"),
        Err(cause) => cause,
    }
}

#[test]
fn an_empty_file_is_all_defaults() {
    assert_eq!(Settings::parse("").unwrap(), Settings::default());
    assert_eq!(Settings::default().listen[0].to_string(), "[::]:7669");
}

#[test]
fn the_sections_of_the_watchdog_are_accepted_unread() {
    let text = "[watchdog]\ntick = '15s'\n[gc]\nfree = 'what'\n[rollback]\n[probes.web]\ntcp = 'x'\n[rules]\n";
    assert_eq!(Settings::parse(text).unwrap(), Settings::default());
}

#[test]
fn one_address_or_a_list_of_addresses_may_be_given() {
    let listen = |text: &str| Settings::parse(text).unwrap().listen;
    assert_eq!(
        listen("[exporter]\nlisten = '127.0.0.1:1'")[0].to_string(),
        "127.0.0.1:1"
    );
    assert_eq!(
        listen("[exporter]\nlisten = ['[::1]:1', ':2']")[1].to_string(),
        "[::]:2"
    );
}

#[test]
fn a_collector_that_is_switched_off_does_not_run() {
    let settings = Settings::parse("[exporter]\ncollectors = { store = false }").unwrap();
    assert!(!settings.collectors.has(Name::Store));
    assert!(settings.collectors.has(Name::Filesystem));
}

#[test]
fn the_share_of_the_time_for_weighing_is_whole_per_cent_and_none_is_off() {
    let share = |text: &str| {
        let text = format!("[exporter]\nweigh_share = '{text}'");
        Settings::parse(&text).map(|settings| settings.weigh_share)
    };
    assert_eq!(share("25%").unwrap(), Share::percent(25));
    assert_eq!(share("0%").unwrap(), None);
    assert_eq!(Settings::default().weigh_share, Some(Share::DEFAULT));
    let refused = share("1MiB").unwrap_err();
    assert!(
        refused.contains("line 2") && refused.contains("per cent"),
        "{refused}"
    );
    assert!(share("101%").is_err());
}

#[test]
fn the_share_of_the_time_for_collections_is_never_none() {
    let share = |text: &str| {
        let text = format!("[exporter]\ncollect_share = '{text}'");
        Settings::parse(&text).map(|settings| settings.collect_share)
    };
    assert_eq!(share("25%").unwrap(), Share::percent(25).unwrap());
    assert_eq!(
        Settings::default().collect_share,
        Share::percent(3).unwrap()
    );
    assert!(share("0%").unwrap_err().contains("at least 1%"));
}

#[test]
fn the_lock_file_of_the_flake_is_named_as_the_host_names_it() {
    let settings = Settings::parse("[exporter]\nflake_lock = '/srv/flake.lock'").unwrap();
    assert_eq!(
        settings.options.flake_lock,
        std::path::Path::new("/srv/flake.lock")
    );
    let said = refusal("[exporter]\nflake_lock = 'flake.lock'\n");
    assert!(
        said.contains("`exporter.flake_lock` must be an absolute path"),
        "{said}"
    );
}

#[test]
fn an_unknown_key_is_an_error_with_its_line_and_the_known_ones() {
    let top = refusal("\n[exporters]\n");
    assert!(top.contains("line 2"), "{top}");
    assert!(top.contains("unknown field `exporters`"), "{top}");
    let inner = refusal("[exporter]\nlisten = ':1'\nlisten-address = ':2'\n");
    assert!(inner.contains("line 3"), "{inner}");
    assert!(
        inner.contains("expected one of `listen`, `collectors`, `collect_share`"),
        "{inner}"
    );
    let collector = refusal("[exporter.collectors]\nstores = true\n");
    assert!(collector.contains("unknown field `stores`"), "{collector}");
}

#[test]
fn a_wrong_value_is_an_error_with_its_line_and_the_right_form() {
    let cases = [
        ("[exporter]\nlisten = 'localhost:7669'", "127.0.0.1:7669"),
        ("[exporter]\nlisten = 7669", "an address to listen on"),
        ("[exporter]\nlisten = []", "at least one address"),
        ("[exporter]\nlisten = ['1.2.3.4']", "ADDRESS:PORT"),
        (
            "[exporter]\ncollectors = { store = 'no' }",
            "expected a boolean",
        ),
        ("[exporter]\n= 1", "key"),
    ];
    for (text, cause) in cases {
        let message = refusal(text);
        assert!(message.contains("line 2"), "{text}: {message}");
        assert!(message.contains(cause), "{text}: {message}");
    }
    assert!(parse_listen(":70000").is_err());
}

#[test]
fn a_named_file_that_is_missing_is_an_error_with_its_path() {
    let missing = Source::Named(PathBuf::from("/nonexistent/snowguard.toml"));
    let error = Settings::load(&missing).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }));
    assert!(error.to_string().contains("/nonexistent/snowguard.toml"));
}
