//! The third rung: generations beyond policy.

use std::{path::PathBuf, time::SystemTime};

use super::Victim;
use crate::gc::{
    facts::Facts,
    policy::{Policy, Space},
};

/// All generations that policy lets go, oldest first.
pub(super) fn removable(facts: &Facts, policy: &Policy) -> Vec<Victim> {
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
            if !is_young && !is_current && !facts.is_protected(&generation.id.target) {
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
