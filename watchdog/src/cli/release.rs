//! `snowguard release`: an operator has looked at what a remedy failed on; it may begin anew.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, IsTerminal as _},
};

use snowguard_watchdog::rollback::state::State;

use super::{Host, arguments, failure::Failure, page::Page, status::machine};

pub(super) fn run(
    host: &Host,
    asked: &arguments::Release,
    page: &mut Page<'_>,
) -> Result<(), Failure> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::NotRoot("release a remedy"));
    }
    let settings = host.settings()?;
    let machine = machine(&host.layout, &settings)?;
    // A marker that lies about while nothing is latched would release a failure yet to come.
    let Some(State::Failed { failure, .. }) = machine.as_ref().map(|machine| machine.state())
    else {
        return page.line("Nothing is latched, so there is nothing to release");
    };
    page.line(&format!("rollback is latched: {}", failure.why))?;
    if asked.dry_run {
        return page.line("It would be released at the next look of the watchdog");
    }
    if !asked.yes && io::stdin().is_terminal() && !agreed(page)? {
        return page.line("It stays latched");
    }
    let marker = host.layout.inside(&settings.state_dir).join("release");
    File::create(&marker)
        .and_then(|file| file.sync_all())
        .map_err(|source| {
            // Half done would be done at a time that nobody chose.
            let _ = fs::remove_file(&marker);
            Failure::Io {
                attempt: "leave the marker of the release",
                path: marker.clone(),
                source,
                cure: "free some space on its file system, or make it writable",
            }
        })?;
    page.line("Released: the watchdog takes it up at its next look, and adopts what runs then")
}

fn agreed(page: &mut Page<'_>) -> Result<bool, Failure> {
    page.line("Release it, and let it watch the next deploy? [y/N]")?;
    page.flush()?;
    let mut answer = String::new();
    // No answer is a no.
    let _ = io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
