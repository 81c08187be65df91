//! `snowguard check-config`: what the watchdog would run with, or why it would not.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use snowguard_exporter::{
    config::{DEFAULT_PATH, Source},
    units::{ByteSize, TimeSpan},
};
use snowguard_rules::RuleSet;
use snowguard_watchdog::{config::Settings, watch};

use super::{Host, arguments::CheckConfig, failure::Failure, page::Page, table::Table, text};

#[derive(Serialize)]
struct Report {
    /// The file; `None` if there is none and everything has its default.
    file: Option<String>,
    /// Every setting in force, as the file would write it.
    settings: BTreeMap<String, String>,
}

pub(super) fn run(host: &Host, asked: &CheckConfig, page: &mut Page<'_>) -> Result<(), Failure> {
    let settings = host.settings()?;
    let rules = watch::load_rules(&host.layout, &settings)?;
    if !asked.elsewhere {
        watch::fits(&host.layout, &settings).map_err(Failure::Limits)?;
    }
    let summary = summary(&settings, &rules);
    if asked.facts.json {
        return page.json(&Report {
            file: match &host.source {
                Source::Named(path) => Some(text::lossless(path)),
                Source::Default if Path::new(DEFAULT_PATH).exists() => {
                    Some(DEFAULT_PATH.to_owned())
                }
                Source::Default => None,
            },
            settings: summary.pairs(),
        });
    }
    page.heading(&match &host.source {
        Source::Named(path) => format!("OK: {}", text::path(path)),
        Source::Default if Path::new(DEFAULT_PATH).exists() => format!("OK: {DEFAULT_PATH}"),
        Source::Default => format!("OK: there is no {DEFAULT_PATH}, everything has its default"),
    })?;
    page.table(&summary, 2)
}

fn summary(settings: &Settings, rules: &RuleSet) -> Table {
    let mut table = Table::plain();
    table.pair("watchdog.interval", TimeSpan(settings.interval).to_string());
    table.pair("watchdog.state_dir", text::lossless(&settings.state_dir));
    table.pair(
        "watchdog.nix_bin",
        match &settings.nix_bin {
            Some(dir) => text::lossless(dir),
            None => "where Nix usually is".to_owned(),
        },
    );
    let files: Vec<_> = settings.rules.iter().map(text::lossless).collect();
    let files = if files.is_empty() {
        "those that come with snowguard".to_owned()
    } else {
        files.join(", ")
    };
    let healing = rules.alerting().filter(|(_, remedy)| remedy.is_some());
    table.pair(
        "rules.files",
        format!(
            "{files}: {}, {} of them ask for a remedy",
            text::number(rules.alerting().count(), "alert", "alerts"),
            healing.count()
        ),
    );
    table.pair(
        "rules.window",
        format!(
            "{}, of which the rules need {}",
            TimeSpan(settings.window),
            TimeSpan(rules.needed_window())
        ),
    );
    table.pair("rules.window_memory", settings.window_memory.to_string());
    let gc = &settings.gc;
    table.pair("gc.mode", text::mode(gc.mode));
    table.pair(
        "gc.trigger",
        format!("{}, inodes {}%", gc.trigger, gc.trigger_files_percent),
    );
    table.pair(
        "gc.target",
        format!("{}, inodes {}%", gc.target, gc.target_files_percent),
    );
    table.pair("gc.keep_generations", gc.keep_generations.to_string());
    table.pair("gc.minimum_gain", format!("{}%", gc.minimum_gain_percent));
    table.pair("gc.cooldown", TimeSpan(gc.cooldown).to_string());
    table.pair("gc.deadline", TimeSpan(gc.deadline).to_string());
    table.pair(
        "gc.ballast",
        match gc.ballast {
            ByteSize(0) => "none".to_owned(),
            size => size.to_string(),
        },
    );
    let rollback = &settings.rollback;
    table.pair("rollback.mode", text::mode(rollback.mode));
    table.pair("rollback.soak", TimeSpan(rollback.soak).to_string());
    table.pair(
        "rollback.verify_soak",
        TimeSpan(rollback.verify_soak).to_string(),
    );
    table.pair(
        "rollback.verify_window",
        TimeSpan(rollback.verify_window).to_string(),
    );
    table.pair(
        "rollback.allow_reboot",
        if rollback.allow_reboot {
            "true"
        } else {
            "false"
        },
    );
    table.pair(
        "rollback.fleet_lock",
        match &settings.fleet_lock {
            None => "none".to_owned(),
            Some(lock) => format!("{} (group {})", lock.url, lock.group),
        },
    );
    for (name, profile) in &settings.profiles {
        table.pair(
            &format!("rollback.profiles.{name}"),
            text::lossless(&profile.profile),
        );
    }
    let probes: Vec<&str> = settings.probes.keys().map(String::as_str).collect();
    table.pair(
        "probes",
        if probes.is_empty() {
            "none".to_owned()
        } else {
            probes.join(", ")
        },
    );
    table
}
