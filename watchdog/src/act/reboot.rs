//! The verb that reboots the host, for a rollback that nothing else can carry out.

use std::{path::PathBuf, time::Duration};

use snowguard_host::{FactError, Kind};

use crate::probe::command;

const ATTEMPT: &str = "reboot the host";
const TIMEOUT: Duration = Duration::from_secs(30);

/// Reboots the host.
#[derive(Debug, Clone)]
pub struct Reboot {
    /// `systemctl`, an absolute path; `None` where no systemd runs the host.
    pub systemctl: Option<PathBuf>,
    /// Where the state of the rollback is while its own disk does not take it. No reboot outlives
    /// that: the hold of the updater, the place of the fleet and what was condemned would be
    /// forgotten.
    pub unsaved: PathBuf,
}

impl Reboot {
    /// Asks systemd for it, which stops everything in order first. Returns before that.
    ///
    /// # Errors
    /// It was not asked, or refused.
    pub fn run(&self) -> Result<(), FactError> {
        let Some(systemctl) = &self.systemctl else {
            let why = "no systemd runs this host";
            return Err(FactError::new(
                Kind::Io,
                ATTEMPT,
                "/run/systemd/system",
                why,
                "reboot it by hand",
            ));
        };
        if self.unsaved.exists() {
            let why = "the state of the rollback is there alone, because its own disk takes nothing, \
                       and a reboot would forget it";
            let cure = "make room for `watchdog.state_dir`, then reboot it by hand";
            return Err(FactError::new(Kind::Io, ATTEMPT, &self.unsaved, why, cure));
        }
        let args = ["--no-ask-password", "reboot"].map(ToOwned::to_owned);
        command::check(systemctl, &args, TIMEOUT)
            .map(|_| ())
            .map_err(|why| FactError::new(Kind::Io, ATTEMPT, systemctl, why, "reboot it by hand"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_cannot_be_rebooted_says_so() {
        let reboot = |systemctl: Option<&str>| Reboot {
            systemctl: systemctl.map(PathBuf::from),
            unsaved: PathBuf::from("/nonexistent"),
        };
        let nobody = reboot(None).run().expect_err("no systemd");
        assert!(nobody.to_string().contains("no systemd runs"), "{nobody}");
        let refused = reboot(Some("/bin/false")).run().expect_err("refused");
        assert!(refused.to_string().contains("by hand"), "{refused}");
        reboot(Some("/bin/true")).run().expect("asked for");
        let forgets = Reboot {
            unsaved: PathBuf::from("/proc/self/stat"),
            ..reboot(Some("/bin/true"))
        };
        let refused = forgets.run().expect_err("refused");
        assert!(refused.to_string().contains("would forget it"), "{refused}");
    }
}
