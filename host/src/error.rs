//! The one error of this crate: what was attempted, on which path, why it failed, what cures it.

use std::{fmt, io, path::PathBuf};

/// Why a fact could not be read. Callers branch on this, people read the whole message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The thing is not there (ENOENT). Only this may mean "no".
    Missing,
    /// We may not read it (EACCES, EPERM). Never means "no".
    Denied,
    /// It is there and readable but is not what it should be.
    Malformed,
    /// Somebody holds it and did not let go within our deadline.
    Busy,
    /// Any other failure of the operating system.
    Io,
}

/// A fact that could not be read: `cannot VERB OBJECT: PATH: CAUSE; CURE`.
#[derive(Debug, thiserror::Error)]
pub struct FactError {
    /// What kind of failure it is.
    pub kind: Kind,
    /// What was attempted, as a verb phrase: `read the store database`.
    pub attempt: String,
    /// The path that it failed on.
    pub path: PathBuf,
    /// The cause, as the operating system or the parser puts it.
    pub cause: String,
    /// What the operator can do about it.
    pub cure: String,
}

impl FactError {
    /// An error from the operating system, its kind taken from `errno`.
    pub fn io(attempt: &str, path: impl Into<PathBuf>, source: &io::Error, cure: &str) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::NotFound => Kind::Missing,
            io::ErrorKind::PermissionDenied => Kind::Denied,
            _ => Kind::Io,
        };
        Self::new(kind, attempt, path, source.to_string(), cure)
    }

    /// Something that is there but is not what it should be.
    pub fn malformed(
        attempt: &str,
        path: impl Into<PathBuf>,
        cause: impl Into<String>,
        cure: &str,
    ) -> Self {
        Self::new(Kind::Malformed, attempt, path, cause, cure)
    }

    /// The general form.
    pub fn new(
        kind: Kind,
        attempt: &str,
        path: impl Into<PathBuf>,
        cause: impl Into<String>,
        cure: &str,
    ) -> Self {
        Self {
            kind,
            attempt: attempt.to_owned(),
            path: path.into(),
            cause: cause.into(),
            cure: cure.to_owned(),
        }
    }
}

impl fmt::Display for FactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Paths are printed with `{:?}` so that a newline in a name cannot forge a second log line.
        write!(
            f,
            "cannot {}: {:?}: {}",
            self.attempt, self.path, self.cause
        )?;
        if self.cure.is_empty() {
            Ok(())
        } else {
            write!(f, "; {}", self.cure)
        }
    }
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, FactError>;
