//! The command line: each command reads the host once, says what it found, and ends.
//!
//! Standard output holds the answer and nothing else; what went wrong is on standard error.

mod arguments;
mod check_config;
mod confirm;
mod failure;
mod gc;
mod generations;
mod history;
mod hold;
mod page;
mod plan;
mod release;
mod rules;
mod status;
mod store;
mod system;
mod table;
mod text;

use std::{
    fs,
    io::{self, BufWriter, IsTerminal as _, Write},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser as _};
use snowguard_exporter::{config::Source, logging};
use snowguard_host::{FactError, Kind, Layout};
use snowguard_watchdog::{config::Settings, watch};
use tracing::error;

use arguments::{Arguments, Command, Planned};
use failure::Failure;
use page::Page;

/// Where to look, and which settings to follow.
struct Host {
    layout: Layout,
    source: Source,
}

impl Host {
    fn settings(&self) -> Result<Settings, Failure> {
        Ok(Settings::load(&self.source)?)
    }
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return unclear(&error),
    };
    logging::init(arguments.log_level, arguments.log_format);
    let stdout = io::stdout();
    let bold = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let mut out = BufWriter::new(stdout.lock());
    let outcome = run(&arguments, &mut Page::new(&mut out, bold))
        .and_then(|()| out.flush().map_err(Failure::Output));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            // What was found before the failure comes first.
            let _ = out.flush();
            if matches!(arguments.command, Command::Watch) {
                error!("{failure}");
            } else {
                say(&format!("snowguard: {failure}"));
            }
            failure.exit_code()
        }
    }
}

/// Says what is wrong with the command line, or gives the help that it asks for. `rules` ends as
/// promtool does, which knows no other failure than 1.
fn unclear(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    let asked = Arguments::command()
        .ignore_errors(true)
        .try_get_matches()
        .ok()
        .and_then(|matches| matches.subcommand_name().map(str::to_owned));
    ExitCode::from(match error.exit_code() {
        0 => 0,
        _ if asked.as_deref() == Some("rules") => 1,
        _ => 2,
    })
}

fn run(arguments: &Arguments, page: &mut Page<'_>) -> Result<(), Failure> {
    let host = Host {
        layout: arguments.layout(),
        source: arguments.source(),
    };
    if let Command::CheckConfig(asked) = &arguments.command {
        return check_config::run(&host, asked, page);
    }
    if let Command::Rules { what } = &arguments.command {
        return rules::run(what, page);
    }
    look_at_root(&host.layout)?;
    match &arguments.command {
        Command::Watch => {
            let settings = host.settings()?;
            Ok(watch::run(&host.layout, &settings, &host.source)?)
        }
        Command::Status(facts) => status::run(&host, facts.json, page),
        Command::Store(asked) => store::run(&host, asked, page),
        Command::Generations(facts) => generations::run(&host, facts.json, page),
        Command::Plan {
            what: Planned::Gc(asked),
        } => plan::run(&host, asked, page),
        Command::Gc(asked) => gc::run(&host, asked, page),
        Command::Hold(asked) => hold::run(&host, asked, page),
        Command::History(asked) => history::run(&host, asked, page),
        Command::CheckConfig(asked) => check_config::run(&host, asked, page),
        Command::Rules { what } => rules::run(what, page),
        Command::Confirm(asked) => confirm::run(&host, asked, page),
        Command::Release(asked) => release::run(&host, asked, page),
    }
}

/// A root that is not there would look like a host on which nothing ever happened.
fn look_at_root(layout: &Layout) -> Result<(), FactError> {
    let attempt = "look at the host";
    let cure = "give the root directory of a host that runs Nix with --root";
    match fs::metadata(layout.root()) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err(FactError::new(
            Kind::Malformed,
            attempt,
            layout.root(),
            "not a directory",
            cure,
        )),
        Err(error) => Err(FactError::io(attempt, layout.root(), &error, cure)),
    }
}

/// Tells people something on standard error. Nobody there to read it is no failure.
fn say(message: &str) {
    let _ = writeln!(io::stderr(), "{}", text::printable_lines(message));
}

/// Says what could not be read, and what that means for the answer.
/// Says that sums of NAR sizes leave out what has none.
fn warn_of_unsized(paths: usize) {
    if paths > 0 {
        let paths = text::number(paths, "path has", "paths have");
        say(&format!(
            "snowguard: warning: {paths} no known size and counts as nothing in every sum: each \
             is a lower bound"
        ));
    }
}

fn warn(unreadable: &[FactError], consequence: &str) {
    const SHOWN: usize = 10;
    for error in unreadable.iter().take(SHOWN) {
        say(&format!("snowguard: warning: {error}"));
    }
    if unreadable.len() > SHOWN {
        let further = unreadable.len() - SHOWN;
        say(&format!(
            "snowguard: warning: and {further} more like these"
        ));
    }
    if !unreadable.is_empty() {
        say(&format!("snowguard: warning: {consequence}"));
    }
}
