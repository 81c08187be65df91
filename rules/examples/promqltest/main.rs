//! Runs Prometheus's own acceptance suite for PromQL against the evaluator:
//! `cargo run -p snowguard-rules --example promqltest [DIRECTORY]`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

mod refused;
mod script;
mod suite;

fn main() -> io::Result<ExitCode> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from);
    let verdict = suite::run(directory.or_else(suite::named))?;
    io::stdout().write_all(verdict.report.as_bytes())?;
    Ok(if verdict.good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
