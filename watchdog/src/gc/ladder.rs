//! The rungs of the ladder: what may go, in which order, and what each frees. Pure.

mod dead;
mod generations;

use std::path::PathBuf;

use snowguard_host::{
    GenerationId,
    store::{Analysis, PathId, PathSet, Reclaim, extend},
};

pub use self::{
    dead::{DeadPaths, Group, Tier, dead_paths},
    generations::generations,
};
use super::{facts::Facts, policy::Space};

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

/// Adds up what is freed, rung after rung: a file shared by two rungs is freed by the second.
pub struct Tally<'a> {
    reclaim: Reclaim<'a>,
    before: Space,
    /// Paths that could not be measured and therefore stay, and what they keep.
    pinned: PathSet,
}

impl<'a> Tally<'a> {
    /// Nothing freed yet.
    pub fn new(facts: &'a Facts) -> Self {
        Self {
            reclaim: Reclaim::new(&facts.optimised),
            before: Space::NONE,
            pinned: PathSet::new(facts.analysis.graph.len()),
        }
    }

    fn pin(&mut self, analysis: &Analysis, paths: impl IntoIterator<Item = PathId>) {
        let Analysis { graph, keep, .. } = analysis;
        extend(graph, *keep, &mut self.pinned, paths, |_| ());
    }

    fn total(&self) -> Space {
        Space {
            bytes: self.reclaim.bytes(),
            files: self.reclaim.files(),
        }
    }

    /// What was freed since the last call.
    fn since(&mut self) -> Space {
        let now = self.total();
        let gained = now.minus(self.before);
        self.before = now;
        gained
    }
}
