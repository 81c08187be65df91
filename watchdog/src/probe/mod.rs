//! Probes: is what this host is for still working?
//!
//! Probes run in every mode and change nothing. All of them run at once, and none keeps the
//! watchdog longer than its timeout.

mod command;
pub mod config;
mod http;
mod run;
mod tcp;

pub use config::{Check, ProbeConfig};
pub use run::{ProbeResult, Prober};
