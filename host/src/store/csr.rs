//! Adjacency in two arrays: where each path's edges begin, and the edges.

use super::PathId;

/// Edges from each path, compact.
#[derive(Debug, Clone, Default)]
pub(super) struct Csr {
    starts: Vec<usize>,
    targets: Vec<PathId>,
}

/// Takes edges in any order; edges that come in order of their source cost no second pass.
pub(super) struct Builder {
    count: usize,
    starts: Vec<usize>,
    targets: Vec<PathId>,
    strays: Vec<(PathId, PathId)>,
}

impl Csr {
    pub(super) fn builder(count: usize) -> Builder {
        Builder {
            count,
            starts: vec![0],
            targets: Vec::new(),
            strays: Vec::new(),
        }
    }

    /// The edges of one path.
    pub(super) fn row(&self, id: PathId) -> &[PathId] {
        &self.targets[self.starts[id.index()]..self.starts[id.index() + 1]]
    }

    /// The edges that `each` calls its argument with, in any order. Called twice: once to count,
    /// once to place, so that no list of pairs stands beside the result.
    pub(super) fn collect(count: usize, each: impl Fn(&mut dyn FnMut(PathId, PathId))) -> Self {
        let mut starts = vec![0; count + 1];
        each(&mut |from, _| starts[from.index() + 1] += 1);
        for position in 0..count {
            starts[position + 1] += starts[position];
        }
        let mut next = starts.clone();
        let mut targets = vec![PathId(0); starts[count]];
        each(&mut |from, to| {
            targets[next[from.index()]] = to;
            next[from.index()] += 1;
        });
        Self { starts, targets }
    }
}

impl Builder {
    pub(super) fn push(&mut self, from: PathId, to: PathId) {
        let row = self.starts.len() - 1;
        if from.index() < row {
            self.strays.push((from, to));
            return;
        }
        for _ in row..from.index() {
            self.starts.push(self.targets.len());
        }
        self.targets.push(to);
    }

    pub(super) fn finish(mut self) -> Csr {
        while self.starts.len() <= self.count {
            self.starts.push(self.targets.len());
        }
        let sorted = Csr {
            starts: self.starts,
            targets: self.targets,
        };
        if self.strays.is_empty() {
            return sorted;
        }
        let mut edges = self.strays;
        for position in 0..self.count {
            let from = PathId(u32::try_from(position).unwrap_or(u32::MAX));
            edges.extend(sorted.row(from).iter().map(|to| (from, *to)));
        }
        edges.sort_unstable();
        let mut builder = Csr::builder(self.count);
        for (from, to) in edges {
            builder.push(from, to);
        }
        builder.finish()
    }
}

#[cfg(test)]
mod tests;
