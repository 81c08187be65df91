//! The second rung: what builds left behind. Nobody misses a directory in which no build works any
//! more; a log is missed by whoever looks into an old build, so it goes after.

use std::cmp::Reverse;

use snowguard_host::{LeftOver, LeftOverKind};

use super::Tally;
use crate::gc::{
    facts::{Facts, Scales},
    policy::{self, HARD_FULL, Policy, Space},
};

/// The second rung: left-over build directories and old build logs, chosen.
#[derive(Debug, Default)]
pub struct LeftBehind {
    /// In the order of removal.
    pub chosen: Vec<LeftOver>,
    /// What they free together.
    pub frees: Space,
    /// What could not be read, so that there may be more than was found.
    pub unreadable: Vec<String>,
}

impl LeftBehind {
    /// How many of a kind go.
    pub fn count(&self, kind: LeftOverKind) -> usize {
        self.chosen.iter().filter(|left| left.kind == kind).count()
    }
}

/// What one frees.
pub fn frees(left: &LeftOver) -> Space {
    Space {
        bytes: left.bytes,
        files: left.files,
    }
}

/// What Nix may need to work on a disk that is hard full, of what goes without Nix. Nothing where
/// there is room enough.
pub fn room(facts: &Facts, policy: &Policy, scales: &dyn Scales) -> LeftBehind {
    if !policy::is_hard_full(&facts.file_system) {
        return LeftBehind::default();
    }
    let enough = Space {
        bytes: 4 * HARD_FULL.bytes,
        files: 4 * HARD_FULL.files,
    };
    left_overs(facts, policy, enough, scales, &mut Tally::new(facts))
}

/// Chooses build directories, largest first, and then logs, those of derivations that are gone
/// before others, oldest first, until `need` is covered.
pub fn left_overs(
    facts: &Facts,
    policy: &Policy,
    need: Space,
    scales: &dyn Scales,
    tally: &mut Tally<'_>,
) -> LeftBehind {
    let ages = policy.ages();
    let left = scales.left_overs(ages, facts.now);
    let is_old = |left: &LeftOver| {
        // From the future counts as now: whose clock was wrong is not known.
        let age = facts.now.duration_since(left.changed).unwrap_or_default();
        ages.of(left.kind).is_some_and(|least| age >= least)
    };
    let mut found: Vec<LeftOver> = left.found.into_iter().filter(is_old).collect();
    let is_known = |left: &LeftOver| {
        let derivation = left.derivation.as_deref();
        derivation.is_some_and(|name| facts.analysis.graph.find(name).is_some())
    };
    found.sort_by_cached_key(|left| match left.kind {
        LeftOverKind::BuildDirectory => (left.kind, false, Reverse(left.bytes), None),
        LeftOverKind::Log => (left.kind, is_known(left), Reverse(0), Some(left.changed)),
    });
    let mut rung = LeftBehind {
        unreadable: left.unreadable.iter().map(ToString::to_string).collect(),
        ..LeftBehind::default()
    };
    for left in found {
        let missing = need.minus(tally.total());
        let frees = frees(&left);
        let helps = missing.bytes > 0 && frees.bytes > 0 || missing.files > 0 && frees.files > 0;
        if helps {
            tally.add(frees);
            rung.chosen.push(left);
        }
    }
    rung.frees = tally.since();
    rung
}
