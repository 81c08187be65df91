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
        let nobody = Reboot { systemctl: None }.run().expect_err("no systemd");
        assert!(nobody.to_string().contains("no systemd runs"), "{nobody}");
        let systemctl = Some(PathBuf::from("/bin/false"));
        let refused = Reboot { systemctl }.run().expect_err("refused");
        assert!(refused.to_string().contains("by hand"), "{refused}");
        let systemctl = Some(PathBuf::from("/bin/true"));
        Reboot { systemctl }.run().expect("asked for");
    }
}
