//! Probes: is what this host is for still working?
//!
//! Probes run in every mode and change nothing; the one of kind `writable` leaves nothing behind
//! of what it writes. All of them run at once, and none keeps the watchdog longer than its timeout.

pub(crate) mod command;
pub mod config;
mod dns;
mod http;
mod route;
mod run;
mod runs;
mod systemd;
mod tcp;
mod writable;

pub(crate) use command::output;
pub use config::{Check, ProbeConfig, Severity};
pub use run::{Ago, Means, ProbeResult, Prober, Trials};
#[cfg(test)]
pub(crate) use runs::Runs;
