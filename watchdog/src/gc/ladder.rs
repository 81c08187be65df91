//! The rungs of the ladder: what may go, in which order, and what each frees. Pure.

mod dead;
mod generations;
mod giving_up;
mod left_overs;
mod stale_roots;

use std::{ffi::OsStr, path::PathBuf};

use snowguard_host::{
    GenerationId,
    store::{Analysis, PathId, PathSet, Reclaim, Root, extend},
};

use self::giving_up::Offer;
pub use self::{
    dead::{DeadPaths, Group, Tier, dead_paths},
    generations::{is_in_boot_menu, kept_by_boot_menu},
    left_overs::{LeftBehind, frees, left_overs, room},
    stale_roots::StaleRoot,
};
use super::{
    facts::{Facts, Scales},
    policy::{Policy, Space},
};

/// A generation to give up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Victim {
    /// The profile's name.
    pub profile: PathBuf,
    /// The profile's own link.
    pub profile_link: PathBuf,
    /// Which generation.
    pub id: GenerationId,
    /// Its link.
    pub link: PathBuf,
    /// What giving it up frees, after all older victims.
    pub frees: Space,
}

enum Either {
    Generation(Victim),
    Root(StaleRoot),
}

impl Offer for Either {
    fn keeps(&self, facts: &Facts) -> Option<PathId> {
        let name = match self {
            Self::Generation(victim) => victim.id.target.file_name().and_then(OsStr::to_str),
            Self::Root(root) => Some(root.keeps.as_str()),
        };
        name.and_then(|name| facts.analysis.graph.find(name))
    }

    fn is(&self, root: &Root) -> bool {
        match self {
            Self::Generation(victim) => victim.link == root.link,
            Self::Root(stale) => root.via.as_ref() == Some(&stale.auto),
        }
    }
}

/// Chooses what keeps paths alive and may go: generations beyond policy, oldest first, and then
/// automatic roots, if the policy names an age, oldest first; only as many as it takes.
pub fn keepers(
    facts: &Facts,
    policy: &Policy,
    need: Space,
    scales: &dyn Scales,
    tally: &mut Tally<'_>,
) -> (Vec<Victim>, Vec<StaleRoot>) {
    let generations = generations::removable(facts, policy, scales).into_iter();
    let roots = stale_roots::removable(facts, policy, scales).into_iter();
    let offers = (generations.map(Either::Generation))
        .chain(roots.map(Either::Root))
        .collect();
    let (mut victims, mut stale) = (Vec::new(), Vec::new());
    for (offer, frees) in giving_up::choose(facts, policy, need, scales, tally, offers) {
        match offer {
            Either::Generation(victim) => victims.push(Victim { frees, ..victim }),
            Either::Root(root) => stale.push(StaleRoot { frees, ..root }),
        }
    }
    (victims, stale)
}

/// Adds up what is freed, rung after rung: a file shared by two rungs is freed by the second.
pub struct Tally<'a> {
    reclaim: Reclaim<'a>,
    /// What is not in the store.
    beside: Space,
    before: Space,
    /// Paths that could not be measured and therefore stay, and what they keep.
    pinned: PathSet,
}

impl<'a> Tally<'a> {
    /// Nothing freed yet. What the boot menu names stays.
    pub fn new(facts: &'a Facts) -> Self {
        let mut tally = Self {
            reclaim: Reclaim::new(&facts.optimised),
            beside: Space::NONE,
            before: Space::NONE,
            pinned: PathSet::new(facts.analysis.graph.len()),
        };
        let named = facts.named_by_menu.iter();
        let names = named.filter_map(|path| path.file_name().and_then(OsStr::to_str));
        let ids = names.filter_map(|name| facts.analysis.graph.find(name));
        tally.pin(&facts.analysis, ids);
        tally
    }

    fn pin(&mut self, analysis: &Analysis, paths: impl IntoIterator<Item = PathId>) {
        let Analysis { graph, keep, .. } = analysis;
        extend(graph, *keep, &mut self.pinned, paths, |_| ());
    }

    fn total(&self) -> Space {
        Space {
            bytes: self.reclaim.bytes() + self.beside.bytes,
            files: self.reclaim.files() + self.beside.files,
        }
    }

    fn add(&mut self, beside: Space) {
        self.beside = self.beside.plus(beside);
    }

    /// What was freed since the last call.
    fn since(&mut self) -> Space {
        let now = self.total();
        let gained = now.minus(self.before);
        self.before = now;
        gained
    }
}
