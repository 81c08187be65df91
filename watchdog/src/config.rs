//! The watchdog's part of `/etc/snowguard/snowguard.toml`.
//!
//! Three stages: the file as written (every key may be absent), the file with its defaults, and
//! [`Settings`], valid as a whole. The exporter's section is checked by the exporter's own reader.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use snowguard_exporter::{
    collect::Options,
    config::{DEFAULT_PATH, Source},
    units::{Amount, ByteSize, TimeSpan},
};

use crate::{
    act::hold_updater::Updaters, gc, journal::Rotation, limits::Limits, probe::ProbeConfig,
    record::Mode, rollback, rollback::fleet_lock::FleetLock,
};

mod rollback_section;

use rollback_section::RollbackFragment;

/// Everything that the watchdog is told, valid as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The text that they were read from, by which an incident keeps its own.
    pub text: String,
    /// From one look at the host to the next.
    pub interval: Duration,
    /// Where journal and state are, as the host names it.
    pub state_dir: PathBuf,
    /// The directory with `nix-store`; where the usual ones are looked through if `None`.
    pub nix_bin: Option<PathBuf>,
    /// How much of the journal is kept.
    pub journal: Rotation,
    /// Rule files or directories of them; the shipped ones if empty.
    pub rules: Vec<PathBuf>,
    /// What the collectors are told: the exporter's section, which both programs heed.
    pub collect: Options,
    /// What the shipped rules compare samples with.
    pub limits: Limits,
    /// For how long samples may be kept: no rule may look further back.
    pub window: Duration,
    /// How much memory the samples may take.
    pub window_memory: ByteSize,
    /// Limits of the gc remedy.
    pub gc: gc::policy::Policy,
    /// Limits of the rollback remedy.
    pub rollback: rollback::policy::Policy,
    /// What a rollback keeps from deploying the condemned closure again.
    pub updaters: Updaters,
    /// The lock of the fleet, without this host's id if the configuration gives none.
    pub fleet_lock: Option<FleetLock>,
    /// Profiles that are no system and are rolled back as one, by name.
    pub profiles: BTreeMap<String, rollback::profile::Profile>,
    /// How far apart hosts of a fleet begin.
    pub rollback_jitter: Duration,
    /// Probes by name.
    pub probes: BTreeMap<String, ProbeConfig>,
}

/// Why there are no settings: the file, what is wrong in it, what would be right.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The exporter's reader refuses the file.
    #[error(transparent)]
    Exporter(#[from] snowguard_exporter::config::ConfigError),
    /// The file cannot be read.
    #[error("cannot read the configuration: {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Something in it may not be so.
    #[error("cannot use the configuration: {path:?}: {cause}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
}

/// Nix makes its own reserve of 8 MiB anew at each start (`gc-reserved-space`), before anything
/// else; what is left after that is what its database can use.
const MIN_BALLAST: u64 = 16 << 20;

/// A build makes its directory before its builder runs in it.
const MIN_AGE: Duration = Duration::from_secs(3600);

const MIN_DEADLINE: Duration = Duration::from_secs(1);

/// A story is told on up to some dozen lines; a file should hold a few of them.
const MIN_JOURNAL: u64 = 64 << 10;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Fragment {
    // The exporter's, checked by the exporter.
    #[serde(rename = "exporter")]
    _exporter: Option<toml::Table>,
    watchdog: WatchdogFragment,
    rules: RulesFragment,
    limits: Limits,
    gc: GcFragment,
    rollback: RollbackFragment,
    probes: BTreeMap<String, ProbeConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WatchdogFragment {
    interval: Option<TimeSpan>,
    state_dir: Option<PathBuf>,
    nix_bin: Option<PathBuf>,
    journal_size: Option<ByteSize>,
    journal_files: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RulesFragment {
    files: Vec<PathBuf>,
    window: Option<TimeSpan>,
    window_memory: Option<ByteSize>,
}

/// From which age on something may go, or `"never"`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "an age such as \"30d\", or \"never\"")]
enum Age {
    Never(Never),
    Least(TimeSpan),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Never {
    Never,
}

impl Age {
    fn least(self) -> Option<Duration> {
        match self {
            Self::Never(Never::Never) => None,
            Self::Least(span) => Some(span.0),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct GcFragment {
    mode: Option<Mode>,
    trigger: Option<Amount>,
    target: Option<Amount>,
    trigger_files: Option<Amount>,
    target_files: Option<Amount>,
    keep_generations: Option<usize>,
    keep_younger_than: Option<TimeSpan>,
    keep_recent: Option<TimeSpan>,
    build_dirs_older_than: Option<Age>,
    logs_older_than: Option<Age>,
    stale_roots_older_than: Option<Age>,
    profiles: BTreeMap<String, ProfileFragment>,
    minimum_gain: Option<Amount>,
    cooldown: Option<TimeSpan>,
    max_runs_per_day: Option<usize>,
    breaker: Option<u32>,
    jitter: Option<TimeSpan>,
    deadline: Option<TimeSpan>,
    wait: Option<TimeSpan>,
    ballast: Option<ByteSize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ProfileFragment {
    keep_generations: Option<usize>,
    keep_younger_than: Option<TimeSpan>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            text: String::new(),
            interval: Duration::from_secs(15),
            state_dir: PathBuf::from("/var/lib/snowguard"),
            nix_bin: None,
            journal: Rotation::default(),
            rules: Vec::new(),
            collect: snowguard_exporter::config::Settings::default().collecting(),
            limits: Limits::default(),
            window: Duration::from_secs(24 * 60 * 60),
            window_memory: ByteSize(64 << 20),
            gc: gc::policy::Policy::default(),
            rollback: rollback::policy::Policy::default(),
            updaters: Updaters::default(),
            fleet_lock: None,
            profiles: BTreeMap::new(),
            rollback_jitter: Duration::ZERO,
            probes: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Reads the settings; the exporter's section is checked, too.
    ///
    /// # Errors
    /// [`ConfigError`] if the file cannot be read (a missing default file is not an error) or has
    /// anything in it that it may not have.
    pub fn load(source: &Source) -> Result<Self, ConfigError> {
        snowguard_exporter::config::Settings::load(source)?;
        let (path, must_exist) = match source {
            Source::Default => (Path::new(DEFAULT_PATH), false),
            Source::Named(path) => (path.as_path(), true),
        };
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|cause| ConfigError::Invalid {
                path: path.to_owned(),
                cause,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => {
                Ok(Self::default())
            }
            Err(source) => Err(ConfigError::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Reads the settings from the text of a file.
    ///
    /// # Errors
    /// What is wrong, with the line where there is one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fragment: Fragment =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        let default = Self::default();
        let span =
            |given: Option<TimeSpan>, default: Duration| given.map_or(default, |span| span.0);
        let settings = Self {
            text: text.to_owned(),
            interval: span(fragment.watchdog.interval, default.interval),
            state_dir: fragment.watchdog.state_dir.unwrap_or(default.state_dir),
            nix_bin: fragment.watchdog.nix_bin,
            journal: Rotation {
                max_bytes: (fragment.watchdog.journal_size)
                    .map_or(default.journal.max_bytes, |size| size.0),
                older_files: (fragment.watchdog.journal_files)
                    .unwrap_or(default.journal.older_files),
            },
            rules: fragment.rules.files,
            collect: snowguard_exporter::config::Settings::parse(text)?.collecting(),
            limits: fragment.limits,
            window: span(fragment.rules.window, default.window),
            window_memory: fragment
                .rules
                .window_memory
                .unwrap_or(default.window_memory),
            gc: fragment.gc.policy(default.gc)?,
            updaters: fragment.rollback.updaters()?,
            fleet_lock: fragment.rollback.fleet_lock()?,
            profiles: fragment.rollback.profiles()?,
            rollback_jitter: fragment.rollback.jitter(),
            rollback: fragment.rollback.policy(
                default.rollback,
                span(fragment.watchdog.interval, default.interval),
            ),
            probes: fragment.probes,
        };
        settings.check()?;
        Ok(settings)
    }

    /// These settings while an incident goes on that began with others: whatever a rollback is
    /// decided and verified by stays as it was, samples, rules and limits among it.
    #[must_use]
    pub fn during(self, incident: Self) -> Self {
        Self {
            state_dir: self.state_dir,
            nix_bin: self.nix_bin,
            journal: self.journal,
            gc: self.gc,
            ..incident
        }
    }

    fn check(&self) -> Result<(), String> {
        self.limits.check()?;
        if self.interval < Duration::from_secs(1) || self.interval > Duration::from_secs(120) {
            return Err(
                "`watchdog.interval` must be from 1s to 2m: alerts need a sample at least \
                        every five minutes"
                    .to_owned(),
            );
        }
        for (key, path) in [
            ("state_dir", Some(&self.state_dir)),
            ("nix_bin", self.nix_bin.as_ref()),
        ] {
            if path.is_some_and(|path| path.is_relative()) {
                return Err(format!("`watchdog.{key}` must be an absolute path"));
            }
        }
        if self.journal.max_bytes < MIN_JOURNAL {
            return Err("`watchdog.journal_size` must be at least 64KiB".to_owned());
        }
        if !(1..=100).contains(&self.journal.older_files) {
            return Err("`watchdog.journal_files` must be from 1 to 100".to_owned());
        }
        let over = |key: &str| {
            format!(
                "`gc.trigger{key}` must be below `gc.target{key}`: what trips must be less than \
                 what is freed up to, or it trips again at once"
            )
        };
        match (self.gc.trigger, self.gc.target) {
            (Amount::Percent(trigger), Amount::Percent(target)) if trigger >= target => {
                return Err(over(""));
            }
            (Amount::Bytes(trigger), Amount::Bytes(target)) if trigger.0 >= target.0 => {
                return Err(over(""));
            }
            // Bytes against a share are compared when the size of the disk is known.
            _ => {}
        }
        if self.gc.trigger_files_percent >= self.gc.target_files_percent {
            return Err(over("_files"));
        }
        if self.gc.keep_generations == 0 {
            return Err("`gc.keep_generations` must be at least 1".to_owned());
        }
        if self.gc.max_runs_per_day == 0 {
            return Err(
                "`gc.max_runs_per_day` must be at least 1; `gc.mode` switches the remedy off"
                    .to_owned(),
            );
        }
        if let Some(rule) = (self.gc.profiles.iter()).find(|rule| rule.keep_generations == Some(0))
        {
            let pattern = &rule.pattern;
            return Err(format!(
                "`gc.profiles.{pattern:?}.keep_generations` must be at least 1"
            ));
        }
        for (key, age) in [
            ("build_dirs", self.gc.build_dirs_older_than),
            ("logs", self.gc.logs_older_than),
            ("stale_roots", self.gc.stale_roots_older_than),
        ] {
            if age.is_some_and(|age| age < MIN_AGE) {
                return Err(format!(
                    "`gc.{key}_older_than` must be at least 1h, or \"never\": what is younger may \
                     be about to be used"
                ));
            }
        }
        if self.gc.deadline < MIN_DEADLINE {
            return Err(
                "`gc.deadline` must be at least 1s: within less no collection begins; `gc.mode` \
                 switches the remedy off"
                    .to_owned(),
            );
        }
        if self.gc.wait > self.gc.deadline {
            return Err(
                "`gc.wait` must not be longer than `gc.deadline`, within which it lies".to_owned(),
            );
        }
        let ballast = self.gc.ballast.0;
        if ballast > 0 && ballast < MIN_BALLAST {
            return Err(
                "`gc.ballast` must be at least 16MiB, or \"0B\" for none: Nix takes 8MiB \
                        for itself when it starts"
                    .to_owned(),
            );
        }
        rollback_section::check(self)
    }
}

impl GcFragment {
    fn policy(self, default: gc::policy::Policy) -> Result<gc::policy::Policy, String> {
        let percent = |key: &str, given: Option<Amount>, default: u8| match given {
            None => Ok(default),
            Some(Amount::Percent(percent)) => Ok(percent),
            Some(Amount::Bytes(_)) => Err(format!("`gc.{key}` must be a share such as \"5%\"")),
        };
        let span =
            |given: Option<TimeSpan>, default: Duration| given.map_or(default, |span| span.0);
        let age = |given: Option<Age>, default: Option<Duration>| given.map_or(default, Age::least);
        let deadline = span(self.deadline, default.deadline);
        Ok(gc::policy::Policy {
            mode: self.mode.unwrap_or_default(),
            trigger: self.trigger.unwrap_or(default.trigger),
            target: self.target.unwrap_or(default.target),
            trigger_files_percent: percent(
                "trigger_files",
                self.trigger_files,
                default.trigger_files_percent,
            )?,
            target_files_percent: percent(
                "target_files",
                self.target_files,
                default.target_files_percent,
            )?,
            keep_generations: self.keep_generations.unwrap_or(default.keep_generations),
            keep_younger_than: span(self.keep_younger_than, default.keep_younger_than),
            keep_recent: span(self.keep_recent, default.keep_recent),
            profiles: (self.profiles.into_iter())
                .map(|(pattern, rule)| gc::policy::ProfileRule {
                    pattern,
                    keep_generations: rule.keep_generations,
                    keep_younger_than: rule.keep_younger_than.map(|span| span.0),
                })
                .collect(),
            build_dirs_older_than: age(self.build_dirs_older_than, default.build_dirs_older_than),
            logs_older_than: age(self.logs_older_than, default.logs_older_than),
            stale_roots_older_than: age(
                self.stale_roots_older_than,
                default.stale_roots_older_than,
            ),
            minimum_gain_percent: percent(
                "minimum_gain",
                self.minimum_gain,
                default.minimum_gain_percent,
            )?,
            cooldown: span(self.cooldown, default.cooldown),
            max_runs_per_day: self.max_runs_per_day.unwrap_or(default.max_runs_per_day),
            breaker: self.breaker.unwrap_or(default.breaker),
            jitter: span(self.jitter, default.jitter),
            deadline,
            wait: span(self.wait, default.wait.min(deadline)),
            ballast: self.ballast.unwrap_or(default.ballast),
        })
    }
}

#[cfg(test)]
mod tests;
