//! The first rung: which dead paths go, and in which order.
//!
//! What is least missed goes first: nobody misses an entry that the database does not know; a
//! path that a substituter has is a download; what came from elsewhere may have to be looked for;
//! what was built here must be built again, and a long build goes last. Of what is missed alike
//! the largest goes first, because then the fewest have to go. A path takes all that keeps it
//! along, so it counts for the one of them that is missed most.
//!
//! Not much more is freed than is needed: a path that would free too much waits for smaller ones
//! of its tier, and in the end what turns out not to be needed stays.

mod choice;
mod pieces;

use std::{
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
};

use serde::Serialize;
use snowguard_host::{
    FactError,
    provenance::Regret,
    store::{Footprint, Keepers, PathId, extend},
};

use self::choice::{Candidate, Choice};
use super::Tally;
use crate::gc::{
    facts::{Facts, Scales},
    policy::{Policy, Space},
};

/// Entries of the store directory that must go together, or after the groups before them.
pub type Group = Vec<OsString>;

/// How much a path is missed once it is deleted, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Not in the database: left by something that did not end well.
    Stray,
    /// A substituter has it.
    Download,
    /// It came from elsewhere.
    Fetch,
    /// It was built here.
    Build,
    /// It was built here, for [`Tier::LONG_SECONDS`] or more.
    LongBuild,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Stray,
        Self::Download,
        Self::Fetch,
        Self::Build,
        Self::LongBuild,
    ];
    /// A build that took so long is a long one.
    pub const LONG_SECONDS: u64 = 600;

    fn of(regret: Regret) -> Self {
        match regret {
            Regret::Download => Self::Download,
            Regret::Fetch => Self::Fetch,
            Regret::Build {
                seconds: Some(Self::LONG_SECONDS..),
            } => Self::LongBuild,
            Regret::Build { .. } => Self::Build,
        }
    }
}

/// The first rung: dead paths, chosen.
#[derive(Debug, Default)]
pub struct DeadPaths {
    /// In the order of deletion.
    pub groups: Vec<Group>,
    /// What they free together.
    pub frees: Space,
    /// How many of them are missed how much.
    pub tiers: BTreeMap<Tier, usize>,
    /// Dead entries that stay because they came only now.
    pub recent: usize,
    /// Dead entries that could not be measured and therefore stay, with why.
    pub unmeasured: Vec<String>,
    /// What could not be read of how much paths are missed: the order is worse for it.
    pub unordered: Vec<String>,
}

/// Chooses dead paths until `need` is covered, what is least missed first.
pub fn dead_paths(
    facts: &Facts,
    policy: &Policy,
    need: Space,
    scales: &dyn Scales,
    tally: &mut Tally<'_>,
) -> DeadPaths {
    let mut rung = DeadPaths {
        unordered: facts
            .regrets
            .unreadable
            .iter()
            .map(ToString::to_string)
            .collect(),
        ..DeadPaths::default()
    };
    let footprints = weighed(facts, policy, scales, tally, &mut rung);
    let graph = &facts.analysis.graph;
    let tiers = tiers(facts);
    let candidates = footprints.into_iter().map(|(name, footprint)| {
        let id = name.to_str().and_then(|name| graph.find(name));
        let (tier, minutes) = match id {
            None => (Tier::Stray, 1),
            Some(id) => {
                let minutes = match facts.regrets.of(id) {
                    Regret::Build {
                        seconds: Some(seconds),
                    } => (seconds / 60).max(1),
                    _ => 1,
                };
                (tiers.get(&id).copied().unwrap_or(Tier::LongBuild), minutes)
            }
        };
        Candidate {
            name,
            id,
            footprint,
            tier,
            minutes,
        }
    });
    let mut choice = Choice::new(
        candidates.collect(),
        Keepers::of(graph, facts.analysis.keep),
        tally,
        need,
    );
    choice.fill();
    choice.take_apart();
    choice.drop_superfluous();
    for (group, ids) in choice.into_groups(graph) {
        for id in ids {
            let tier = id.map_or(Tier::Stray, |id| Tier::of(facts.regrets.of(id)));
            *rung.tiers.entry(tier).or_default() += 1;
        }
        rung.groups.push(group);
    }
    rung.frees = tally.since();
    rung
}

/// Everything dead that may go, with what lies under it. What may not is pinned, with all that it
/// keeps.
fn weighed(
    facts: &Facts,
    policy: &Policy,
    scales: &dyn Scales,
    tally: &mut Tally<'_>,
    rung: &mut DeadPaths,
) -> BTreeMap<OsString, Footprint> {
    let graph = &facts.analysis.graph;
    let valid = facts.analysis.dead.iter();
    let valid = valid.map(|id| (OsString::from(graph.name(*id)), Some(*id)));
    let strays = facts
        .analysis
        .strays
        .iter()
        .filter(|name| is_store_name(name));
    let mut footprints = BTreeMap::new();
    for (name, id) in valid.chain(strays.map(|name| (name.clone(), None))) {
        match weigh(facts, policy, scales, &name) {
            Ok(footprint) => {
                footprints.insert(name, footprint);
            }
            Err(stays) => {
                tally.pin(&facts.analysis, id);
                match stays {
                    Stays::Recent => rung.recent += 1,
                    Stays::Unmeasured(error) => rung.unmeasured.push(error.to_string()),
                }
            }
        }
    }
    footprints.retain(|name, _| {
        let id = name.to_str().and_then(|name| graph.find(name));
        !id.is_some_and(|id| tally.pinned.contains(id))
    });
    footprints
}

/// Why an entry stays although nothing keeps it.
pub(super) enum Stays {
    /// It came so lately that a deploy, a build or a user may be about to need it.
    Recent,
    /// It cannot be measured.
    Unmeasured(FactError),
}

/// What lies under an entry, if it may go once nothing keeps it.
pub(super) fn weigh(
    facts: &Facts,
    policy: &Policy,
    scales: &dyn Scales,
    name: &OsStr,
) -> Result<Footprint, Stays> {
    if !policy.keep_recent.is_zero() {
        let arrived = scales.arrived(name).map_err(Stays::Unmeasured)?;
        // From the future counts as now: whose clock was wrong is not known.
        let age = arrived.map(|arrived| facts.now.duration_since(arrived).unwrap_or_default());
        if age.is_some_and(|age| age < policy.keep_recent) {
            return Err(Stays::Recent);
        }
    }
    scales.weigh(name).map_err(Stays::Unmeasured)
}

/// How much each dead path is missed together with all that keeps it.
fn tiers(facts: &Facts) -> HashMap<PathId, Tier> {
    let analysis = &facts.analysis;
    let mut tiers = HashMap::new();
    let mut seen = analysis.alive.clone();
    for tier in Tier::ALL.into_iter().rev() {
        let dead = analysis.dead.iter().copied();
        let of_tier = dead.filter(|id| Tier::of(facts.regrets.of(*id)) == tier);
        extend(&analysis.graph, analysis.keep, &mut seen, of_tier, |id| {
            tiers.insert(id, tier);
        });
    }
    tiers
}

/// Whether Nix can be asked to delete an entry of this name: `HASH-NAME`. Any other is left to a
/// full collection.
fn is_store_name(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        name.len() > 33
            && name.is_char_boundary(32)
            && name[..32]
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && name[32..].starts_with('-')
            && name[33..]
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-._?=".contains(&b))
            && !name[33..].starts_with('.')
    })
}
