//! The rows of `Refs` and `DerivationOutputs`, before it is known which path has which row id.

use super::{PathId, paths::Positions};
use crate::store::csr::Csr;

/// References in the order of their referrers, by row ids.
#[derive(Debug)]
pub(super) struct References {
    /// Each referrer and where its references end.
    referrers: Vec<(u32, u32)>,
    targets: Vec<PathId>,
    most: usize,
}

/// The most edges that a graph holds.
pub(super) const MOST: usize = u32::MAX as usize;

impl References {
    /// None yet, and never more than `most`.
    pub(super) fn at_most(most: usize) -> Self {
        Self {
            referrers: Vec::new(),
            targets: Vec::new(),
            most: most.min(MOST),
        }
    }

    /// Makes room for about as many as a database of so many bytes has.
    pub(super) fn reserve(&mut self, bytes: u64) {
        let rows = usize::try_from(bytes / 96).unwrap_or(0);
        self.targets.reserve(rows);
        self.referrers.reserve(rows / 8);
    }

    /// Adds a reference. Those of one referrer must come together.
    pub(super) fn push(&mut self, referrer: i64, reference: i64) -> Result<(), String> {
        let known = |rowid: i64| u32::try_from(rowid).map_err(|_| no_path(rowid));
        let (referrer, reference) = (known(referrer)?, known(reference)?);
        if self.targets.len() >= self.most {
            return Err(too_many(self.most));
        }
        self.targets.push(PathId(reference));
        let end = u32::try_from(self.targets.len()).unwrap_or(u32::MAX);
        match self.referrers.last_mut() {
            Some((last, last_end)) if *last == referrer => *last_end = end,
            _ => self.referrers.push((referrer, end)),
        }
        Ok(())
    }

    /// The edges between the paths of these row ids.
    pub(super) fn finish(mut self, positions: &Positions<'_>, count: usize) -> Result<Csr, String> {
        for target in &mut self.targets {
            *target = positions.find(target.0).ok_or_else(|| no_path(target.0))?;
        }
        let mut starts = Vec::with_capacity(count + 1);
        let mut start = 0;
        for (referrer, end) in self.referrers {
            let from = positions
                .find(referrer)
                .ok_or_else(|| no_path(referrer))?
                .index();
            if from < starts.len() {
                return Err("references are not in the order of their referrers".to_owned());
            }
            starts.resize(from + 1, start);
            start = end;
        }
        starts.resize(count + 1, start);
        self.targets.shrink_to_fit();
        Ok(Csr::of(starts, self.targets))
    }
}

impl References {
    /// Appends the edges to those of the paths before: `position` finds a path by its row id, and
    /// there are `count` paths in all.
    pub(super) fn append_to(
        mut self,
        csr: &mut Csr,
        position: impl Fn(u32) -> Option<PathId>,
        count: usize,
    ) -> Result<(), String> {
        for target in &mut self.targets {
            *target = position(target.0).ok_or_else(|| no_path(target.0))?;
        }
        let mut start = 0;
        for (referrer, end) in self.referrers {
            let from = position(referrer).ok_or_else(|| no_path(referrer))?.index();
            if from < csr.rows() {
                return Err("a reference of a path that was there before".to_owned());
            }
            while csr.rows() < from {
                csr.push_row(&[]);
            }
            csr.push_row(&self.targets[start..end as usize]);
            start = end as usize;
        }
        while csr.rows() < count {
            csr.push_row(&[]);
        }
        Ok(())
    }
}

/// The edges from derivations to their valid outputs, each row in order.
pub(super) fn outputs(
    pairs: &mut Vec<(PathId, PathId)>,
    count: usize,
    most: usize,
) -> Result<Csr, String> {
    if pairs.len() > most {
        return Err(too_many(most));
    }
    pairs.sort_unstable();
    pairs.dedup();
    Ok(Csr::collect(count, |edge| {
        for (from, to) in pairs.iter() {
            edge(*from, *to);
        }
    }))
}

fn no_path(rowid: impl std::fmt::Display) -> String {
    format!("a reference belongs to no valid path: there is no row {rowid} in ValidPaths")
}

fn too_many(most: usize) -> String {
    format!("more than {most} references and outputs, and a graph holds no more than 2^32")
}

#[cfg(test)]
mod tests;
