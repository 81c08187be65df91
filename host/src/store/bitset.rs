//! A set of path ids, one bit each.

use super::PathId;

/// Which paths of a graph are in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathSet {
    words: Vec<u64>,
}

impl PathSet {
    /// The empty set over `len` paths.
    pub fn new(len: usize) -> Self {
        Self {
            words: vec![0; len.div_ceil(64)],
        }
    }

    /// Whether `id` is in the set.
    pub fn contains(&self, id: PathId) -> bool {
        self.words[id.index() / 64] >> (id.index() % 64) & 1 == 1
    }

    /// Puts `id` in; true if it was not there.
    pub fn insert(&mut self, id: PathId) -> bool {
        let word = &mut self.words[id.index() / 64];
        let bit = 1 << (id.index() % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// How many paths are in the set.
    pub fn count(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }
}
