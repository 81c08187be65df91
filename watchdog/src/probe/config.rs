//! `[probes.NAME]` of the configuration.

use std::{path::PathBuf, time::Duration};

use hyper::Uri;
use jiff::SignedDuration;
use serde::Deserialize;
use snowguard_exporter::units::TimeSpan;

mod kinds;

/// No probe may take longer, so that a tick stays a tick.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_FAILURES: u32 = 100;
/// What is looked at less often than this is no probe of a deploy.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// What may take longer than this to come up is no probe of a deploy.
const MAX_GRACE: Duration = MAX_INTERVAL;
/// How many automatic restarts of a unit are borne by default.
const DEFAULT_RESTARTS: u64 = 2;

/// One probe, checked: each kind has its own keys and no other's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "kinds::Raw")]
pub struct ProbeConfig {
    /// What is tried.
    pub check: Check,
    /// How long it may take. Written with a unit (`"5s"`), at most [`MAX_TIMEOUT`].
    pub timeout: Duration,
    /// How many of the last [`Self::of`] runs must have failed for the probe to count as failed.
    pub failures: u32,
    /// How many of the last runs are looked at. The same as `failures` means failures in a row.
    pub of: u32,
    /// It runs at most so often; its result is carried in between. Zero for every tick.
    pub interval: Duration,
    /// How long after an activation a failure counts for nothing.
    pub grace: Duration,
    /// Whether it condemns a deploy, and must pass for one to be known good.
    pub severity: Severity,
    /// The profile whose deploys it is about, as `rollback.profiles` names it; those of the system
    /// if `None`.
    pub profile: Option<String>,
}

/// What a probe is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A deploy under which it fails is condemned.
    #[default]
    Required,
    /// It is published, and that is all.
    Wanted,
}

impl ProbeConfig {
    /// A probe with the default of every key but those of its kind.
    pub const fn new(check: Check) -> Self {
        Self {
            check,
            timeout: DEFAULT_TIMEOUT,
            failures: 2,
            of: 2,
            interval: Duration::ZERO,
            grace: Duration::ZERO,
            severity: Severity::Required,
            profile: None,
        }
    }
}

/// What a probe tries. All of it is tried as the watchdog runs, under the watchdog's own root and
/// not under `--root`: a probe looks at services, and those run beside the watchdog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A TCP connection can be made.
    Tcp {
        /// `HOST:PORT`.
        address: String,
    },
    /// A GET is answered.
    Http {
        /// An `http://` or `https://` URL.
        url: Uri,
        /// The statuses that are well; none given means any 2xx.
        status: Vec<u16>,
        /// What the body must contain.
        body_contains: Option<String>,
        /// Who may certify the server, in the place of those whom the host trusts.
        ca_file: Option<PathBuf>,
    },
    /// A program exits with 0, without a shell, with an empty environment.
    Command {
        /// The program, an absolute path.
        program: PathBuf,
        /// Its arguments.
        args: Vec<String>,
    },
    /// Units of systemd are well.
    Systemd {
        /// Units that must be active.
        units: Vec<String>,
        /// How often systemd may have restarted any one of them since the activation.
        max_restarts: u64,
        /// How many units of the whole host may be in the failed state; `None` asks nothing.
        max_failed: Option<u64>,
    },
    /// A small file can be made in a directory, written, synced to the disk and removed.
    Writable {
        /// The directory, an absolute path.
        directory: PathBuf,
    },
    /// A name has an address (`getaddrinfo(3)`: what `nsswitch.conf` says counts).
    Dns {
        /// The name.
        host: String,
    },
    /// There is a route to everywhere.
    DefaultRoute {
        /// Of which family of addresses.
        family: RouteFamily,
    },
}

/// Which default route is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteFamily {
    /// Either of the two.
    #[default]
    Any,
    /// 0.0.0.0/0.
    Ipv4,
    /// ::/0.
    Ipv6,
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text.parse().map_err(|_| {
        format!("`timeout` is {text:?}; write a number with its unit, such as \"5s\" or \"500ms\"")
    })?;
    match Duration::try_from(parsed) {
        Ok(timeout) if !timeout.is_zero() && timeout <= MAX_TIMEOUT => Ok(timeout),
        _ => Err(format!(
            "`timeout` is {text:?}; it must be more than 0 and at most {}s",
            MAX_TIMEOUT.as_secs()
        )),
    }
}

/// `failures` and `of`: n of the last m runs.
fn window(failures: Option<u32>, of: Option<u32>) -> Result<(u32, u32), String> {
    let failures = failures.unwrap_or(2);
    if !(1..=MAX_FAILURES).contains(&failures) {
        return Err(format!(
            "`failures` is {failures}; give a number from 1 to {MAX_FAILURES}"
        ));
    }
    let of = of.unwrap_or(failures);
    if !(failures..=MAX_FAILURES).contains(&of) {
        return Err(format!(
            "`of` is {of}; give a number from {failures}, which is `failures`, to {MAX_FAILURES}"
        ));
    }
    Ok((failures, of))
}

fn interval(given: Option<TimeSpan>) -> Result<Duration, String> {
    match given {
        None => Ok(Duration::ZERO),
        Some(TimeSpan(span)) if span <= MAX_INTERVAL => Ok(span),
        Some(span) => Err(format!("`interval` is \"{span}\"; give at most one day")),
    }
}

fn grace(given: Option<TimeSpan>) -> Result<Duration, String> {
    match given {
        None => Ok(Duration::ZERO),
        Some(TimeSpan(span)) if span <= MAX_GRACE => Ok(span),
        Some(span) => Err(format!("`grace` is \"{span}\"; give at most one day")),
    }
}

#[cfg(test)]
mod tests;
