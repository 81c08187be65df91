//! Taking apart what goes together, so that it need not go in one call of Nix.

use std::collections::{HashMap, HashSet};

use snowguard_host::store::{Keepers, PathId};

/// The smallest pieces in which these can go one after the other: whatever keeps a path is in its
/// own piece or in one before. Only paths that keep each other, as an output and its derivation
/// may, stay together (Tarjan's strongly connected components, without recursion: a chain of
/// references may be as long as the store is large).
pub(super) fn pieces(keepers: &Keepers, ids: &[PathId]) -> Vec<Vec<PathId>> {
    let members: HashSet<PathId> = ids.iter().copied().collect();
    let mut walk = Walk::default();
    for id in ids {
        if walk.numbers.contains_key(id) {
            continue;
        }
        walk.enter(*id);
        while let Some((id, next)) = walk.path.pop() {
            let Some(keeper) = keepers.keepers(id).get(next) else {
                walk.leave(id);
                continue;
            };
            walk.path.push((id, next + 1));
            if !members.contains(keeper) {
                continue;
            }
            match walk.numbers.get(keeper) {
                None => walk.enter(*keeper),
                Some(number) if walk.open.contains(keeper) => walk.reaches(id, *number),
                Some(_) => {}
            }
        }
    }
    walk.pieces
}

#[derive(Default)]
struct Walk {
    /// Where the walk is, and which keeper it looks at next.
    path: Vec<(PathId, usize)>,
    /// In the order in which they were entered.
    numbers: HashMap<PathId, usize>,
    /// The lowest number that each reaches.
    lowest: HashMap<PathId, usize>,
    /// Entered, and in no piece yet.
    stack: Vec<PathId>,
    open: HashSet<PathId>,
    pieces: Vec<Vec<PathId>>,
}

impl Walk {
    fn enter(&mut self, id: PathId) {
        let number = self.numbers.len();
        self.numbers.insert(id, number);
        self.lowest.insert(id, number);
        self.stack.push(id);
        self.open.insert(id);
        self.path.push((id, 0));
    }

    fn reaches(&mut self, id: PathId, number: usize) {
        if let Some(lowest) = self.lowest.get_mut(&id) {
            *lowest = number.min(*lowest);
        }
    }

    /// All that keeps `id` was looked at.
    fn leave(&mut self, id: PathId) {
        let lowest = self.lowest[&id];
        if let Some((before, _)) = self.path.last() {
            self.reaches(*before, lowest);
        }
        if lowest != self.numbers[&id] {
            return;
        }
        let begins = self.stack.iter().rposition(|other| *other == id);
        let piece = self.stack.split_off(begins.unwrap_or(0));
        piece.iter().for_each(|id| {
            self.open.remove(id);
        });
        self.pieces.push(piece);
    }
}

#[cfg(test)]
mod tests {
    use snowguard_host::store::{Given, Graph, Keep};

    use super::*;

    /// By number: `references[n]` are those of path `n`.
    fn graph(references: &[&[usize]]) -> Graph {
        let name = |number: usize| format!("{number:0>32}-path");
        let given: Vec<Given> = (references.iter().enumerate())
            .map(|(number, references)| Given {
                name: name(number),
                references: references.to_vec(),
                ..Given::default()
            })
            .collect();
        Graph::given(&given).unwrap()
    }

    #[test]
    fn whatever_keeps_a_path_goes_before_it_and_nothing_waits_for_more_than_that() {
        // 1 and 2 refer to 0, 3 to 1 and 2.
        let graph = graph(&[&[], &[0], &[0], &[1, 2]]);
        let keepers = Keepers::of(&graph, Keep::default());
        let ids: Vec<PathId> = graph.ids().collect();
        let pieces = pieces(&keepers, &ids);
        assert!(pieces.iter().all(|piece| piece.len() == 1), "{pieces:?}");
        let place = |id| pieces.iter().position(|piece| piece[0] == id).unwrap();
        for (id, before) in [(0, 1), (0, 2), (1, 3), (2, 3)] {
            assert!(place(ids[before]) < place(ids[id]), "{pieces:?}");
        }
    }

    #[test]
    fn a_chain_as_long_as_a_store_is_large_is_taken_apart() {
        let references: Vec<Vec<usize>> = (0..50_000_usize)
            .map(|number| number.checked_sub(1).into_iter().collect())
            .collect();
        let references: Vec<&[usize]> = references.iter().map(Vec::as_slice).collect();
        let graph = graph(&references);
        let keepers = Keepers::of(&graph, Keep::default());
        let mut ids: Vec<PathId> = graph.ids().collect();
        let pieces = pieces(&keepers, &ids);
        ids.reverse();
        assert_eq!(pieces.concat(), ids);
    }
}
