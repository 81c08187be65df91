//! What a plan stays within: what turned out to be immovable, and what somebody has agreed to.

use std::{
    cell::Cell,
    collections::HashSet,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::SystemTime,
};

use snowguard_host::{Ages, FactError, Kind, LeftOvers, STORE_DIR, store::Footprint};

use crate::gc::{facts::Scales, plan::Plan};

/// What a plan that was shown gives up beyond dead paths. More is not agreed to, whatever may be
/// missing when it is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// What builds left, links of generations, and automatic roots.
    paths: HashSet<PathBuf>,
}

impl Agreed {
    /// To all that a plan says.
    pub fn to(plan: &Plan) -> Self {
        let left = plan.left_overs.chosen.iter().chain(&plan.room.chosen);
        let left = left.map(|left| left.path.clone());
        let generations = plan.victims.iter().map(|victim| victim.link.clone());
        let roots = plan.roots.iter().map(|root| root.auto.clone());
        Self {
            paths: left.chain(generations).chain(roots).collect(),
        }
    }
}

/// Scales on which nothing can be weighed that Nix did not give up, and nothing is found that could
/// not be removed or is not agreed to: it is then neither chosen nor promised, and neither is what
/// it keeps.
pub(super) struct Within<'a> {
    pub(super) scales: &'a dyn Scales,
    pub(super) refused: [&'a HashSet<OsString>; 2],
    pub(super) stuck: &'a HashSet<PathBuf>,
    pub(super) agreed: Option<&'a Agreed>,
    /// Something was left out that is not agreed to.
    pub(super) is_withheld: Cell<bool>,
}

impl Scales for Within<'_> {
    fn weigh(&self, name: &OsStr) -> Result<Footprint, FactError> {
        if self.refused.iter().any(|names| names.contains(name)) {
            let path = Path::new(STORE_DIR).join(name);
            let cause = "Nix did not give it up a moment ago";
            return Err(FactError::new(Kind::Busy, "delete", path, cause, ""));
        }
        self.scales.weigh(name)
    }

    fn tells_room(&self) -> bool {
        false
    }

    fn arrived(&self, name: &OsStr) -> Result<Option<SystemTime>, FactError> {
        self.scales.arrived(name)
    }

    fn left_overs(&self, ages: Ages, now: SystemTime) -> LeftOvers {
        let mut left = self.scales.left_overs(ages, now);
        left.found.retain(|left| self.may_go(&left.path, None));
        left
    }

    fn made(&self, link: &Path) -> Result<Option<SystemTime>, FactError> {
        self.scales.made(link)
    }

    fn may_go(&self, link: &Path, profile: Option<&Path>) -> bool {
        if !self.scales.may_go(link, profile) {
            return false;
        }
        let is_agreed = (self.agreed).is_none_or(|agreed| agreed.paths.contains(link));
        if !is_agreed {
            self.is_withheld.set(true);
        }
        let is_stuck = |path: &Path| self.stuck.contains(path);
        is_agreed && !is_stuck(link) && !profile.is_some_and(is_stuck)
    }
}
