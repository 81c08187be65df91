//! A switch as the transient unit `nixos-rebuild-switch-to-configuration`.

use std::{
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use snowguard_host::{FactError, Kind};

use super::{ATTEMPT, SEARCH_PATH, Stop, SwitchEnd};

/// The unit that `nixos-rebuild` switches in. systemd refuses a second one of the same name, which
/// keeps a human's switch and ours apart.
pub(super) const NAME: &str = "nixos-rebuild-switch-to-configuration.service";
/// What the description of every unit of ours begins with, and of nobody else's.
const OURS: &str = "Snowguard ";
const POLL: Duration = Duration::from_millis(500);
/// So many times systemd is asked, if it does not answer, before that is an error.
const PATIENCE: usize = 20;

/// The programs that talk to systemd, as absolute paths.
#[derive(Debug, Clone)]
pub struct Systemd {
    /// `systemd-run`.
    pub systemd_run: PathBuf,
    /// `systemctl`.
    pub systemctl: PathBuf,
}

/// What `systemctl show` says of the unit.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// There is none.
    None,
    /// Somebody else switches.
    Foreign,
    /// One that has ended and was not cleared away holds the name.
    Stale,
    /// Ours, still running.
    Running,
    /// Ours, ended so.
    Ended(SwitchEnd),
}

/// A transient unit.
pub(super) struct Unit<'a> {
    pub(super) systemd: &'a Systemd,
    /// Its name.
    pub(super) name: &'a str,
    /// What an exit code of its program means.
    pub(super) meaning: fn(i32) -> SwitchEnd,
    /// Ends the wait for it.
    pub(super) stop: &'a Stop,
}

impl Unit<'_> {
    /// Runs a program in it, or waits for the end of one that was begun before a restart of ours.
    pub(super) fn carry_out(
        &self,
        words: &[String],
        incident: &str,
        deadline: Duration,
    ) -> Result<SwitchEnd, FactError> {
        let description = format!("{OURS}{incident}");
        match self.look_patiently(&description)? {
            None => return Ok(SwitchEnd::Left),
            Some(Seen::None) => self.start(words, &description)?,
            Some(Seen::Stale) => {
                self.forget();
                self.start(words, &description)?;
            }
            Some(Seen::Foreign) => return Ok(SwitchEnd::LockHeld),
            Some(Seen::Running | Seen::Ended(_)) => {}
        }
        let begun = Instant::now();
        loop {
            match self.look_patiently(&description)? {
                None => return Ok(SwitchEnd::Left),
                Some(Seen::Ended(end)) => {
                    self.forget();
                    return Ok(end);
                }
                Some(Seen::Running) if begun.elapsed() >= deadline => {
                    return Ok(SwitchEnd::Unfinished);
                }
                Some(Seen::Running) => thread::sleep(POLL),
                // Somebody stopped it or took its name: how it ended is not known, and to begin
                // again is what the switch is made for.
                Some(Seen::None | Seen::Foreign | Seen::Stale) => return Ok(SwitchEnd::LockHeld),
            }
        }
    }

    /// Looks until there is an answer. A systemd that begins anew has none for a moment, and
    /// whoever ends the watchdog ends the program that asks, too. `None` if the watchdog is to end.
    fn look_patiently(&self, description: &str) -> Result<Option<Seen>, FactError> {
        for _ in 1..PATIENCE {
            if self.stop.is_asked() {
                return Ok(None);
            }
            if let Ok(seen) = self.look(description) {
                return Ok(Some(seen));
            }
            thread::sleep(POLL);
        }
        self.look(description).map(Some)
    }

    fn start(&self, words: &[String], description: &str) -> Result<(), FactError> {
        let systemd_run = &self.systemd.systemd_run;
        let mut command = Command::new(systemd_run);
        // `nixos-rebuild` adds --pipe and --collect. A pipe would break with our end, and a
        // collected unit would take with it how the switch ended. RemainAfterExit keeps a unit
        // that succeeded until it is stopped; one that failed stays by itself.
        command.args([
            "--no-ask-password",
            "--quiet",
            "--service-type=exec",
            "--property=RemainAfterExit=yes",
        ]);
        command.arg(format!("--unit={}", self.name));
        command.arg(format!("--description={description}"));
        command.arg(format!("--setenv=PATH={SEARCH_PATH}"));
        command.arg("--").args(words);
        let output = self.output(command, systemd_run)?;
        // Ended with the watchdog by whoever ends that, it may have begun the switch or not: who
        // looks for the unit finds out.
        if output.status.success() || output.status.signal().is_some() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(FactError::new(
            Kind::Io,
            ATTEMPT,
            systemd_run,
            format!("{}: {}", output.status, said.trim()),
            &format!("see `systemctl status {}`", self.name),
        ))
    }

    fn look(&self, description: &str) -> Result<Seen, FactError> {
        let systemctl = &self.systemd.systemctl;
        let mut command = Command::new(systemctl);
        command.args(["show", self.name]);
        command.arg(
            "--property=LoadState,ActiveState,SubState,Description,ExecMainCode,ExecMainStatus",
        );
        let output = self.output(command, systemctl)?;
        let text = String::from_utf8_lossy(&output.stdout);
        parse(&text, description, self.meaning).ok_or_else(|| {
            FactError::malformed(
                "read how the switch stands",
                systemctl,
                format!("{}, {text:?}", output.status),
                &format!("see `systemctl status {}`", self.name),
            )
        })
    }

    /// Lets the name go that a unit of ours holds whose end nobody saw: `nixos-rebuild` refuses to
    /// switch for as long as it is loaded. True if none of ours is left; what was let go is looked
    /// for once more by the next call.
    pub(super) fn let_ended_go(&self) -> Result<bool, FactError> {
        let systemctl = &self.systemd.systemctl;
        let mut command = Command::new(systemctl);
        command.args(["show", self.name]);
        command.arg("--property=LoadState,ActiveState,SubState,Description");
        let output = self.output(command, systemctl)?;
        let text = String::from_utf8_lossy(&output.stdout);
        match parse_left(&text) {
            Some(Left::Nothing) => Ok(true),
            Some(Left::Runs) => Ok(false),
            Some(Left::Ended) => {
                self.forget();
                Ok(false)
            }
            None => Err(FactError::malformed(
                "look for a switch that ended unseen",
                systemctl,
                format!("{}, {text:?}", output.status),
                &format!("see `systemctl status {}`", self.name),
            )),
        }
    }

    /// Lets the name go for the next switch. What cannot be let go only makes that one wait.
    fn forget(&self) {
        for verb in ["stop", "reset-failed"] {
            let mut command = Command::new(&self.systemd.systemctl);
            command.args([verb, self.name]);
            let _ = self.output(command, &self.systemd.systemctl);
        }
    }

    fn output(&self, mut command: Command, program: &PathBuf) -> Result<Output, FactError> {
        command.env_clear().current_dir("/").stdin(Stdio::null());
        let output = command.output();
        output.map_err(|cause| FactError::io(ATTEMPT, program, &cause, "run as root"))
    }
}

/// What `systemctl show` says of a property.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut values = text.lines().filter_map(|line| line.split_once('='));
    values
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value)
}

fn parse(text: &str, description: &str, meaning: fn(i32) -> SwitchEnd) -> Option<Seen> {
    let value = |key: &str| value(text, key);
    if value("LoadState")? == "not-found" {
        return Some(Seen::None);
    }
    let (active, sub) = (value("ActiveState")?, value("SubState")?);
    let ours = value("Description")? == description;
    Some(match (ours, active, sub) {
        (false, "inactive", _) => Seen::None,
        (false, "failed", _) | (false, "active", "exited") => Seen::Stale,
        (false, _, _) => Seen::Foreign,
        (true, "active", "exited") | (true, "failed" | "inactive", _) => {
            let status = value("ExecMainStatus")?.parse().ok()?;
            // `si_code` of waitid(2): CLD_EXITED is 1, CLD_KILLED 2, CLD_DUMPED 3.
            Seen::Ended(match value("ExecMainCode")? {
                "1" => meaning(status),
                _ => SwitchEnd::Killed(status),
            })
        }
        (true, _, _) => Seen::Running,
    })
}

/// What is left of switches of ours, whatever their incident.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    /// Nothing, or what has the name is somebody else's.
    Nothing,
    /// One that goes on.
    Runs,
    /// One that has ended.
    Ended,
}

fn parse_left(text: &str) -> Option<Left> {
    let value = |key: &str| value(text, key);
    if value("LoadState")? == "not-found" || !value("Description")?.starts_with(OURS) {
        return Some(Left::Nothing);
    }
    Some(match (value("ActiveState")?, value("SubState")?) {
        // systemd unloads it by itself.
        ("inactive", _) => Left::Nothing,
        ("active", "exited") | ("failed", _) => Left::Ended,
        _ => Left::Runs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(active: &str, sub: &str, description: &str, code: u8, status: u8) -> String {
        format!(
            "ExecMainCode={code}\nExecMainStatus={status}\nDescription={description}\n\
             LoadState=loaded\nActiveState={active}\nSubState={sub}\n"
        )
    }

    #[test]
    fn the_end_of_a_switch_is_told_from_a_switch_of_somebody_else() {
        let ours = "Snowguard rollback-1";
        let none = "LoadState=not-found\nActiveState=inactive\nSubState=dead\nDescription=x\n";
        assert_eq!(parse(none, ours, SwitchEnd::from_code), Some(Seen::None));
        for (text, seen) in [
            (show("activating", "start", ours, 0, 0), Seen::Running),
            (show("active", "running", ours, 0, 0), Seen::Running),
            (
                show("active", "exited", ours, 1, 0),
                Seen::Ended(SwitchEnd::Switched),
            ),
            (
                show("failed", "failed", ours, 1, 4),
                Seen::Ended(SwitchEnd::UnitsFailed),
            ),
            (
                show("failed", "failed", ours, 1, 11),
                Seen::Ended(SwitchEnd::LockHeld),
            ),
            (
                show("failed", "failed", ours, 2, 9),
                Seen::Ended(SwitchEnd::Killed(9)),
            ),
            (
                show("active", "running", "/nix/store/x switch", 0, 0),
                Seen::Foreign,
            ),
            (
                show("failed", "failed", "Snowguard rollback-0", 1, 4),
                Seen::Stale,
            ),
            (
                show("active", "exited", "Snowguard rollback-0", 1, 0),
                Seen::Stale,
            ),
        ] {
            let seen = Some(seen);
            assert_eq!(parse(&text, ours, SwitchEnd::from_code), seen, "{text}");
        }
        assert_eq!(parse("", ours, SwitchEnd::from_code), None);
    }
}
