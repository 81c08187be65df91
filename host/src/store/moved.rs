//! Where paths went when others were dropped from between them.

use super::{PathId, PathSet};

/// In place of a path that was dropped: no graph has so many.
const GONE: PathId = PathId(u32::MAX);

/// The new place of each path of a graph; those that are kept keep their order.
#[derive(Debug)]
pub(super) struct Moved {
    places: Vec<PathId>,
    kept: usize,
}

impl Moved {
    /// Of the first `count` paths, these are kept.
    pub(super) fn keeping(kept: &PathSet, count: usize) -> Self {
        let mut next = 0;
        let places = (0..count)
            .filter_map(|at| u32::try_from(at).ok())
            .map(|at| {
                if !kept.contains(PathId(at)) {
                    return GONE;
                }
                next += 1;
                PathId(next - 1)
            })
            .collect();
        Self {
            places,
            kept: next as usize,
        }
    }

    /// Where the path at this position went, if it is kept.
    pub(super) fn at(&self, position: usize) -> Option<PathId> {
        self.places.get(position).copied().filter(|to| *to != GONE)
    }

    /// Where this path went, if it is kept.
    pub(super) fn to(&self, id: PathId) -> Option<PathId> {
        self.at(id.index())
    }

    /// How many are kept.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }
}
