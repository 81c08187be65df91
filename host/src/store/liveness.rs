//! Which paths are alive: reachable from a root over the edges that keep a path.
//!
//! The edges are those of `gc.cc` (`deleteReferrersClosure`, Nix 2.5 to 2.35; `canReachRoot`
//! before): a path keeps what it refers to; with `keep-derivations` an output keeps the derivation
//! it says it was built by; with `keep-outputs` a derivation keeps its outputs. The collector
//! walks them backwards from each candidate; marking forwards from the roots gives the same set.

use serde::Serialize;

use super::{Graph, PathId, bitset::PathSet, csr::Csr};
use crate::NixConf;

/// The two settings of nix.conf that decide what keeps what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Keep {
    /// `keep-outputs`, off by default.
    pub outputs: bool,
    /// `keep-derivations`, on by default.
    pub derivations: bool,
}

impl Keep {
    /// As nix.conf says.
    pub fn of(conf: &NixConf) -> Self {
        Self {
            outputs: conf.keep_outputs,
            derivations: conf.keep_derivations,
        }
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            outputs: false,
            derivations: true,
        }
    }
}

/// Calls `visit` with each path that `id` keeps alive.
pub(super) fn kept_by(graph: &Graph, keep: Keep, id: PathId, mut visit: impl FnMut(PathId)) {
    for reference in graph.references(id) {
        if *reference != id {
            visit(*reference);
        }
    }
    if keep.derivations
        && let Some(deriver) = graph.deriver(id)
    {
        visit(deriver);
    }
    if keep.outputs {
        for output in graph.outputs(id) {
            visit(*output);
        }
    }
}

/// Everything that `roots` keep alive, roots included.
pub fn mark(graph: &Graph, keep: Keep, roots: impl IntoIterator<Item = PathId>) -> PathSet {
    let mut alive = PathSet::new(graph.len());
    extend(graph, keep, &mut alive, roots, |_| ());
    alive
}

/// Adds to `set` everything that `roots` keep alive, and calls `first` with each path that was
/// not in it before.
pub fn extend(
    graph: &Graph,
    keep: Keep,
    set: &mut PathSet,
    roots: impl IntoIterator<Item = PathId>,
    mut first: impl FnMut(PathId),
) {
    let mut todo = Vec::new();
    for root in roots {
        if set.insert(root) {
            todo.push(root);
        }
    }
    while let Some(id) = todo.pop() {
        first(id);
        kept_by(graph, keep, id, |next| {
            if set.insert(next) {
                todo.push(next);
            }
        });
    }
}

/// For each path, those that keep it: what must go before it may go.
#[derive(Debug)]
pub struct Keepers(Csr);

impl Keepers {
    /// Turns the edges of the graph round.
    pub fn of(graph: &Graph, keep: Keep) -> Self {
        Self(Csr::collect(graph.len(), |edge| {
            for id in graph.ids() {
                kept_by(graph, keep, id, |kept| edge(kept, id));
            }
        }))
    }

    /// The paths that keep `id`, each perhaps more than once.
    pub fn keepers(&self, id: PathId) -> &[PathId] {
        self.0.row(id)
    }

    /// `id` and all that must be deleted with it, `id` first.
    pub fn closure(&self, id: PathId) -> Vec<PathId> {
        let mut seen = std::collections::HashSet::from([id]);
        let mut closure = vec![id];
        let mut next = 0;
        while next < closure.len() {
            for keeper in self.keepers(closure[next]) {
                if seen.insert(*keeper) {
                    closure.push(*keeper);
                }
            }
            next += 1;
        }
        closure
    }
}

#[cfg(test)]
mod tests;
