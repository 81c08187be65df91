//! What the generations of each profile hold, and what giving them up would free.
//!
//! All of it from one labelling ([`Retained`]) with each generation as a holder and each profile
//! as a group. What only one profile's generations keep is no other's, so that the walks for all
//! profiles together see each path once.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{
    Graph, HeldBy, Holder, Keep, PathId, PathSet, Retained, Roots, Share, liveness::kept_by,
    roots::valid_path,
};
use crate::{Profile, Profiles};

/// In place of a generation's, the place of the link of a profile that has none.
const NO_GENERATION: usize = usize::MAX;

/// What one generation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// The valid path that it points at or into.
    pub path: Option<PathId>,
    /// What only this generation keeps alive: what deleting its link, and nothing else, makes
    /// dead. Nothing if anything else, also a generation of the same target, keeps its target.
    pub alone: Share,
    /// What giving up all older generations of the profile makes dead, but for those that stay.
    pub frees_older: Share,
    /// True for the current generation, and for those whose target was said to stay: they are
    /// never given up.
    pub stays: bool,
}

/// What the generations of one profile hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileHoldings {
    /// The profile's name.
    pub name: PathBuf,
    /// By generation, in the order of [`Profile::generations`]: ascending by number.
    pub generations: Vec<Holding>,
    /// What the generations together, or the link of a profile without any, keep alive and nothing
    /// else does.
    pub together: Share,
    /// From which generation on, downwards, is counted what is kept: the place of the current
    /// one, or of the newest where there is no current one.
    counted_from: Option<usize>,
}

impl ProfileHoldings {
    /// What a collection would free if only the newest `keep` generations were kept, beyond what
    /// is dead already. Counted as `nix-env --delete-generations +KEEP` counts: the current
    /// generation is the first, those newer than it stay as well; but where the profile has no
    /// current generation, the newest is the first. To keep none is to keep one.
    pub fn keeping(&self, keep: usize) -> Share {
        let last_kept = self
            .counted_from
            .and_then(|first| first.checked_sub(keep.saturating_sub(1)));
        last_kept.map_or_else(Share::default, |place| self.generations[place].frees_older)
    }
}

/// What all generations hold, beside who keeps each path.
#[derive(Debug)]
pub struct Holdings {
    /// In the order of [`Profiles::profiles`].
    pub profiles: Vec<ProfileHoldings>,
    retained: Retained,
    /// The profile and the place of each holder.
    holders: Vec<(usize, usize)>,
}

impl Holdings {
    /// Weighs the generations of all profiles. `stay` are store paths whose generations are never
    /// given up, besides the current ones: the booted, the running, the boot default.
    ///
    /// If roots are missing from `roots`, each share is an upper bound.
    pub fn of(
        graph: &Graph,
        keep: Keep,
        roots: &Roots,
        profiles: &Profiles,
        stay: &[&Path],
    ) -> Self {
        let mut places: HashMap<&Path, usize> = HashMap::new();
        let mut holders = Vec::new();
        let mut whose = Vec::new();
        for (group, profile) in profiles.profiles.iter().enumerate() {
            for (place, generation) in profile.generations.iter().enumerate() {
                places.insert(&generation.link, holders.len());
                whose.push((group, place));
                holders.push(Holder {
                    paths: Vec::new(),
                    group,
                });
            }
        }
        // A profile of the oldest kind is its own link, straight to the store.
        for (group, profile) in profiles.profiles.iter().enumerate() {
            if profile.generations.is_empty() {
                places.insert(&profile.link, holders.len());
                whose.push((group, NO_GENERATION));
                holders.push(Holder {
                    paths: Vec::new(),
                    group,
                });
            }
        }
        let mut others = Vec::new();
        for root in &roots.found {
            match places.get(root.link.as_path()) {
                Some(holder) => holders[*holder].paths.push(root.path),
                None => others.push(root.path),
            }
        }
        let retained = Retained::of(graph, keep, others, &holders);
        let alone = retained.by_holder(graph);
        let together = retained.by_group(graph);
        let mut walk = Walk {
            graph,
            keep,
            retained: &retained,
            seen: PathSet::new(graph.len()),
        };
        let mut first = 0;
        let mut held = Vec::new();
        for (group, profile) in profiles.profiles.iter().enumerate() {
            let own = first..first + profile.generations.len();
            first = own.end;
            held.push(ProfileHoldings {
                name: profile.name.clone(),
                generations: walk.profile(profile, group, &holders[own.clone()], &alone[own], stay),
                together: together.get(group).copied().unwrap_or_default(),
                counted_from: match profile.current {
                    Some(number) if profile.generation(number).is_some() => {
                        (profile.generations.iter()).position(|g| g.id.number == number)
                    }
                    _ => profile.generations.len().checked_sub(1),
                },
            });
        }
        Self {
            profiles: held,
            retained,
            holders: whose,
        }
    }

    /// The paths that only this generation keeps, in the order of the graph.
    pub fn alone(&self, graph: &Graph, profile: usize, place: usize) -> Vec<PathId> {
        let wanted = (profile, place);
        let mut ids = graph.ids();
        let is_its = |id: &PathId| {
            matches!(self.retained.held_by(*id), HeldBy::Holder(holder)
                if self.holders.get(holder) == Some(&wanted))
        };
        ids.by_ref().filter(is_its).collect()
    }
}

/// A walk over what only one profile's generations keep.
struct Walk<'a> {
    graph: &'a Graph,
    keep: Keep,
    retained: &'a Retained,
    seen: PathSet,
}

impl Walk<'_> {
    fn profile(
        &mut self,
        profile: &Profile,
        group: usize,
        holders: &[Holder],
        alone: &[Share],
        stay: &[&Path],
    ) -> Vec<Holding> {
        let mut holdings: Vec<Holding> = (profile.generations.iter().zip(alone))
            .map(|(generation, alone)| Holding {
                path: (generation.id.target.to_str())
                    .and_then(|target| valid_path(self.graph, target)),
                alone: *alone,
                frees_older: Share::default(),
                stays: profile.current == Some(generation.id.number)
                    || stay.iter().any(|path| *path == generation.id.target),
            })
            .collect();
        let mut shares = vec![Share::default(); holders.len()];
        for (holder, holding) in holders.iter().zip(&holdings) {
            if holding.stays {
                self.reach(group, &holder.paths);
            }
        }
        // Newest first: each is asked what it is the first to reach. Giving up all that are older
        // than one frees the sum of their shares.
        for place in (0..holders.len()).rev() {
            shares[place] = self.reach(group, &holders[place].paths);
        }
        let mut older = Share::default();
        for (holding, share) in holdings.iter_mut().zip(shares) {
            holding.frees_older = older;
            older = older.plus(share);
        }
        holdings
    }

    /// What was not reached yet, of what this profile alone keeps.
    fn reach(&mut self, group: usize, from: &[PathId]) -> Share {
        let Self {
            graph,
            keep,
            retained,
            seen,
        } = self;
        let mut share = Share::default();
        let mut todo = Vec::new();
        let mut see = |id: PathId, todo: &mut Vec<PathId>| {
            // What others keep as well keeps nothing that only this profile keeps.
            if retained.group_of(id) == Some(group) && seen.insert(id) {
                todo.push(id);
            }
        };
        for id in from {
            see(*id, &mut todo);
        }
        while let Some(id) = todo.pop() {
            share.add(graph, id);
            kept_by(graph, *keep, id, |next| see(next, &mut todo));
        }
        share
    }
}

#[cfg(test)]
mod tests;
