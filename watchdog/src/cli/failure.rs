//! Why the program ends with something else than 0.

use std::{io, path::PathBuf, process::ExitCode};

use snowguard_host::FactError;
use snowguard_rules::LoadError;
use snowguard_watchdog::{
    config::ConfigError, gc::plan::Refusal, keep::KeepError, watch::WatchError,
};

/// One message for people, and the exit code that `--help` documents.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Fact(#[from] FactError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Rules(#[from] LoadError),
    #[error("cannot use the configuration: {0}")]
    Limits(String),
    #[error("{0}; see --help")]
    Usage(String),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error("cannot {attempt}: {path:?}: {source}; {cure}")]
    Io {
        attempt: &'static str,
        path: PathBuf,
        source: io::Error,
        cure: &'static str,
    },
    #[error("there is no incident {name:?} in {path:?}; `snowguard history` names them all")]
    NoIncident { name: String, path: PathBuf },
    #[error("only root may {0}: run it as root")]
    NotRoot(&'static str),
    #[error("refused ({}): {}", .0.reason.name(), .0.detail)]
    Refused(Refusal),
    #[error(
        "nobody can be asked without a terminal: give --yes to collect, or --dry-run to see the plan"
    )]
    NobodyToAsk,
    #[error("freed {freed} and no more ({reason}): {detail}")]
    Short {
        freed: String,
        reason: &'static str,
        detail: String,
    },
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error("refused: {0}")]
    TooLate(String),
    #[error("{0}")]
    BadRules(String),
    #[error("{0}; without --lint-fatal that would be no failure")]
    Lint(String),
    #[error("a part of the host could not be read; the warnings above name it")]
    Incomplete,
}

impl Failure {
    /// True if the reader of standard output has enough, as `| head` has. That is no failure.
    pub(super) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// As documented in `--help`.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Config(_) | Self::Rules(_) | Self::Limits(_) | Self::Usage(_) => 2,
            Self::Watch(
                WatchError::Config(_) | WatchError::Rules(_) | WatchError::CannotAct(_),
            ) => 2,
            Self::NobodyToAsk => 2,
            Self::Refused(_) | Self::TooLate(_) | Self::Lint(_) => 3,
            Self::Short { .. } => 4,
            Self::Fact(_)
            | Self::Watch(_)
            | Self::Keep(_)
            | Self::Io { .. }
            | Self::NoIncident { .. }
            | Self::NotRoot(_)
            | Self::Output(_)
            | Self::BadRules(_)
            | Self::Incomplete => 1,
        })
    }
}
