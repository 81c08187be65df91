//! The rungs of the ladder: what may go, in which order, and what each frees. Pure.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::{OsStr, OsString},
    path::PathBuf,
    time::SystemTime,
};

use snowguard_host::{
    GenerationId,
    store::{Analysis, Footprint, Keepers, PathId, PathSet, Reclaim, extend, mark},
};

use super::{
    facts::{Facts, Scales},
    policy::{Policy, Space},
};

/// Entries of the store directory that must go together, or after the groups before them.
pub type Group = Vec<OsString>;

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

/// The first rung: dead paths, chosen.
#[derive(Debug, Default)]
pub struct DeadPaths {
    /// In the order of deletion.
    pub groups: Vec<Group>,
    /// What they free together.
    pub frees: Space,
    /// Dead entries that could not be measured and therefore stay, with why.
    pub unmeasured: Vec<String>,
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

/// Chooses dead paths until `need` is covered: those first that free most of what is short,
/// each with everything that keeps it, which is dead, too.
pub fn dead_paths(
    facts: &Facts,
    need: Space,
    scales: &dyn Scales,
    tally: &mut Tally<'_>,
) -> DeadPaths {
    let graph = &facts.analysis.graph;
    let mut rung = DeadPaths::default();
    let mut footprints: BTreeMap<OsString, Footprint> = BTreeMap::new();
    let names = (facts.analysis.dead.iter())
        .map(|id| (OsString::from(graph.name(*id)), Some(*id)))
        .chain(
            facts
                .analysis
                .strays
                .iter()
                .filter(|name| is_store_name(name))
                .map(|n| (n.clone(), None)),
        );
    let mut ids: HashMap<OsString, PathId> = HashMap::new();
    for (name, id) in names {
        match scales.weigh(&name) {
            Ok(footprint) => {
                if let Some(id) = id {
                    ids.insert(name.clone(), id);
                }
                footprints.insert(name, footprint);
            }
            Err(error) => {
                tally.pin(&facts.analysis, id);
                rung.unmeasured.push(error.to_string());
            }
        }
    }
    let mut order: Vec<(&OsString, &Footprint)> = footprints.iter().collect();
    order.sort_by_key(|(name, footprint)| {
        let worth = if need.bytes > 0 {
            footprint.bytes()
        } else {
            footprint.files()
        };
        (std::cmp::Reverse(worth), *name)
    });

    let keepers = Keepers::of(graph, facts.analysis.keep);
    let mut chosen: HashSet<PathId> = HashSet::new();
    for (name, footprint) in order {
        if tally.total().covers(need) {
            break;
        }
        let group: Group = match ids.get(name) {
            None => {
                tally.reclaim.add(footprint);
                vec![name.clone()]
            }
            Some(id) if chosen.contains(id) || tally.pinned.contains(*id) => continue,
            Some(id) => {
                let new: Vec<PathId> = keepers
                    .closure(*id)
                    .into_iter()
                    .filter(|id| chosen.insert(*id))
                    .collect();
                for id in &new {
                    // A path whose files are gone weighs nothing.
                    if let Some(footprint) = footprints.get(OsStr::new(graph.name(*id))) {
                        tally.reclaim.add(footprint);
                    }
                }
                new.iter()
                    .map(|id| OsString::from(graph.name(*id)))
                    .collect()
            }
        };
        rung.groups.push(group);
    }
    rung.frees = tally.since();
    rung
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

/// Chooses generations beyond policy, oldest first, only as many as it takes to cover `need`.
pub fn generations(
    facts: &Facts,
    policy: &Policy,
    need: Space,
    scales: &dyn Scales,
    tally: &mut Tally<'_>,
) -> Vec<Victim> {
    let removable = removable(facts, policy);
    let analysis = &facts.analysis;
    let links: HashSet<&PathBuf> = removable.iter().map(|victim| &victim.link).collect();
    let stay = analysis
        .roots
        .found
        .iter()
        .filter(|root| !links.contains(&root.link));
    let mut alive = mark(&analysis.graph, analysis.keep, stay.map(|root| root.path));

    // Newest first: each is asked what it is the first to reach. Giving up the oldest ones then
    // frees the sum of their shares.
    let mut shares: Vec<Vec<PathId>> = Vec::new();
    for victim in removable.iter().rev() {
        let mut share = Vec::new();
        let path = victim.id.target.file_name().and_then(OsStr::to_str);
        if let Some(id) = path.and_then(|name| analysis.graph.find(name)) {
            extend(&analysis.graph, analysis.keep, &mut alive, [id], |path| {
                share.push(path)
            });
        }
        shares.push(share);
    }
    let mut victims = Vec::new();
    for (mut victim, share) in removable.into_iter().zip(shares.into_iter().rev()) {
        if tally.total().covers(need) {
            break;
        }
        let mut footprints = Vec::new();
        for id in share {
            match scales.weigh(OsStr::new(analysis.graph.name(id))) {
                Ok(footprint) => footprints.push((id, footprint)),
                Err(_) => tally.pin(analysis, [id]),
            }
        }
        // What will stay is not promised.
        for (id, footprint) in footprints {
            if !tally.pinned.contains(id) {
                tally.reclaim.add(&footprint);
            }
        }
        victim.frees = tally.since();
        victims.push(victim);
    }
    // Giving up a generation that frees nothing and comes last brings nothing.
    while victims
        .last()
        .is_some_and(|victim| victim.frees == Space::NONE)
    {
        victims.pop();
    }
    without_vain(analysis, victims)
}

/// Leaves out generations whose target stays alive even when all of them go, by a `result` link
/// or a running process for example: giving them up would cost a way back and free nothing.
fn without_vain(analysis: &Analysis, mut victims: Vec<Victim>) -> Vec<Victim> {
    let links: HashSet<&PathBuf> = victims.iter().map(|victim| &victim.link).collect();
    let stay = (analysis.roots.found.iter()).filter(|root| !links.contains(&root.link));
    let alive = mark(&analysis.graph, analysis.keep, stay.map(|root| root.path));
    victims.retain(|victim| {
        let name = victim.id.target.file_name().and_then(OsStr::to_str);
        name.and_then(|name| analysis.graph.find(name))
            .is_some_and(|id| !alive.contains(id))
    });
    victims
}

/// All generations that policy lets go, oldest first.
fn removable(facts: &Facts, policy: &Policy) -> Vec<Victim> {
    let mut removable: Vec<Victim> = Vec::new();
    for profile in &facts.profiles.profiles {
        let mut newest_first: Vec<_> = profile.generations.iter().collect();
        newest_first.sort_by_key(|generation| std::cmp::Reverse(generation.id.number));
        for generation in newest_first
            .into_iter()
            .skip(policy.keep_generations.max(1))
        {
            let is_current = profile.current == Some(generation.id.number);
            let is_protected = facts
                .protected
                .iter()
                .any(|kept| kept.store_path == generation.id.target);
            if !is_current && !is_protected {
                removable.push(Victim {
                    profile: profile.name.clone(),
                    profile_link: profile.link.clone(),
                    id: generation.id.clone(),
                    link: generation.link.clone(),
                    frees: Space::NONE,
                });
            }
        }
    }
    removable.sort_by(|a, b| age(a).cmp(&age(b)));
    removable
}

fn age(victim: &Victim) -> (SystemTime, &PathBuf, u64) {
    (victim.id.created, &victim.profile, victim.id.number)
}
