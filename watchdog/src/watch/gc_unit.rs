//! Whether the host's own collections fail: how `nix-gc.service` ended the last time.
//!
//! NixOS collects by that unit (`nixos/modules/services/misc/nix-gc.nix`), and a collection that
//! fails says so to nobody else.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use snowguard_exporter::sample::{Family, flag};
use snowguard_host::Layout;
use tracing::warn;

use super::means;
use crate::probe;

/// The metric of this module.
pub(super) const FAILED: &str = "nix_gc_unit_failed";
const UNIT: &str = "nix-gc.service";
/// A unit that ran at most hourly need not be asked for at each tick.
const EVERY: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(5);

/// What systemd says of the unit.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// The host has no such unit, or no systemd.
    NoUnit,
    /// Whether its last run failed.
    Failed(bool),
    /// Systemd did not say.
    Unknown,
}

/// Asks systemd, now and then.
#[derive(Debug)]
pub(super) struct GcUnit {
    systemctl: Option<PathBuf>,
    last: Option<(Instant, Answer)>,
}

impl GcUnit {
    /// The unit of the live host; another root has no systemd that runs.
    pub(super) fn of(layout: &Layout) -> Self {
        // As `sd_booted(3)` tells it.
        let booted = layout.is_live() && Path::new("/run/systemd/system").is_dir();
        Self {
            systemctl: booted.then(means::systemctl),
            last: None,
        }
    }

    /// The fact, if there is one; `None` if it could not be read, which makes the rules that read
    /// it blind.
    pub(super) fn look(&mut self, now: Instant) -> Option<Vec<Family>> {
        let due = |at: &Instant| now.saturating_duration_since(*at) >= EVERY;
        if self.last.as_ref().is_none_or(|(at, _)| due(at)) {
            let answer = self.ask();
            self.last = Some((now, answer));
        }
        match self.last.as_ref().map(|(_, answer)| answer) {
            Some(Answer::Failed(failed)) => Some(vec![Family::gauge(
                FAILED,
                "1 if the last run of nix-gc.service, which collects garbage, failed",
                flag(*failed),
            )]),
            Some(Answer::NoUnit) => Some(Vec::new()),
            Some(Answer::Unknown) | None => None,
        }
    }

    fn ask(&self) -> Answer {
        let Some(systemctl) = &self.systemctl else {
            return Answer::NoUnit;
        };
        let args = ["show", "--property=LoadState,ActiveState", "--", UNIT].map(str::to_owned);
        let said = probe::output(systemctl, &args, TIMEOUT);
        match said.and_then(|said| answer(&said)) {
            Ok(answer) => answer,
            Err(error) => {
                if self
                    .last
                    .as_ref()
                    .is_none_or(|(_, last)| *last != Answer::Unknown)
                {
                    warn!(%error, "systemd does not say how {UNIT} ended");
                }
                Answer::Unknown
            }
        }
    }
}

/// Reads what `systemctl show` printed.
fn answer(said: &str) -> Result<Answer, String> {
    let value = |key: &str| {
        let mut lines = said.lines().filter_map(|line| line.split_once('='));
        lines.find(|(name, _)| *name == key).map(|(_, value)| value)
    };
    match (value("LoadState"), value("ActiveState")) {
        (Some("not-found" | "masked"), _) => Ok(Answer::NoUnit),
        (Some("loaded"), Some(state)) => Ok(Answer::Failed(state == "failed")),
        _ => Err(format!("systemctl show {UNIT} said {said:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_that_failed_is_told_from_one_that_went_well_and_from_a_host_without_it() {
        let cases = [
            (
                "LoadState=loaded\nActiveState=failed\n",
                Answer::Failed(true),
            ),
            (
                "ActiveState=inactive\nLoadState=loaded\n",
                Answer::Failed(false),
            ),
            (
                "LoadState=loaded\nActiveState=activating\n",
                Answer::Failed(false),
            ),
            (
                "LoadState=not-found\nActiveState=inactive\n",
                Answer::NoUnit,
            ),
            ("LoadState=masked\nActiveState=inactive\n", Answer::NoUnit),
        ];
        for (said, expected) in cases {
            assert_eq!(answer(said), Ok(expected), "{said}");
        }
    }

    #[test]
    fn what_systemd_does_not_say_is_unknown_and_not_well() {
        for said in [
            "",
            "LoadState=error\nActiveState=inactive\n",
            "LoadState=loaded\n",
        ] {
            assert!(answer(said).is_err(), "{said}");
        }
        let mut unit = GcUnit {
            systemctl: Some(PathBuf::from("/nonexistent/systemctl")),
            last: None,
        };
        assert!(unit.look(Instant::now()).is_none());
    }

    #[test]
    fn a_host_without_systemd_has_no_such_fact_and_is_not_blind_for_it() {
        let mut unit = GcUnit {
            systemctl: None,
            last: None,
        };
        assert_eq!(unit.look(Instant::now()), Some(Vec::new()));
    }
}
