//! `snowguard release`: an operator has looked at what a remedy failed on; it may begin anew.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, IsTerminal as _},
};

use snowguard_watchdog::{
    act::ballast::Ballast,
    clock,
    gc::hold,
    rollback::{
        machine::Machine,
        state::{State, Updater},
    },
};

use super::{
    Host, arguments,
    failure::Failure,
    page::Page,
    status::{gc_history, machine, profiles},
    text::time_ms,
};

pub(super) fn run(
    host: &Host,
    asked: &arguments::Release,
    page: &mut Page<'_>,
) -> Result<(), Failure> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::NotRoot("release a remedy"));
    }
    let settings = host.settings()?;
    let state_dir = host.layout.inside(&settings.state_dir);
    let held = hold::standing(&state_dir);
    if let Some(refusal) = &held {
        page.line(&format!("gc is held: {}", refusal.detail))?;
    }
    let history = gc_history(&host.layout, &settings)?.unwrap_or_default();
    let breaker = history.breaker(&settings.gc);
    if let Some(breaker) = breaker {
        page.line(&format!(
            "the breaker of gc is open: the last {} collections freed next to nothing",
            breaker.fruitless
        ))?;
    }
    let resting: Vec<_> = history.resting(&settings.gc, clock::now_ms()).collect();
    for (alert, until_ms) in &resting {
        let until = time_ms(*until_ms);
        page.line(&format!(
            "gc waits until {until}: what it did for {alert} did not help"
        ))?;
    }
    let system = machine(&host.layout, &settings)?;
    let profiles = profiles(&host.layout, &settings)?;
    let machines: Vec<(String, &Machine)> = (system.iter().map(|m| ("rollback".to_owned(), m)))
        .chain(profiles.iter().filter_map(|(name, machine)| {
            Some((format!("rollback of profile {name}"), machine.as_ref()?))
        }))
        .collect();
    // A marker that lies about while nothing is latched would release a failure yet to come.
    let (mut latched, mut updater) = (false, false);
    for (name, machine) in machines {
        if let State::Failed { failure, .. } = machine.state() {
            latched = true;
            page.line(&format!("{name} is latched: {}", failure.why))?;
        }
        if let Updater::Held { closure, .. } = machine.updater() {
            updater = true;
            page.line(&format!(
                "the updater is held: it would deploy {closure} again"
            ))?;
        }
    }
    let for_the_watchdog = latched || updater || breaker.is_some() || !resting.is_empty();
    if held.is_none() && !for_the_watchdog {
        return page.line("Nothing is latched, held or waiting, so there is nothing to release");
    }
    if asked.dry_run {
        return page.line("It would be released at the next look of the watchdog");
    }
    if !asked.yes && io::stdin().is_terminal() && !agreed(latched, page)? {
        return page.line("It stays as it is");
    }
    if held.is_some() {
        hold::release(&state_dir).map_err(|source| Failure::Io {
            attempt: "end the hold",
            path: hold::path_in(&state_dir),
            source,
            cure: "remove it by hand",
        })?;
        page.line("Released: collections may begin again")?;
    }
    if !for_the_watchdog {
        return Ok(());
    }
    let marker = state_dir.join("release");
    let ballast = Ballast::of(&host.layout, settings.gc.ballast.0);
    ballast
        .giving_way(&state_dir, || File::create(&marker)?.sync_all())
        .map_err(|source| {
            // Half done would be done at a time that nobody chose.
            let _ = fs::remove_file(&marker);
            Failure::Io {
                attempt: "leave the marker of the release",
                path: marker.clone(),
                source,
                cure: "free some space or an inode on its file system, or make it writable",
            }
        })?;
    if breaker.is_some() {
        page.line("Released: the watchdog closes the breaker at its next look")?;
    }
    if !resting.is_empty() {
        page.line("Released: the watchdog ends the wait at its next look")?;
    }
    if latched {
        page.line(
            "Released: the watchdog takes it up at its next look, and adopts what runs then",
        )?;
    } else if updater {
        page.line("Released: the watchdog lets the updater go at its next look")?;
    }
    Ok(())
}

fn agreed(latched: bool, page: &mut Page<'_>) -> Result<bool, Failure> {
    page.line(if latched {
        "Release it, and let it watch the next deploy? [y/N]"
    } else {
        "Release it? [y/N]"
    })?;
    page.flush()?;
    let mut answer = String::new();
    // No answer is a no.
    let _ = io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
