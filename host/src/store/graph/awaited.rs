//! Outputs that some derivation names and that are not valid: not built yet, or collected.

use super::paths::Paths;
use crate::store::{csr::Csr, moved::Moved, names::tag};

/// Tags of their names. If a new path has none of them, no derivation of before builds it, and the
/// database need not be asked, which takes a look at two pages for each path. A tag too many, as
/// of a derivation that was deleted, costs no more than such a question; none is ever missing.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    /// Ascending.
    tags: Vec<u32>,
}

impl PartialEq for Awaited {
    /// A help to find what came late, and no part of what a graph is.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Awaited {
    /// Of tags in any order.
    pub(super) fn of(mut tags: Vec<u32>) -> Self {
        tags.sort_unstable();
        tags.dedup();
        tags.shrink_to_fit();
        Self { tags }
    }

    /// True if this may be one of them.
    pub(super) fn may_be(&self, name: &str) -> bool {
        self.tags.binary_search(&tag(name.as_bytes())).is_ok()
    }

    /// Adds more of them.
    pub(super) fn extend(&mut self, names: impl Iterator<Item = u32>) {
        let before = self.tags.len();
        self.tags.extend(names);
        if self.tags.len() > before {
            self.tags.sort_unstable();
            self.tags.dedup();
        }
    }

    /// Adds the outputs that are about to be dropped while what builds them is kept.
    pub(super) fn dropping(&mut self, paths: &Paths, outputs: &Csr, moved: &Moved) {
        let kept = |at: &usize| moved.at(*at).is_some();
        let edges = (0..outputs.rows())
            .filter(kept)
            .flat_map(|at| outputs.row_at(at));
        let dropped = edges.filter(|output| moved.to(**output).is_none());
        let tags: Vec<u32> = dropped
            .map(|output| tag(paths.name(*output).as_bytes()))
            .collect();
        self.extend(tags.into_iter());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_added_may_be_awaited_and_another_is_not() {
        let name = |n: u8| format!("{}-x", char::from(b'a' + n).to_string().repeat(32));
        let mut awaited = Awaited::of(vec![tag(name(3).as_bytes()), tag(name(1).as_bytes())]);
        awaited.extend([tag(name(2).as_bytes()), tag(name(1).as_bytes())].into_iter());
        assert!((1..4).all(|n| awaited.may_be(&name(n))));
        assert!(!awaited.may_be(&name(0)) && !awaited.may_be(&name(4)));
    }
}
