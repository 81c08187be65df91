//! `snowguard confirm`: somebody, or a deploy tool, says that the system that runs is well.

use std::io::{self, BufRead as _, IsTerminal as _};

use snowguard_host::{Profiles, System};
use snowguard_watchdog::{
    record::Mode,
    rollback::{confirmation::Confirmation, state::State},
};

use super::{Host, arguments, failure::Failure, page::Page, status::machine};

pub(super) fn run(
    host: &Host,
    asked: &arguments::Confirm,
    page: &mut Page<'_>,
) -> Result<(), Failure> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::NotRoot("confirm a deploy"));
    }
    let settings = host.settings()?;
    if settings.rollback.mode == Mode::Off || settings.rollback.require_confirmation.is_none() {
        return page.line("No deploy needs to be confirmed here (`rollback.require_confirmation`)");
    }
    let profiles = Profiles::read(&host.layout)?;
    let Some(running) = System::read(&host.layout, &profiles)?.running else {
        return Err(Failure::TooLate(
            "no system of NixOS runs here, so there is none to confirm".to_owned(),
        ));
    };
    let running = running.path.to_string_lossy().into_owned();
    if let Some(wanted) = asked.system.as_ref().filter(|wanted| **wanted != running) {
        return Err(Failure::TooLate(format!(
            "{running:?} runs, and not {wanted:?}: it was rolled back, or something else was deployed"
        )));
    }
    match machine(&host.layout, &settings)?
        .as_ref()
        .map(|machine| machine.state())
    {
        Some(State::Settled { good }) if good.store_path == running => {
            return page.line(&format!("{running} is known good already"));
        }
        Some(State::Trial(trial)) if trial.confirmed && trial.deploy.store_path == running => {
            return page.line(&format!("{running} is confirmed already"));
        }
        Some(
            State::Condemned { bad, .. }
            | State::RollingBack { bad, .. }
            | State::Verifying { bad, .. }
            | State::Observed { bad, .. }
            | State::Failed { bad, .. },
        ) if bad.deploy.store_path == running => {
            return Err(Failure::TooLate(format!(
                "{running:?} is condemned already, by {:?}",
                bad.alert
            )));
        }
        Some(State::Failed { .. }) => {
            return Err(Failure::TooLate(
                "the rollback remedy is latched and watches no deploy; see `snowguard release`"
                    .to_owned(),
            ));
        }
        _ => {}
    }
    if asked.dry_run {
        return page.line(&format!("{running} would be confirmed"));
    }
    if !asked.yes && io::stdin().is_terminal() && !agreed(&running, page)? {
        return page.line("It is not confirmed");
    }
    // The watchdog may not have seen the deploy yet: it looks at the host a few times a minute.
    Confirmation::of(&host.layout.inside(&settings.state_dir)).leave(&running)?;
    page.line(&format!(
        "{running} is confirmed; the watchdog takes it up at its next look"
    ))
}

fn agreed(running: &str, page: &mut Page<'_>) -> Result<bool, Failure> {
    page.line(&format!("Confirm that {running} is well? [y/N]"))?;
    page.flush()?;
    let mut answer = String::new();
    // No answer is a no.
    let _ = io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
