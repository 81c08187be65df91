//! The third rung: generations beyond policy.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::Victim;
use crate::gc::{
    facts::{Facts, Scales},
    policy::{Policy, Space},
};

/// Whether generations of a profile are in the boot loader's menu: only those of the system are.
pub fn is_in_boot_menu(profile: &Path) -> bool {
    profile == Path::new("system") || profile.starts_with("system-profiles")
}

/// Why generations stay that policy would let go: the menu cannot be written anew without them.
pub fn kept_by_boot_menu(facts: &Facts, policy: &Policy) -> Option<String> {
    let why = facts.boot_menu_stays.as_ref()?;
    let by_policy = by_policy(facts, policy);
    let count = (by_policy.iter())
        .filter(|victim| is_in_boot_menu(&victim.profile))
        .count()
        + facts.named_by_menu.len();
    (count > 0)
        .then(|| format!("{count} generations of the system that the boot menu names: {why}"))
}

/// All generations that may go now, oldest first.
pub(super) fn removable(facts: &Facts, policy: &Policy, scales: &dyn Scales) -> Vec<Victim> {
    let mut removable = by_policy(facts, policy);
    removable.retain(|victim| {
        (facts.boot_menu_stays.is_none() || !is_in_boot_menu(&victim.profile))
            && scales.may_go(&victim.link, Some(&victim.profile_link))
    });
    removable
}

/// All generations that policy lets go, oldest first.
fn by_policy(facts: &Facts, policy: &Policy) -> Vec<Victim> {
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
            if !is_young && !is_current && !facts.holds_protected(&generation.id.target) {
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
