//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use snowguard_exporter::{
    config::{ConfigError, DEFAULT_PATH, Settings, Source, parse_listen},
    logging::{LogFormat, LogLevel},
};
use snowguard_host::Layout;

const AFTER_HELP: &str = "\
Signals: SIGTERM and SIGINT end the program when the requests in flight are answered; SIGHUP reads
the configuration again and keeps the one in force if the new one is not valid.

Exit codes:
  0  ended as asked
  1  failure; with --once: a collector failed
  2  the command line or the configuration is not valid
  3  another process listens on the address";

/// Publishes what is true of a Nix host for Prometheus.
#[derive(Debug, clap::Parser)]
#[command(version, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The host as seen from this directory: a live host, a chroot store or a fixture tree.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,

    /// The process file system.
    #[arg(long = "proc", value_name = "DIR", hide = true)]
    proc_dir: Option<PathBuf>,

    /// The configuration; /etc/snowguard/snowguard.toml if there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Listen here, whatever the configuration says; may be given more than once.
    #[arg(long = "web.listen-address", value_name = "ADDRESS:PORT", value_parser = parse_listen)]
    listen: Vec<SocketAddr>,

    /// The least important messages to log.
    #[arg(long = "log.level", value_enum, default_value = "info")]
    pub(crate) log_level: LogLevel,

    /// How to write the log.
    #[arg(long = "log.format", value_enum, default_value = "logfmt")]
    pub(crate) log_format: LogFormat,

    /// Check the configuration and end.
    #[arg(long)]
    pub(crate) check_config: bool,

    /// Print one collection and end.
    #[arg(long, conflicts_with = "check_config")]
    pub(crate) once: bool,
}

impl Arguments {
    /// The host to read.
    pub(crate) fn layout(&self) -> Layout {
        let layout = Layout::at(&self.root);
        match &self.proc_dir {
            Some(proc_dir) => layout.with_proc(proc_dir),
            None => layout,
        }
    }

    /// The settings of the configuration, with those of the command line over them.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        let source = match &self.config {
            Some(path) => Source::Named(path.clone()),
            None => Source::Default,
        };
        let mut settings = Settings::load(&source)?;
        if !self.listen.is_empty() {
            settings.listen.clone_from(&self.listen);
        }
        Ok(settings)
    }

    /// The file that the settings come from, as a message names it.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| DEFAULT_PATH.into())
    }
}
