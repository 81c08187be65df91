//! The verb that activates a generation of a profile that is no system: a program of the
//! configuration, run as a switch is, outside of the watchdog's own unit.

use std::path::PathBuf;

use snowguard_host::FactError;

use super::switch::{Switch, SwitchEnd};

/// Activates what a profile points to.
#[derive(Debug, Clone)]
pub struct Activate {
    /// How the program is started, and how long it may take.
    pub switch: Switch,
    /// The name of the profile in the configuration, which is part of the unit's name.
    pub name: String,
    /// The profile, as the host names it.
    pub profile: PathBuf,
    /// The program, an absolute path, and its arguments. `{profile}` and `{target}` stand for the
    /// profile and for the store path that it points to.
    pub command: Vec<String>,
}

impl Activate {
    /// What it would do, for observe mode.
    pub fn describe(&self, target: &str) -> String {
        format!("would run {:?}", self.words(target))
    }

    /// Activates the target, to which the profile points already. Anything but 0 is a failure:
    /// what else a program may mean by its exit code is not known.
    ///
    /// # Errors
    /// It could not be started, so that nothing was done.
    pub fn run(&self, target: &str, incident: &str) -> Result<SwitchEnd, FactError> {
        let unit = format!("snowguard-activate-{}.service", self.name);
        let words = self.words(target);
        self.switch.program(&unit, &words, incident)
    }

    fn words(&self, target: &str) -> Vec<String> {
        let profile = self.profile.to_string_lossy();
        let fill = |word: &String| {
            word.replace("{profile}", &profile)
                .replace("{target}", target)
        };
        self.command.iter().map(fill).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::act::{stop::Stop, switch::Way};

    #[test]
    fn a_program_is_told_what_to_activate_and_only_0_is_success() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let said = dir.path().join("said");
        let activate = |script: String| Activate {
            switch: Switch {
                way: Way::Child,
                deadline: Duration::from_secs(60),
                log: None,
                stop: Stop::new(),
            },
            name: "home".to_owned(),
            profile: "/p".into(),
            command: vec![
                "/bin/sh".to_owned(),
                "-c".to_owned(),
                script,
                "{profile}".to_owned(),
                "{target}/x".to_owned(),
            ],
        };
        let verb = activate(format!("echo $0 $1 > {}", said.display()));
        let end = verb.run("/nix/store/t", "i").expect("started");
        assert_eq!(end, SwitchEnd::Switched);
        let text = std::fs::read_to_string(&said).expect("said");
        assert_eq!(text, "/p /nix/store/t/x\n");
        // What these mean of a switch, they do not mean of another program.
        for code in [1, 2, 4, 11, 100] {
            let end = activate(format!("exit {code}")).run("/t", "i");
            assert_eq!(end.expect("started"), SwitchEnd::Other(code));
        }
    }
}
