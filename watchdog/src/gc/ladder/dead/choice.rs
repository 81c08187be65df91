//! Choosing groups that cover what is needed with little to spare.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    ffi::OsString,
};

use snowguard_host::store::{Footprint, Graph, Keepers, PathId};

use super::{Group, Tier, pieces::pieces};
use crate::gc::{ladder::Tally, policy::Space};

/// A group may go this share of the need beyond it; a larger one waits for smaller ones.
const SPARE: u64 = 20;
/// So many groups of a tier are tried that turn out too large; each costs a walk.
const TRIES: usize = 256;
/// Of those that are too large, so many are compared.
const COMPARED: usize = 16;

/// A dead entry that may go.
pub(super) struct Candidate {
    pub(super) name: OsString,
    pub(super) id: Option<PathId>,
    pub(super) footprint: Footprint,
    pub(super) tier: Tier,
    /// What having it again would take, at least 1: of two built here the one that frees more for
    /// each minute of its build goes first.
    pub(super) minutes: u64,
}

/// Of the two that can run short, which one is looked at.
#[derive(Clone, Copy)]
enum Short {
    Bytes,
    Files,
}

impl Short {
    fn of(self, space: Space) -> u64 {
        match self {
            Self::Bytes => space.bytes,
            Self::Files => space.files,
        }
    }

    fn weight(self, footprint: &Footprint) -> u64 {
        match self {
            Self::Bytes => footprint.bytes(),
            Self::Files => footprint.files(),
        }
    }
}

/// Entries that go together.
struct Chosen {
    /// Candidates by position, and valid paths whose files are gone.
    members: Vec<Member>,
    /// Earlier groups that keep one of its members.
    after: BTreeSet<usize>,
}

#[derive(Clone, Copy)]
enum Member {
    Weighed(usize),
    Gone(PathId),
}

pub(super) struct Choice<'t, 'f> {
    candidates: Vec<Candidate>,
    by_id: HashMap<PathId, usize>,
    keepers: Keepers,
    tally: &'t mut Tally<'f>,
    need: Space,
    groups: Vec<Option<Chosen>>,
    group_of: HashMap<PathId, usize>,
    strays: BTreeSet<usize>,
}

impl<'t, 'f> Choice<'t, 'f> {
    pub(super) fn new(
        candidates: Vec<Candidate>,
        keepers: Keepers,
        tally: &'t mut Tally<'f>,
        need: Space,
    ) -> Self {
        let ids = candidates.iter().enumerate();
        Self {
            by_id: ids
                .filter_map(|(at, candidate)| Some((candidate.id?, at)))
                .collect(),
            candidates,
            keepers,
            tally,
            need,
            groups: Vec::new(),
            group_of: HashMap::new(),
            strays: BTreeSet::new(),
        }
    }

    /// Takes groups until the need is covered, or none is left.
    pub(super) fn fill(&mut self) {
        for short in [Short::Bytes, Short::Files] {
            for tier in Tier::ALL {
                let left = self.missing(short);
                if left > 0 {
                    self.fill_from(tier, short);
                }
            }
        }
    }

    fn missing(&self, short: Short) -> u64 {
        short
            .of(self.need)
            .saturating_sub(short.of(self.tally.total()))
    }

    fn beyond(&self, short: Short) -> u64 {
        short
            .of(self.tally.total())
            .saturating_sub(short.of(self.need))
    }

    fn fill_from(&mut self, tier: Tier, short: Short) {
        let mut order: Vec<usize> = (0..self.candidates.len())
            .filter(|at| self.candidates[*at].tier == tier)
            .collect();
        order.sort_by_key(|at| {
            let candidate = &self.candidates[*at];
            (
                Reverse(short.weight(&candidate.footprint) / candidate.minutes),
                *at,
            )
        });
        let spare = short.of(self.need) / SPARE;
        let mut too_large: Vec<(u64, usize)> = Vec::new();
        let mut tries = TRIES;
        for at in order {
            let missing = self.missing(short);
            if missing == 0 {
                return;
            }
            let weight = short.weight(&self.candidates[at].footprint);
            if weight > missing.saturating_add(spare) {
                too_large.push((weight, at));
                continue;
            }
            let Some(group) = self.take(at) else {
                continue;
            };
            if self.beyond(short) > spare && tries > 0 {
                too_large.push((weight.max(missing.saturating_add(self.beyond(short))), at));
                self.untake(group);
                tries -= 1;
            }
        }
        too_large.sort_unstable();
        // By its own weight a path seems smaller than with all that keeps it.
        while self.missing(short) > 0 && !too_large.is_empty() {
            let compared = too_large.len().min(COMPARED);
            let mut best = None;
            for (place, (_, at)) in too_large[..compared].iter().enumerate() {
                if let Some(group) = self.take(*at) {
                    let rank = (self.missing(short), self.beyond(short), place);
                    self.untake(group);
                    best = best.min(Some(rank)).or(Some(rank));
                }
            }
            let Some((.., place)) = best else {
                too_large.drain(..compared);
                continue;
            };
            let (_, at) = too_large.remove(place);
            self.take(at);
        }
    }

    /// Takes a candidate with all that keeps it and is not taken yet. `None` if it is taken.
    fn take(&mut self, at: usize) -> Option<usize> {
        let number = self.groups.len();
        let mut members = Vec::new();
        let mut after = BTreeSet::new();
        match self.candidates[at].id {
            None if self.strays.insert(at) => members.push(Member::Weighed(at)),
            None => return None,
            Some(id) if self.group_of.contains_key(&id) => return None,
            Some(id) => {
                for id in self.keepers.closure(id) {
                    if let Some(earlier) = self.group_of.get(&id) {
                        after.insert(*earlier);
                        continue;
                    }
                    self.group_of.insert(id, number);
                    let known = self.by_id.get(&id);
                    members.push(known.map_or(Member::Gone(id), |at| Member::Weighed(*at)));
                }
            }
        }
        for member in &members {
            if let Member::Weighed(at) = member {
                self.tally.reclaim.add(&self.candidates[*at].footprint);
            }
        }
        self.groups.push(Some(Chosen { members, after }));
        Some(number)
    }

    /// Undoes taking a group.
    fn untake(&mut self, number: usize) {
        let Some(group) = self.groups.get_mut(number).and_then(Option::take) else {
            return;
        };
        for member in group.members {
            match member {
                Member::Gone(id) => {
                    self.group_of.remove(&id);
                }
                Member::Weighed(at) => {
                    let candidate = &self.candidates[at];
                    self.tally.reclaim.remove(&candidate.footprint);
                    match candidate.id {
                        Some(id) => {
                            self.group_of.remove(&id);
                        }
                        None => {
                            self.strays.remove(&at);
                        }
                    }
                }
            }
        }
    }

    /// Takes each group apart, as far as what keeps a path goes no later than the path itself: what
    /// goes in one call of Nix then depends on no library that half of the store refers to.
    pub(super) fn take_apart(&mut self) {
        let whole = std::mem::take(&mut self.groups);
        for group in whole.into_iter().flatten() {
            let mut member_of = HashMap::new();
            let mut ids = Vec::new();
            for member in group.members {
                match self.id(member) {
                    Some(id) => {
                        member_of.insert(id, member);
                        ids.push(id);
                    }
                    None => self.groups.push(Some(Chosen {
                        members: vec![member],
                        after: BTreeSet::new(),
                    })),
                }
            }
            for piece in pieces(&self.keepers, &ids) {
                let number = self.groups.len();
                for id in &piece {
                    self.group_of.insert(*id, number);
                }
                let keepers = piece.iter().flat_map(|id| self.keepers.keepers(*id));
                let after = keepers.filter_map(|id| self.group_of.get(id).copied());
                self.groups.push(Some(Chosen {
                    after: after.filter(|earlier| *earlier != number).collect(),
                    members: piece.iter().map(|id| member_of[id]).collect(),
                }));
            }
        }
    }

    fn id(&self, member: Member) -> Option<PathId> {
        match member {
            Member::Weighed(at) => self.candidates[at].id,
            Member::Gone(id) => Some(id),
        }
    }

    /// Leaves out groups without which the need is covered all the same, what is missed most
    /// first.
    pub(super) fn drop_superfluous(&mut self) {
        if !self.tally.total().covers(self.need) {
            return;
        }
        let mut later = vec![0_usize; self.groups.len()];
        for earlier in self.groups.iter().flatten().flat_map(|group| &group.after) {
            later[*earlier] += 1;
        }
        for number in (0..self.groups.len()).rev() {
            // What a later group needs gone must go.
            if self.groups[number].is_none() || later[number] > 0 {
                continue;
            }
            let group = self.groups[number].as_ref();
            let members: Vec<usize> = (group.iter())
                .flat_map(|group| &group.members)
                .filter_map(|member| match member {
                    Member::Weighed(at) => Some(*at),
                    Member::Gone(_) => None,
                })
                .collect();
            for at in &members {
                self.tally.reclaim.remove(&self.candidates[*at].footprint);
            }
            let is_needed = !self.tally.total().covers(self.need);
            for at in &members {
                self.tally.reclaim.add(&self.candidates[*at].footprint);
            }
            if !is_needed {
                let after = group.map(|group| group.after.clone()).unwrap_or_default();
                after.iter().for_each(|earlier| later[*earlier] -= 1);
                self.untake(number);
            }
        }
    }

    /// The names of each group, and which of them are valid paths.
    pub(super) fn into_groups(self, graph: &Graph) -> Vec<(Group, Vec<Option<PathId>>)> {
        let Self {
            candidates, groups, ..
        } = self;
        let name = |member: &Member| match member {
            Member::Weighed(at) => (candidates[*at].name.clone(), candidates[*at].id),
            Member::Gone(id) => (OsString::from(graph.name(*id)), Some(*id)),
        };
        groups
            .iter()
            .flatten()
            .map(|group| group.members.iter().map(name).unzip())
            .collect()
    }
}
