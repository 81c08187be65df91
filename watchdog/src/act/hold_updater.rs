//! The verb that keeps the updater from deploying a closure again that was rolled back from.
//!
//! A flag in the state directory, which outlives a reboot, and for each unit a drop-in that lets it
//! start only without that flag; what runs already is stopped. Where the state directory takes
//! nothing, on a full disk, the flag is on tmpfs until it does. A mask in `/run` would do nothing:
//! the units of NixOS lie in `/etc/systemd/system`, which goes before it (`systemd.unit(5)`), while
//! drop-ins of all directories are read together. The NixOS module gives the units the same
//! condition for good, so that it holds from the first moment of a boot.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use snowguard_host::{FactError, Kind, Layout, Locks};

use crate::{keep, probe::command};

mod units;

pub use units::Manager;

const ATTEMPT: &str = "hold the updater";
/// The flag, in the state directory or, for want of room there, in that of this boot: as long as it is there, the updater is held.
pub const FLAG: &str = "updater-held";
/// How long a command of the configuration may take.
const HOOK: Duration = Duration::from_secs(30);
/// Taken by `switch-to-configuration` while it switches.
pub const SWITCH_LOCK: &str = "/run/nixos/switch-to-configuration.lock";

/// What the configuration says of updaters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updaters {
    /// Units of systemd, by their whole names. Those that are not there are no updaters here.
    pub units: Vec<String>,
    /// Holds what is no unit; `{closure}` stands for the store path. Empty for none.
    pub hold_command: Vec<String>,
    /// Ends that.
    pub release_command: Vec<String>,
}

impl Default for Updaters {
    fn default() -> Self {
        Self {
            units: vec![
                "nixos-upgrade.service".to_owned(),
                "comin.service".to_owned(),
            ],
            hold_command: Vec::new(),
            release_command: Vec::new(),
        }
    }
}

/// Holds the updater of one host.
#[derive(Debug, Clone)]
pub struct HoldUpdater {
    /// What there is to hold.
    pub updaters: Updaters,
    /// The host.
    pub layout: Layout,
    /// The state directory, as the host names it.
    pub state_dir: PathBuf,
    /// The directory of this boot, as the host names it: for what the other has no room for.
    pub run_dir: PathBuf,
    /// The running systemd; without one no unit is held.
    pub systemd: Option<Manager>,
    /// The profile whose updater it is, `None` for the system's.
    pub profile: Option<String>,
}

/// What was done, for the end of the hold and so that it is not done again.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Done {
    /// Units that ran, and are to run again.
    stopped: Vec<String>,
    /// The boot in which the command was run.
    hook: Option<String>,
    /// What ends that, as it was configured then: by the end of the hold the configuration may be
    /// another, or that of a generation that was gone back to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    release_command: Vec<String>,
}

impl HoldUpdater {
    /// Holds it for this closure. What that changed, in a sentence; `None` if all of it was so.
    ///
    /// # Errors
    /// What is not held. All that could be is.
    pub fn hold(&self, closure: &str) -> Result<Option<String>, FactError> {
        let mut did = Vec::new();
        let name = self.name(FLAG, "");
        let text = format!("{closure}\n");
        let said = self.read(&name)?;
        self.settle(&name)?;
        if said.as_deref() != Some(text.as_str()) {
            let lasts = self.write(&name, text.as_bytes())?;
            let until = if lasts {
                ""
            } else {
                ", in this boot alone for want of room on the disk"
            };
            did.push(format!("{name:?} says so{until}"));
        }
        self.settle(&self.name("updater", ".json"))?;
        let mut done = self.done()?;
        let hooked = self.hook_once(closure, &mut done, &mut did);
        let barred = self.bar(&mut done, &mut did);
        hooked.and(barred)?;
        Ok((!did.is_empty()).then(|| did.join(", ")))
    }

    /// Ends the hold, and starts again what ran when it began. What was done, in a sentence.
    ///
    /// # Errors
    /// What is held still.
    pub fn release(&self) -> Result<String, FactError> {
        let done = self.done()?;
        let mut did = Vec::new();
        if done.hook.is_some() {
            did.push(self.unhook(&done)?.to_owned());
        }
        self.remove(&self.name(FLAG, ""))?;
        if let Some(systemd) = &self.systemd {
            systemd.unbar(&self.drop_in())?;
            for unit in &done.stopped {
                if systemd.start(unit)? {
                    did.push(format!("{unit} was started again"));
                }
            }
        }
        self.remove(&self.name("updater", ".json"))?;
        did.push("what was held may start".to_owned());
        Ok(did.join(", "))
    }

    /// Lets no unit start, and stops those that run.
    fn bar(&self, done: &mut Done, did: &mut Vec<String>) -> Result<(), FactError> {
        let Some(systemd) = &self.systemd else {
            return Ok(());
        };
        let name = self.name(FLAG, "");
        let flags = [&self.state_dir, &self.run_dir].map(|directory| directory.join(&name));
        for unit in &self.updaters.units {
            if systemd.bar(unit, &self.drop_in(), &flags)? {
                did.push(format!("{unit} may not start"));
            }
        }
        systemd.reload_if_needed()?;
        for unit in systemd.running(&self.updaters.units)? {
            // Half a switch is worse than a bad system.
            if self.switches()? {
                return Err(FactError::new(
                    Kind::Io,
                    ATTEMPT,
                    self.layout.inside(SWITCH_LOCK),
                    format!("{} runs, and so does a switch", unit.name),
                    "it is stopped once the switch has ended",
                ));
            }
            if unit.stays && !done.stopped.contains(&unit.name) {
                done.stopped.push(unit.name.clone());
                self.keep(done)?;
            }
            systemd.stop(&unit.name)?;
            did.push(format!("{} was stopped", unit.name));
        }
        Ok(())
    }

    fn switches(&self) -> Result<bool, FactError> {
        Locks::read(&self.layout)?.is_held(&self.layout.inside(SWITCH_LOCK))
    }

    /// Once in each boot: what the command did may not outlive one.
    fn hook_once(
        &self,
        closure: &str,
        done: &mut Done,
        did: &mut Vec<String>,
    ) -> Result<(), FactError> {
        let boot = fs::read_to_string(self.layout.proc_dir().join("sys/kernel/random/boot_id"))
            .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned());
        if self.updaters.hold_command.is_empty() || done.hook.as_ref() == Some(&boot) {
            return Ok(());
        }
        // On disk first: a hold that was half done is released as well.
        done.hook = Some("begun".to_owned());
        (done.release_command).clone_from(&self.updaters.release_command);
        self.keep(done)?;
        run(&self.updaters.hold_command, closure)?;
        done.hook = Some(boot);
        self.keep(done)?;
        did.push("the hold command ran".to_owned());
        Ok(())
    }

    /// Ends what the command did, by what belongs to it; by what the configuration has now only
    /// where that is not known or fails.
    fn unhook(&self, done: &Done) -> Result<&'static str, FactError> {
        const RAN: &str = "the release command ran";
        let configured = &self.updaters.release_command;
        match (done.release_command.is_empty(), configured.is_empty()) {
            (true, true) => Ok(
                "what the hold command did stands, for no release command is known: undo it by hand",
            ),
            (true, false) => run(configured, "").map(|()| RAN),
            (false, _) => match run(&done.release_command, "") {
                Err(_) if !configured.is_empty() && *configured != done.release_command => {
                    run(configured, "").map(|()| RAN)
                }
                outcome => outcome.map(|()| RAN),
            },
        }
    }

    fn done(&self) -> Result<Done, FactError> {
        let name = self.name("updater", ".json");
        match self.read(&name)? {
            None => Ok(Done::default()),
            Some(text) => serde_json::from_str(&text).map_err(|cause| {
                FactError::malformed(ATTEMPT, self.lasting(&name), cause.to_string(), "remove it")
            }),
        }
    }

    fn keep(&self, done: &Done) -> Result<(), FactError> {
        let name = self.name("updater", ".json");
        let text = serde_json::to_vec_pretty(done).map_err(|cause| {
            FactError::malformed(ATTEMPT, self.lasting(&name), cause.to_string(), "")
        })?;
        self.write(&name, &text).map(|_| ())
    }

    /// The file of this name; that of this boot, if there is one, is the newer.
    fn read(&self, name: &str) -> Result<Option<String>, FactError> {
        for path in [self.spare(name), self.lasting(name)] {
            match fs::read_to_string(&path) {
                Ok(text) => return Ok(Some(text)),
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => return Err(FactError::io(ATTEMPT, &path, &cause, "remove it")),
            }
        }
        Ok(None)
    }

    /// False if only this boot will know of it.
    fn write(&self, name: &str, text: &[u8]) -> Result<bool, FactError> {
        let (lasting, spare) = (self.lasting(name), self.spare(name));
        match keep::replace(&lasting, text) {
            Ok(()) => {
                gone(&spare)?;
                Ok(true)
            }
            Err(cause) => match keep::replace(&spare, text) {
                Ok(()) => Ok(false),
                Err(_) => {
                    let cure = "free some space on its file system";
                    Err(FactError::io(ATTEMPT, &lasting, &cause, cure))
                }
            },
        }
    }

    /// Brings what went to the directory of this boot to where it lasts, once there is room.
    fn settle(&self, name: &str) -> Result<(), FactError> {
        match fs::read(self.spare(name)) {
            Ok(text) => self.write(name, &text).map(|_| ()),
            // What is wrong with it, who reads it says.
            Err(_) => Ok(()),
        }
    }

    fn remove(&self, name: &str) -> Result<(), FactError> {
        gone(&self.spare(name))?;
        gone(&self.lasting(name))
    }

    /// The name of a file of this updater.
    fn name(&self, first: &str, last: &str) -> String {
        match &self.profile {
            None => format!("{first}{last}"),
            Some(profile) => format!("{first}-{profile}{last}"),
        }
    }

    /// Behind what others drop in, so that nothing overrides it.
    fn drop_in(&self) -> String {
        self.name("zz-snowguard-hold", ".conf")
    }

    fn lasting(&self, name: &str) -> PathBuf {
        self.layout.inside(&self.state_dir).join(name)
    }

    fn spare(&self, name: &str) -> PathBuf {
        self.layout.inside(&self.run_dir).join(name)
    }
}

fn gone(path: &Path) -> Result<(), FactError> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(FactError::io(
            "let the updater go",
            path,
            &cause,
            "remove it",
        )),
        _ => Ok(()),
    }
}

fn run(argv: &[String], closure: &str) -> Result<(), FactError> {
    let mut words = argv.iter().map(|word| word.replace("{closure}", closure));
    let program = PathBuf::from(words.next().unwrap_or_default());
    let args: Vec<String> = words.collect();
    command::check(&program, &args, HOOK)
        .map(|_| ())
        .map_err(|why| {
            FactError::new(
                Kind::Io,
                ATTEMPT,
                &program,
                why,
                "see `rollback.hold_command` and `rollback.release_command`",
            )
        })
}

#[cfg(test)]
mod tests;
