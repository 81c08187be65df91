//! Adjacency in two arrays: where each path's edges begin, and the edges.

use super::{PathId, moved::Moved};

/// Edges from each path, compact. Never more than `u32::MAX`: whoever makes one checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Csr {
    starts: Vec<u32>,
    targets: Vec<PathId>,
}

impl Csr {
    /// Of arrays that fit each other: `starts` begins with 0, does not fall, and ends with the
    /// number of edges.
    pub(super) fn of(starts: Vec<u32>, targets: Vec<PathId>) -> Self {
        Self { starts, targets }
    }

    /// The edges of one path.
    pub(super) fn row(&self, id: PathId) -> &[PathId] {
        self.row_at(id.index())
    }

    /// The edges of the path at this position.
    pub(super) fn row_at(&self, position: usize) -> &[PathId] {
        let (start, end) = (self.starts[position], self.starts[position + 1]);
        &self.targets[start as usize..end as usize]
    }

    /// How many edges there are.
    pub(super) fn len(&self) -> usize {
        self.targets.len()
    }

    /// How many paths there are edges of.
    pub(super) fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Appends a path with these edges, after all others.
    pub(super) fn push_row(&mut self, row: &[PathId]) {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        self.targets.extend_from_slice(row);
        let end = u32::try_from(self.targets.len()).unwrap_or(u32::MAX);
        self.starts.push(end);
    }

    /// Drops the rows of the paths that are not kept, and the edges to them.
    pub(super) fn retain(&mut self, moved: &Moved) {
        let (mut start, mut end, mut row) = (0, 0, 0);
        for from in 0..self.rows() {
            let edges = start..self.starts[from + 1] as usize;
            start = edges.end;
            if moved.at(from).is_none() {
                continue;
            }
            for edge in edges {
                if let Some(target) = moved.to(self.targets[edge]) {
                    self.targets[end] = target;
                    end += 1;
                }
            }
            row += 1;
            self.starts[row] = u32::try_from(end).unwrap_or(u32::MAX);
        }
        self.starts.truncate(row + 1);
        self.targets.truncate(end);
    }

    /// Adds edges, which are in order, to rows that are in order, and rows without edges up to
    /// `count`; what is there already is added once.
    pub(super) fn merge(&mut self, more: &[(PathId, PathId)], count: usize) {
        if more.is_empty() {
            while self.rows() < count {
                self.push_row(&[]);
            }
            return;
        }
        let mut starts = Vec::with_capacity(count + 1);
        let mut targets = Vec::with_capacity(self.targets.len() + more.len());
        let mut more = more.iter().peekable();
        starts.push(0);
        for row in 0..count {
            let begin = targets.len();
            if row < self.rows() {
                let (start, end) = (self.starts[row], self.starts[row + 1]);
                targets.extend_from_slice(&self.targets[start as usize..end as usize]);
            }
            let before = targets.len();
            while let Some((_, to)) = more.next_if(|(from, _)| from.index() == row) {
                targets.push(*to);
            }
            if targets.len() > before {
                targets[begin..].sort_unstable();
                let mut kept = begin;
                for at in begin..targets.len() {
                    if at == begin || targets[at] != targets[kept - 1] {
                        targets[kept] = targets[at];
                        kept += 1;
                    }
                }
                targets.truncate(kept);
            }
            starts.push(u32::try_from(targets.len()).unwrap_or(u32::MAX));
        }
        *self = Self { starts, targets };
    }

    /// The edges that `each` calls its argument with, in any order. Called twice: once to count,
    /// once to place, so that no list of pairs stands beside the result.
    pub(super) fn collect(count: usize, each: impl Fn(&mut dyn FnMut(PathId, PathId))) -> Self {
        // Counted two places on: the sums are then one place on, and placing moves them home.
        let mut starts = vec![0u32; count + 2];
        each(&mut |from, _| starts[from.index() + 2] += 1);
        for position in 0..=count {
            starts[position + 1] += starts[position];
        }
        let mut targets = vec![PathId(0); starts[count + 1] as usize];
        each(&mut |from, to| {
            let at = &mut starts[from.index() + 1];
            targets[*at as usize] = to;
            *at += 1;
        });
        starts.truncate(count + 1);
        Self { starts, targets }
    }
}

#[cfg(test)]
mod tests;
