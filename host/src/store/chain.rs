//! Why a path is alive: the shortest chain from a root to it, and all roots that reach it.

use std::collections::VecDeque;

use serde::Serialize;

use super::{Graph, Keep, Keepers, PathId, Roots};

/// How one path keeps the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// It refers to it.
    Reference,
    /// It was built by it, and `keep-derivations` is on.
    Deriver,
    /// It is the derivation of it, and `keep-outputs` is on.
    Output,
}

/// A path of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// How the path before keeps this one; `None` for the first, which the root keeps.
    pub by: Option<Edge>,
    /// The path.
    pub path: PathId,
}

/// From a root to a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The root, by its place in [`Roots::found`].
    pub root: usize,
    /// What the root points at, and so on to the path itself.
    pub steps: Vec<Step>,
}

/// Why a path is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// A shortest chain. Of several, that from the root that comes first in [`Roots::found`]:
    /// profiles before other links, links before processes, then by name. `None` if no root
    /// reaches the path, which is then dead.
    pub chain: Option<Chain>,
    /// All roots that reach the path, by their places in [`Roots::found`].
    pub roots: Vec<usize>,
}

impl Why {
    /// Looks backwards from the path, as the collector does, until all is seen that keeps it.
    pub fn of(graph: &Graph, keep: Keep, roots: &Roots, path: PathId) -> Self {
        let keepers = Keepers::of(graph, keep);
        let mut seen: Vec<Option<Toward>> = vec![None; graph.len()];
        seen[path.index()] = Some(Toward {
            next: path,
            distance: 0,
        });
        let mut todo = VecDeque::from([(path, 0)]);
        while let Some((id, distance)) = todo.pop_front() {
            for keeper in keepers.keepers(id) {
                let place = &mut seen[keeper.index()];
                if place.is_none() {
                    let distance = distance + 1;
                    *place = Some(Toward { next: id, distance });
                    todo.push_back((*keeper, distance));
                }
            }
        }
        let reaching = (roots.found.iter().enumerate())
            .filter_map(|(place, root)| Some((seen[root.path.index()]?.distance, place)));
        let nearest = reaching.clone().min();
        Self {
            chain: nearest.map(|(_, root)| Chain {
                root,
                steps: steps(graph, keep, &seen, roots.found[root].path),
            }),
            roots: reaching.map(|(_, place)| place).collect(),
        }
    }
}

/// The way from a path to the one that is asked about.
#[derive(Debug, Clone, Copy)]
struct Toward {
    next: PathId,
    distance: u32,
}

fn steps(graph: &Graph, keep: Keep, seen: &[Option<Toward>], from: PathId) -> Vec<Step> {
    let mut steps = vec![Step {
        by: None,
        path: from,
    }];
    let mut at = from;
    while let Some(toward) = seen[at.index()].filter(|toward| toward.distance > 0) {
        steps.push(Step {
            by: Some(edge(graph, keep, at, toward.next)),
            path: toward.next,
        });
        at = toward.next;
    }
    steps
}

/// Of several ways in which one path keeps another, the first that Nix has.
fn edge(graph: &Graph, keep: Keep, from: PathId, to: PathId) -> Edge {
    if graph.references(from).contains(&to) {
        Edge::Reference
    } else if keep.derivations && graph.deriver(from) == Some(to) {
        Edge::Deriver
    } else {
        Edge::Output
    }
}

#[cfg(test)]
mod tests;
