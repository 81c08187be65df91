//! `[rollback]` of the configuration.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use snowguard_exporter::units::TimeSpan;

use super::Settings;
use crate::{
    act::hold_updater::Updaters,
    http,
    probe::{ProbeConfig, Severity, config::MAX_TIMEOUT},
    record::Mode,
    rollback::{
        fleet_lock::FleetLock,
        policy::{Fleet, Policy},
        profile::Profile,
        turn::WhenSilent,
    },
    watch::authorities,
};

const FLEET_TIMEOUT: Duration = Duration::from_secs(5);
const FLEET_DEADLINE: Duration = Duration::from_secs(3600);
const MAX_JITTER: Duration = Duration::from_secs(3600);
const MIN_CONFIRMATION: Duration = Duration::from_secs(60);
const MAX_CONFIRMATION: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RollbackFragment {
    mode: Option<Mode>,
    soak: Option<TimeSpan>,
    verify_soak: Option<TimeSpan>,
    verify_window: Option<TimeSpan>,
    require_confirmation: Option<TimeSpan>,
    allow_reboot: Option<bool>,
    jitter: Option<TimeSpan>,
    fleet_lock: Option<FleetLockFragment>,
    profiles: BTreeMap<String, ProfileFragment>,
    updaters: Option<Vec<String>>,
    hold_command: Vec<String>,
    release_command: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFragment {
    profile: PathBuf,
    activate: Vec<String>,
    mode: Option<Mode>,
    #[serde(default)]
    updaters: Vec<String>,
    #[serde(default)]
    hold_command: Vec<String>,
    #[serde(default)]
    release_command: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FleetLockFragment {
    url: String,
    group: Option<String>,
    id: Option<String>,
    #[serde(default)]
    when_silent: WhenSilent,
    timeout: Option<TimeSpan>,
    deadline: Option<TimeSpan>,
    ca_file: Option<PathBuf>,
}

impl RollbackFragment {
    pub(super) fn jitter(&self) -> Duration {
        self.jitter.map_or(Duration::ZERO, |span| span.0)
    }

    pub(super) fn fleet_lock(&self) -> Result<Option<FleetLock>, String> {
        let Some(given) = &self.fleet_lock else {
            return Ok(None);
        };
        let url = http::url("rollback.fleet_lock.url", &given.url)?;
        if url.query().is_some() {
            return Err("`rollback.fleet_lock.url` has a query; give the base alone".to_owned());
        }
        let group = given.group.clone().unwrap_or_else(|| "default".to_owned());
        // As the protocol has it: `[a-zA-Z0-9.-]+`.
        let letters = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
        if group.is_empty() || !group.chars().all(letters) {
            return Err(format!(
                "`rollback.fleet_lock.group` is {group:?}; the protocol allows letters, digits, \
                 `.` and `-`"
            ));
        }
        if given.id.as_ref().is_some_and(String::is_empty) {
            return Err("`rollback.fleet_lock.id` is empty".to_owned());
        }
        let timeout = given.timeout.map_or(FLEET_TIMEOUT, |span| span.0);
        if timeout.is_zero() || timeout > MAX_TIMEOUT {
            return Err(
                "`rollback.fleet_lock.timeout` must be more than 0 and at most 30s".to_owned(),
            );
        }
        let authorities = match &given.ca_file {
            Some(file) if file.is_relative() => {
                return Err("`rollback.fleet_lock.ca_file` must be an absolute path".to_owned());
            }
            Some(file) => vec![file.clone()],
            None => authorities(),
        };
        Ok(Some(FleetLock {
            url,
            group,
            id: given.id.clone().unwrap_or_default(),
            timeout,
            authorities,
        }))
    }

    pub(super) fn policy(self, default: Policy, interval: Duration) -> Policy {
        let span =
            |given: Option<TimeSpan>, default: Duration| given.map_or(default, |span| span.0);
        let fleet = self.fleet_lock.as_ref().map(|lock| Fleet {
            when_silent: lock.when_silent,
            deadline: span(lock.deadline, FLEET_DEADLINE),
        });
        Policy {
            fleet,
            mode: self.mode.unwrap_or_default(),
            soak: span(self.soak, default.soak),
            verify_soak: span(self.verify_soak, default.verify_soak.max(interval)),
            // A look that is late by as much as a look is a pause; what is longer was not seen.
            max_gap: default.max_gap.max(interval.saturating_mul(2)),
            verify_window: span(self.verify_window, default.verify_window),
            require_confirmation: self.require_confirmation.map(|span| span.0),
            allow_reboot: self.allow_reboot.unwrap_or(default.allow_reboot),
            ..default
        }
    }

    pub(super) fn updaters(&self) -> Result<Updaters, String> {
        let default = Updaters::default().units;
        let units = self.updaters.as_ref().unwrap_or(&default);
        updaters("rollback", units, &self.hold_command, &self.release_command)
    }

    pub(super) fn profiles(&self) -> Result<BTreeMap<String, Profile>, String> {
        let mut all = BTreeMap::<String, Profile>::new();
        for (name, given) in &self.profiles {
            let profile = given.checked(name)?;
            if all.values().any(|other| other.profile == profile.profile) {
                return Err(format!(
                    "`rollback.profiles.{name}.profile` is that of another name, too"
                ));
            }
            all.insert(name.clone(), profile);
        }
        Ok(all)
    }
}

impl ProfileFragment {
    fn checked(&self, name: &str) -> Result<Profile, String> {
        let key = format!("rollback.profiles.{name}");
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        if name.is_empty() || name == "system" || !name.chars().all(letters) {
            return Err(format!(
                "`{key}`: a name has small letters, digits, `-` and `_`, and is not `system`"
            ));
        }
        let path = &self.profile;
        if path.is_relative() || path.file_name().is_none() {
            return Err(format!("`{key}.profile` must be an absolute path"));
        }
        if path == Path::new("/nix/var/nix/profiles/system") {
            return Err(format!("`{key}.profile` is that of the system"));
        }
        if self.activate.is_empty() {
            return Err(format!(
                "`{key}.activate` is empty; give the program that activates what the profile \
                 points to"
            ));
        }
        program(&format!("{key}.activate"), &self.activate)?;
        Ok(Profile {
            profile: path.clone(),
            activate: self.activate.clone(),
            mode: self.mode,
            updaters: updaters(
                &key,
                &self.updaters,
                &self.hold_command,
                &self.release_command,
            )?,
        })
    }
}

fn updaters(
    section: &str,
    units: &[String],
    hold: &[String],
    release: &[String],
) -> Result<Updaters, String> {
    for (key, command) in [("hold_command", hold), ("release_command", release)] {
        program(&format!("{section}.{key}"), command)?;
    }
    if hold.is_empty() != release.is_empty() {
        return Err(format!(
            "`{section}.hold_command` and `{section}.release_command` belong together: what is \
             held must be let go"
        ));
    }
    Ok(Updaters {
        units: units
            .iter()
            .map(|name| unit(name))
            .collect::<Result<_, _>>()?,
        hold_command: hold.to_vec(),
        release_command: release.to_vec(),
    })
}

/// A command of the configuration, run without a shell: empty, or a program by its absolute path.
fn program(key: &str, command: &[String]) -> Result<(), String> {
    match command.first() {
        Some(program) if !Path::new(program).is_absolute() => Err(format!(
            "`{key}` begins with {program:?}; give the absolute path of the program"
        )),
        _ => Ok(()),
    }
}

/// The whole name of a unit that deploys.
fn unit(name: &str) -> Result<String, String> {
    let letters = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if name.is_empty() || name.starts_with(['-', '.']) || !name.chars().all(letters) {
        return Err(format!(
            "`rollback.updaters` names {name:?}; write a unit such as \"nixos-upgrade\""
        ));
    }
    match name.rsplit_once('.') {
        // A timer that does not elapse keeps nobody from starting the service.
        Some((_, "timer")) => Err(format!(
            "`rollback.updaters` names {name:?}; name the service that it starts"
        )),
        Some((_, "service")) => Ok(name.to_owned()),
        _ => Ok(format!("{name}.service")),
    }
}

pub(super) fn check(settings: &Settings) -> Result<(), String> {
    let rollback = &settings.rollback;
    if rollback.soak < settings.interval {
        return Err(
            "`rollback.soak` must be at least `watchdog.interval`: what was seen healthy once is \
             not known good"
                .to_owned(),
        );
    }
    if let Some((name, _)) = (settings.probes.iter())
        .find(|(_, probe)| !probe.interval.is_zero() && probe.interval >= rollback.soak)
    {
        return Err(format!(
            "`probes.{name}.interval` must be shorter than `rollback.soak`: what was seen healthy \
             once is not known good"
        ));
    }
    if (rollback.require_confirmation).is_some_and(|within| within < MIN_CONFIRMATION) {
        return Err(
            "`rollback.require_confirmation` must be at least 1m: whoever confirms must have \
             looked first"
                .to_owned(),
        );
    }
    if (rollback.require_confirmation).is_some_and(|within| within > MAX_CONFIRMATION) {
        return Err(
            "`rollback.require_confirmation` must be at most one week: what nobody misses for so \
             long needs no confirmation"
                .to_owned(),
        );
    }
    if rollback.verify_soak < settings.interval {
        return Err(
            "`rollback.verify_soak` must be at least `watchdog.interval`: what was seen healthy \
             once is not cured"
                .to_owned(),
        );
    }
    if rollback.verify_soak >= rollback.verify_window {
        return Err(
            "`rollback.verify_soak` must be shorter than `rollback.verify_window`, or no rollback \
             could ever be verified"
                .to_owned(),
        );
    }
    let decides = |probe: &&ProbeConfig| probe.severity == Severity::Required;
    if let Some((name, (key, span))) = (settings.probes.iter())
        .filter(|(_, probe)| decides(probe))
        .flat_map(|(name, probe)| {
            [("interval", probe.interval), ("grace", probe.grace)].map(|span| (name, span))
        })
        .find(|(_, (_, span))| *span + rollback.verify_soak >= rollback.verify_window)
    {
        return Err(format!(
            "`probes.{name}.{key}` is {}; with `rollback.verify_soak` it must be shorter than \
             `rollback.verify_window` ({}), or no rollback could be verified by this probe",
            TimeSpan(span),
            TimeSpan(rollback.verify_window)
        ));
    }
    if let Some((name, profile)) = (settings.probes.iter())
        .filter_map(|(name, probe)| Some((name, probe.profile.as_ref()?)))
        .find(|(_, profile)| !settings.profiles.contains_key(*profile))
    {
        return Err(format!(
            "`probes.{name}.profile` is {profile:?}, and there is no `rollback.profiles.{profile}`"
        ));
    }
    if settings.rollback_jitter > MAX_JITTER {
        return Err(
            "`rollback.jitter` must be at most 1h: the host is broken meanwhile".to_owned(),
        );
    }
    // systemd reads it in a condition, where these mean something else.
    let state_dir = settings.state_dir.to_string_lossy();
    if state_dir.contains(['%', ' ', '"', '\\', '\n', '\'']) {
        return Err("`watchdog.state_dir` must have no space, quote or `%` in it".to_owned());
    }
    Ok(())
}
