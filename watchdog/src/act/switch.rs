//! The verb that switches to a system: `TARGET/bin/switch-to-configuration switch`.
//!
//! A switch may restart or stop the watchdog's own unit, so it never runs inside it. With
//! systemd it is the transient unit that `nixos-rebuild` uses, whose fixed name also keeps two
//! switches apart; without systemd it is a process group of its own. Either goes on when the
//! watchdog dies.

use std::{
    fmt,
    fs::OpenOptions,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use snowguard_host::FactError;

use super::stop::Stop;

mod unit;

pub use unit::Systemd;

const POLL: Duration = Duration::from_millis(100);
const ATTEMPT: &str = "switch to a system";
/// What a switch finds programs by; NixOS first, then any other distribution.
const SEARCH_PATH: &str = "/run/current-system/sw/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Switches to a system.
#[derive(Debug, Clone)]
pub struct Switch {
    /// How the switch is started.
    pub way: Way,
    /// How long it may take. Longer, and it is reported, but left to itself: half a switch is
    /// worse than a slow one.
    pub deadline: Duration,
    /// Where what it says is appended to; nowhere if `None`. systemd keeps it in its journal.
    pub log: Option<PathBuf>,
    /// Ends the wait for a switch, which itself goes on: it may be what ends the watchdog, and
    /// then each would wait for the other.
    pub stop: Stop,
}

/// How a switch is started.
#[derive(Debug, Clone)]
pub enum Way {
    /// As a transient unit of the running systemd.
    Systemd(Systemd),
    /// As a child in a process group of its own.
    Child,
    /// As a child chrooted into another root.
    Chroot {
        /// The program `chroot`, an absolute path.
        program: PathBuf,
        /// The root.
        root: PathBuf,
    },
}

/// How a switch ended. The codes are those of `switch-to-configuration-ng` (nixpkgs, 2025) and of
/// the Perl program before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchEnd {
    /// 0: all is well.
    Switched,
    /// 4: the system was switched, and some unit failed then or has failed since.
    UnitsFailed,
    /// 11: another switch holds the lock, nothing was done.
    LockHeld,
    /// 1: usage, a pre-switch check or the boot loader; nothing was activated.
    Rejected,
    /// 2: the activation script failed.
    ActivationFailed,
    /// 100: the init interface differs, nothing was activated.
    InitInterface,
    /// Any other code.
    Other(i32),
    /// It was ended by a signal.
    Killed(i32),
    /// It still runs after the deadline.
    Unfinished,
    /// The watchdog is to end, and the next one will see to it: it was not begun, or goes on.
    Left,
}

impl SwitchEnd {
    /// What an exit code means.
    pub const fn from_code(code: i32) -> Self {
        match code {
            0 => Self::Switched,
            1 => Self::Rejected,
            2 => Self::ActivationFailed,
            4 => Self::UnitsFailed,
            11 => Self::LockHeld,
            100 => Self::InitInterface,
            other => Self::Other(other),
        }
    }

    fn from_status(status: ExitStatus, meaning: fn(i32) -> Self) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => meaning(code),
            (None, signal) => Self::Killed(signal.unwrap_or(0)),
        }
    }

    /// True if the target may run now. Whether it does, and how well, is for the verification. After
    /// an activation script that failed (2), or a reload of systemd that did (3), the switch goes on
    /// with the units and ends with that code (`switch-to-configuration-ng`, and the one in Perl).
    pub const fn has_switched(self) -> bool {
        matches!(
            self,
            Self::Switched | Self::UnitsFailed | Self::ActivationFailed | Self::Other(3)
        )
    }

    /// True if the next tick is to try again: nothing was done, or it is begun and waited for.
    pub const fn is_to_be_tried_again(self) -> bool {
        matches!(self, Self::LockHeld | Self::Left)
    }

    /// The reason of the record that tells of it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Switched => "switched",
            Self::UnitsFailed => "units_failed",
            Self::LockHeld => "lock_held",
            Self::Rejected => "switch_rejected",
            Self::ActivationFailed => "activation_failed",
            Self::InitInterface => "needs_reboot",
            Self::Other(_) => "switch_failed",
            Self::Killed(_) => "switch_killed",
            Self::Unfinished => "switch_unfinished",
            Self::Left => "switch_left",
        }
    }
}

impl fmt::Display for SwitchEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switched => f.write_str("succeeded"),
            Self::UnitsFailed => f.write_str("was done, but some unit failed (exit code 4)"),
            Self::LockHeld => f.write_str("waits for another switch to end (exit code 11)"),
            Self::Rejected => {
                f.write_str("was rejected by a check or the boot loader (exit code 1)")
            }
            Self::ActivationFailed => f.write_str("failed in the activation script (exit code 2)"),
            Self::InitInterface => f.write_str("needs a reboot (exit code 100)"),
            Self::Other(code) => write!(f, "failed with exit code {code}"),
            Self::Killed(signal) => write!(f, "was killed by signal {signal}"),
            Self::Unfinished => f.write_str("did not end in time and was left running"),
            Self::Left => f.write_str("is left to the next watchdog, because this one ends"),
        }
    }
}

impl Switch {
    /// What it would do, for observe mode.
    pub fn describe(&self, target: &str) -> String {
        let run = format!("would run {} switch", script(target));
        match &self.way {
            Way::Systemd(_) => format!("{run} in the unit {}", unit::NAME),
            Way::Child => run,
            Way::Chroot { root, .. } => format!("{run} under the root {root:?}"),
        }
    }

    /// Switches to the system of a store path, as the host itself names it. `incident` names this
    /// switch: with systemd, one that was begun before a restart of ours is found by it and not
    /// begun again. Without, it is begun again, which a switch bears.
    ///
    /// # Errors
    /// The switch could not be started, so that nothing was done.
    pub fn run(&self, target: &str, incident: &str) -> Result<SwitchEnd, FactError> {
        self.carry_out(target, "switch", incident)
    }

    /// Makes a system the boot default and writes the boot loader's menu anew, in the same way.
    /// Nothing is activated.
    ///
    /// # Errors
    /// It could not be started, so that nothing was done.
    pub fn boot(&self, target: &str, incident: &str) -> Result<SwitchEnd, FactError> {
        self.carry_out(target, "boot", incident)
    }

    /// Lets go of a switch of ours that ended when nobody waited for it, and that keeps everybody
    /// else from switching. One that goes on, or is somebody else's, is not touched. True if none
    /// is left. Only for whoever waits for no switch now.
    ///
    /// # Errors
    /// systemd does not say whether there is one.
    pub fn let_ended_go(&self) -> Result<bool, FactError> {
        match &self.way {
            Way::Child | Way::Chroot { .. } => Ok(true),
            Way::Systemd(systemd) => {
                let unit = unit::Unit {
                    systemd,
                    name: unit::NAME,
                    meaning: SwitchEnd::from_code,
                    stop: &self.stop,
                };
                unit.let_ended_go()
            }
        }
    }

    fn carry_out(
        &self,
        target: &str,
        action: &str,
        incident: &str,
    ) -> Result<SwitchEnd, FactError> {
        let words = [script(target), action.to_owned()];
        self.start(unit::NAME, &words, incident, SwitchEnd::from_code)
    }

    /// Runs another program than that of a system in the same way, in a unit of this name.
    pub(super) fn program(
        &self,
        unit: &str,
        words: &[String],
        incident: &str,
    ) -> Result<SwitchEnd, FactError> {
        let meaning = |code| match code {
            0 => SwitchEnd::Switched,
            other => SwitchEnd::Other(other),
        };
        self.start(unit, words, incident, meaning)
    }

    fn start(
        &self,
        unit: &str,
        words: &[String],
        incident: &str,
        meaning: fn(i32) -> SwitchEnd,
    ) -> Result<SwitchEnd, FactError> {
        let (first, rest) = words
            .split_first()
            .ok_or_else(|| FactError::malformed(ATTEMPT, "", "there is no program", "name one"))?;
        if self.stop.is_asked() {
            return Ok(SwitchEnd::Left);
        }
        let (mut command, program) = match &self.way {
            Way::Systemd(systemd) => {
                let unit = unit::Unit {
                    systemd,
                    name: unit,
                    meaning,
                    stop: &self.stop,
                };
                return unit.carry_out(words, incident, self.deadline);
            }
            Way::Child => (Command::new(first), PathBuf::from(first)),
            Way::Chroot { program, root } => {
                let mut command = Command::new(program);
                command.arg(root).arg(first);
                (command, program.clone())
            }
        };
        let failed = |path: &PathBuf, cause: &std::io::Error| {
            FactError::io(ATTEMPT, path, cause, "run as root on the host itself")
        };
        command.args(rest).env_clear().env("PATH", SEARCH_PATH);
        command
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null());
        // A pipe would break, and kill the switch, with the end of this process.
        match &self.log {
            None => command.stdout(Stdio::null()).stderr(Stdio::null()),
            Some(path) => {
                let log = OpenOptions::new().create(true).append(true).open(path);
                let log = log.map_err(|cause| failed(path, &cause))?;
                let copy = log.try_clone().map_err(|cause| failed(path, &cause))?;
                command.stdout(log).stderr(copy)
            }
        };
        let mut child = command.spawn().map_err(|cause| failed(&program, &cause))?;
        let begun = Instant::now();
        loop {
            match child.try_wait().map_err(|cause| failed(&program, &cause))? {
                Some(status) => return Ok(SwitchEnd::from_status(status, meaning)),
                None if self.stop.is_asked() => return Ok(SwitchEnd::Left),
                None if begun.elapsed() >= self.deadline => return Ok(SwitchEnd::Unfinished),
                None => thread::sleep(POLL),
            }
        }
    }
}

fn script(target: &str) -> String {
    format!("{target}/bin/switch-to-configuration")
}

#[cfg(test)]
mod tests;
