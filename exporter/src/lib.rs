//! Facts to samples to HTTP.
//!
//! The library is what `snowguard-exporter` runs and what the watchdog takes from it: the sample
//! model, the registry of collectors, the state file, and the units of the configuration.

pub mod collect;
pub mod config;
pub mod http;
pub mod logging;
mod probe;
pub use probe::Authorities;
pub mod sample;
pub mod state_file;
pub mod text;
pub mod units;
pub mod weigh;
