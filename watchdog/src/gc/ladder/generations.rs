//! The second rung: generations beyond policy.

use std::{collections::HashSet, ffi::OsStr, path::PathBuf, time::SystemTime};

use snowguard_host::store::{Analysis, PathId, PathSet, extend, mark};

use super::{Tally, Victim, dead::weigh};
use crate::gc::{
    facts::{Facts, Scales},
    policy::{Policy, Space},
};

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
            match weigh(facts, policy, scales, OsStr::new(analysis.graph.name(id))) {
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
    without_vain(analysis, victims, &tally.pinned)
}

/// Leaves out generations whose target stays alive even when all of them go, by a `result` link
/// or a running process for example, or would not be deleted if it died: giving them up would cost a way back and free nothing.
fn without_vain(analysis: &Analysis, mut victims: Vec<Victim>, pinned: &PathSet) -> Vec<Victim> {
    let links: HashSet<&PathBuf> = victims.iter().map(|victim| &victim.link).collect();
    let stay = (analysis.roots.found.iter()).filter(|root| !links.contains(&root.link));
    let alive = mark(&analysis.graph, analysis.keep, stay.map(|root| root.path));
    victims.retain(|victim| {
        let name = victim.id.target.file_name().and_then(OsStr::to_str);
        name.and_then(|name| analysis.graph.find(name))
            .is_some_and(|id| !alive.contains(id) && !pinned.contains(id))
    });
    victims
}

/// All generations that policy lets go, oldest first.
fn removable(facts: &Facts, policy: &Policy) -> Vec<Victim> {
    let mut removable: Vec<Victim> = Vec::new();
    for profile in &facts.profiles.profiles {
        let keeping = policy.keeping(&profile.name);
        let mut newest_first: Vec<_> = profile.generations.iter().collect();
        newest_first.sort_by_key(|generation| std::cmp::Reverse(generation.id.number));
        for generation in newest_first.into_iter().skip(keeping.generations) {
            // A link from the future is as young as can be: whose clock was wrong is not known.
            let age = facts.now.duration_since(generation.id.created);
            let is_young = age.unwrap_or_default() < keeping.younger_than;
            let is_current = profile.current == Some(generation.id.number);
            let is_protected = facts
                .protected
                .iter()
                .any(|kept| kept.store_path == generation.id.target);
            if !is_young && !is_current && !is_protected {
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
