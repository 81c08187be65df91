//! `snowguard-exporter`: publishes what is true of a Nix host for Prometheus.

mod cli;
mod serve;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::SystemTime,
};

use clap::Parser as _;
use snowguard_exporter::{
    collect::{Options, Registry},
    config::{ConfigError, Settings},
    http::BindError,
    logging,
    text::Format,
    weigh::Weighing,
};
use tracing::{error, warn};

use cli::Arguments;

/// Why the program ends with something else than 0.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("cannot start: {0}")]
    Start(io::Error),
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error("{0} of the collectors failed; the messages above say why")]
    Collectors(usize),
}

impl Failure {
    /// As documented in `--help`.
    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Config(_) => 2,
            Self::Bind(error) if error.is_in_use() => 3,
            Self::Bind(_) | Self::Start(_) | Self::Output(_) | Self::Collectors(_) => 1,
        })
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::init(arguments.log_level, arguments.log_format);
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure}");
            failure.exit_code()
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = arguments.settings()?;
    if arguments.check_config {
        return print("the configuration is valid\n");
    }
    if nix::unistd::geteuid().is_root() {
        warn!("running as root; this program needs no privilege, run it as an unprivileged user");
    }
    if arguments.once {
        return once(arguments, &settings);
    }
    serve::serve(arguments, settings)
}

/// One collection on standard output.
fn once(arguments: &Arguments, settings: &Settings) -> Result<(), Failure> {
    let weighing = match settings.weighing() {
        Weighing::Beside(_) => Weighing::Within,
        other => other,
    };
    let options = Options {
        weighing,
        ..settings.options.clone()
    };
    let mut registry = Registry::with_options(arguments.layout(), &settings.collectors, &options);
    let snapshot = registry.collect(SystemTime::now());
    print(&Format::Classic.render(&snapshot.families))?;
    match snapshot.failed.len() {
        0 => Ok(()),
        failed => Err(Failure::Collectors(failed)),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::Output)
}
