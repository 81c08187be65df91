//! The configuration: one TOML file for both programs, `/etc/snowguard/snowguard.toml`.
//!
//! The exporter reads its own section and accepts the watchdog's without a look into them; any
//! other key is an error, so that a misspelt one is never silently without effect.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::{
    collect::{Names, Options},
    units::TimeSpan,
    weigh::{Share, Weighing},
};

mod listen;

pub use listen::{ListenError, parse_listen};

/// Where the file is if no other is named.
pub const DEFAULT_PATH: &str = "/etc/snowguard/snowguard.toml";

/// The port of the exporter: SNOW on a keypad.
pub const DEFAULT_PORT: u16 = 7669;

/// Which file to read, and whether it must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// [`DEFAULT_PATH`]; if there is none, everything has its default.
    Default,
    /// A file that the operator named; it must be there.
    Named(PathBuf),
}

/// The exporter's settings, valid as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Addresses to listen on, at least one.
    pub listen: Vec<SocketAddr>,
    /// The collectors that run.
    pub collectors: Names,
    /// How much of the time collections may take, however often somebody asks.
    pub collect_share: Share,
    /// How much of the time the dead may be weighed; not at all if `None`.
    pub weigh_share: Option<Share>,
    /// What the collectors are told.
    pub options: Options,
    /// From one question to the substituters to the next, in a program that goes on.
    pub substituter_probe_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![listen::any_address(DEFAULT_PORT)],
            collectors: Names::all(),
            collect_share: Share::OF_COLLECTIONS,
            weigh_share: Some(Share::DEFAULT),
            options: Options::default(),
            substituter_probe_interval: Duration::from_secs(300),
        }
    }
}

/// Why there are no settings. The message names the file, the line and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration: {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not TOML, or has a key or a value that it may not have.
    #[error("cannot use the configuration: {path:?}: {cause}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        cause: String,
    },
}

/// The file as it is written: every key may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Fragment {
    exporter: ExporterFragment,
    // The watchdog's, checked by the watchdog.
    #[serde(rename = "watchdog")]
    _watchdog: Option<toml::Table>,
    #[serde(rename = "gc")]
    _gc: Option<toml::Table>,
    #[serde(rename = "rollback")]
    _rollback: Option<toml::Table>,
    #[serde(rename = "probes")]
    _probes: Option<toml::Table>,
    #[serde(rename = "rules")]
    _rules: Option<toml::Table>,
    #[serde(rename = "limits")]
    _limits: Option<toml::Table>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ExporterFragment {
    listen: Option<listen::Listen>,
    collectors: crate::collect::Switches,
    collect_share: Option<crate::weigh::Written>,
    weigh_share: Option<crate::weigh::Written>,
    flake_lock: Option<PathBuf>,
    substituter_probe_interval: Option<TimeSpan>,
}

impl Settings {
    /// How a program that goes on weighs the dead.
    pub fn weighing(&self) -> Weighing {
        self.weigh_share.map_or(Weighing::Off, Weighing::Beside)
    }

    /// What the collectors of a program that goes on are told.
    pub fn collecting(&self) -> Options {
        Options {
            weighing: self.weighing(),
            substituter_probe_interval: Some(self.substituter_probe_interval),
            ..self.options.clone()
        }
    }

    /// Reads the settings from the file.
    ///
    /// # Errors
    /// [`ConfigError`] if the file cannot be read (a missing default file is not an error) or has
    /// anything in it that it may not have.
    pub fn load(source: &Source) -> Result<Self, ConfigError> {
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
        // The parser's message holds the line, the text of it and the keys that may stand there.
        let fragment: Fragment =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        let defaults = Self::default();
        let options = Options {
            flake_lock: fragment
                .exporter
                .flake_lock
                .unwrap_or(defaults.options.flake_lock),
            ..Options::default()
        };
        options.check()?;
        let substituter_probe_interval = fragment
            .exporter
            .substituter_probe_interval
            .map_or(defaults.substituter_probe_interval, |span| span.0);
        if substituter_probe_interval < Duration::from_secs(10) {
            return Err(
                "`exporter.substituter_probe_interval` must be at least 10s: substituters \
                        are other people's machines; to ask none, switch the collector \
                        `substituter_probes` off"
                    .to_owned(),
            );
        }
        let collect_share = match fragment.exporter.collect_share {
            None => defaults.collect_share,
            Some(written) => written.0.ok_or(
                "`exporter.collect_share` must be at least 1%: without collections there is \
                 nothing to publish; \"100%\" is without limit",
            )?,
        };
        Ok(Self {
            listen: fragment
                .exporter
                .listen
                .map_or(defaults.listen, |listen| listen.0),
            collectors: fragment.exporter.collectors.names(),
            collect_share,
            weigh_share: fragment
                .exporter
                .weigh_share
                .map_or(defaults.weigh_share, |written| written.0),
            options,
            substituter_probe_interval,
        })
    }
}

#[cfg(test)]
mod tests;
