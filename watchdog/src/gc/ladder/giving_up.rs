//! What keeps paths alive and can be given up, in an order: which of it has to go, and what each
//! frees after all before it.

use std::ffi::OsStr;

use snowguard_host::store::{PathId, PathSet, Root, RootKind, extend, mark};

use super::{Tally, dead::weigh};
use crate::gc::{
    facts::{Facts, Scales},
    policy::{Policy, Space},
};

/// Something that can be given up.
pub(super) trait Offer {
    /// The path that it keeps, if that is valid.
    fn keeps(&self, facts: &Facts) -> Option<PathId>;
    /// Whether this root goes with it.
    fn is(&self, root: &Root) -> bool;
}

/// Chooses offers from the first on, only as many as it takes to cover `need`.
pub(super) fn choose<T: Offer>(
    facts: &Facts,
    policy: &Policy,
    need: Space,
    scales: &dyn Scales,
    tally: &mut Tally<'_>,
    offers: Vec<T>,
) -> Vec<(T, Space)> {
    let analysis = &facts.analysis;
    let mut alive = alive_without(facts, &offers.iter().collect::<Vec<_>>());
    // Last first: each is asked what it is the first to reach. Giving up the first ones then frees
    // the sum of their shares.
    let mut shares: Vec<Vec<PathId>> = Vec::new();
    for offer in offers.iter().rev() {
        let mut share = Vec::new();
        extend(
            &analysis.graph,
            analysis.keep,
            &mut alive,
            offer.keeps(facts),
            |path| share.push(path),
        );
        shares.push(share);
    }
    let mut chosen = Vec::new();
    for (offer, share) in offers.into_iter().zip(shares.into_iter().rev()) {
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
        chosen.push((offer, tally.since()));
    }
    // One that frees nothing and comes last brings nothing.
    while chosen
        .last()
        .is_some_and(|(_, frees)| *frees == Space::NONE)
    {
        chosen.pop();
    }
    without_vain(facts, chosen, &tally.pinned)
}

/// Leaves out what keeps a path that stays alive even when all of them go, by a running process
/// for example, or that would not be deleted if it died: giving it up would cost something and
/// free nothing.
fn without_vain<T: Offer>(
    facts: &Facts,
    mut chosen: Vec<(T, Space)>,
    pinned: &PathSet,
) -> Vec<(T, Space)> {
    let alive = alive_without(
        facts,
        &chosen.iter().map(|(offer, _)| offer).collect::<Vec<_>>(),
    );
    chosen.retain(|(offer, _)| {
        (offer.keeps(facts)).is_some_and(|id| !alive.contains(id) && !pinned.contains(id))
    });
    chosen
}

fn alive_without<T: Offer>(facts: &Facts, offers: &[&T]) -> PathSet {
    let analysis = &facts.analysis;
    let roots = analysis.roots.found.iter();
    // Of these there are many, and none is on offer.
    let is_of_a_process =
        |root: &Root| matches!(root.kind, RootKind::Runtime | RootKind::Temporary);
    let stay =
        roots.filter(|root| is_of_a_process(root) || !offers.iter().any(|offer| offer.is(root)));
    mark(&analysis.graph, analysis.keep, stay.map(|root| root.path))
}
