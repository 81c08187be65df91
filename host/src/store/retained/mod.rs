//! What each root alone keeps alive.
//!
//! A path is kept by one holder alone if it is reachable from that holder's links and from no
//! other root: what deleting exactly those links makes dead. That is what the holder dominates in
//! the graph of roots and paths. No tree of dominators is built for it: each path gets a label, who
//! reaches it, out of a lattice of four storeys (nobody, one holder, one group of holders, many),
//! and labels are joined along the edges until none changes. A label only climbs, so that no edge
//! is followed more than three times, cycles or not.

use serde::Serialize;

use super::{Graph, Keep, PathId, liveness::kept_by};

/// One that keeps paths, by one link or several that would go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What its links point at.
    pub paths: Vec<PathId>,
    /// Which group it belongs to, such as the generations of one profile. A number of
    /// the caller's, from 0 on.
    pub group: usize,
}

/// Who keeps a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBy {
    /// It is dead.
    Nobody,
    /// This holder alone, by its index.
    Holder(usize),
    /// Several holders of this group, and nobody else.
    Group(usize),
    /// Something that always stays, or holders of several groups.
    Many,
}

/// A number of paths and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// How many paths.
    pub paths: u64,
    /// Sum of their NAR sizes, by the database.
    pub nar_bytes: u64,
}

impl Share {
    pub(super) fn add(&mut self, graph: &Graph, id: PathId) {
        self.paths += 1;
        self.nar_bytes += graph.nar_bytes(id);
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            paths: self.paths + other.paths,
            nar_bytes: self.nar_bytes + other.nar_bytes,
        }
    }
}

/// Who keeps each path of a store, at one moment. Four bytes a path.
#[derive(Debug)]
pub struct Retained {
    /// 0 for nobody, then the holders, then the groups, and `u32::MAX` for many.
    labels: Vec<u32>,
    /// The group of each holder.
    groups: Vec<u32>,
}

const NOBODY: u32 = 0;
const MANY: u32 = u32::MAX;

impl Retained {
    /// Labels all paths. `stay` are roots that belong to no holder.
    pub fn of(
        graph: &Graph,
        keep: Keep,
        stay: impl IntoIterator<Item = PathId>,
        holders: &[Holder],
    ) -> Self {
        let groups = holders.iter().map(|holder| number(holder.group)).collect();
        let mut retained = Self {
            labels: vec![NOBODY; graph.len()],
            groups,
        };
        let mut todo = Vec::new();
        retained.spread(graph, keep, stay, MANY, &mut todo);
        for (index, holder) in holders.iter().enumerate() {
            let paths = holder.paths.iter().copied();
            retained.spread(graph, keep, paths, number(index) + 1, &mut todo);
        }
        retained
    }

    fn spread(
        &mut self,
        graph: &Graph,
        keep: Keep,
        from: impl IntoIterator<Item = PathId>,
        label: u32,
        todo: &mut Vec<PathId>,
    ) {
        for id in from {
            self.join(id, label, todo);
        }
        while let Some(id) = todo.pop() {
            let label = self.labels[id.index()];
            kept_by(graph, keep, id, |next| self.join(next, label, todo));
        }
    }

    fn join(&mut self, id: PathId, label: u32, todo: &mut Vec<PathId>) {
        let old = self.labels[id.index()];
        if old == label || old == MANY {
            return;
        }
        let new = if old == NOBODY {
            label
        } else {
            match (self.group(old), self.group(label)) {
                (Some(a), Some(b)) if a == b => number(self.groups.len()) + 1 + a,
                _ => MANY,
            }
        };
        if new != old {
            self.labels[id.index()] = new;
            todo.push(id);
        }
    }

    /// The group that a label stands for or belongs to.
    fn group(&self, label: u32) -> Option<u32> {
        if label == MANY {
            return None;
        }
        let position = label.checked_sub(1)?;
        let holder = usize::try_from(position).ok()?;
        match self.groups.get(holder) {
            Some(group) => Some(*group),
            None => Some(position - number(self.groups.len())),
        }
    }

    /// Who keeps this path.
    pub fn held_by(&self, id: PathId) -> HeldBy {
        match self.labels[id.index()] {
            NOBODY => HeldBy::Nobody,
            MANY => HeldBy::Many,
            label => {
                let position = label as usize - 1;
                match position.checked_sub(self.groups.len()) {
                    None => HeldBy::Holder(position),
                    Some(group) => HeldBy::Group(group),
                }
            }
        }
    }

    /// The group whose holders keep this path, one or several of them, and nobody else.
    pub fn group_of(&self, id: PathId) -> Option<usize> {
        self.group(self.labels[id.index()])
            .map(|group| group as usize)
    }

    /// What each holder alone keeps, by its index: what deleting its links, and nothing else,
    /// makes dead.
    pub fn by_holder(&self, graph: &Graph) -> Vec<Share> {
        let mut shares = vec![Share::default(); self.groups.len()];
        for id in graph.ids() {
            if let HeldBy::Holder(holder) = self.held_by(id) {
                shares[holder].add(graph, id);
            }
        }
        shares
    }

    /// What each group keeps and nobody else does, by its index: what deleting all links of all
    /// its holders makes dead.
    pub fn by_group(&self, graph: &Graph) -> Vec<Share> {
        let groups = self
            .groups
            .iter()
            .max()
            .map_or(0, |last| *last as usize + 1);
        let mut shares = vec![Share::default(); groups];
        for id in graph.ids() {
            if let Some(group) = self.group_of(id) {
                shares[group].add(graph, id);
            }
        }
        shares
    }
}

/// Holders and groups are fewer than half of 2^32: each holder is a link that was read.
fn number(index: usize) -> u32 {
    u32::try_from(index).map_or(MANY / 2, |index| index.min(MANY / 2))
}

#[cfg(test)]
mod tests;
