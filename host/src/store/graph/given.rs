//! A graph that is told and not read: for judging what follows from one without a database.

use super::{
    Csr, Graph, Outputs, PathId,
    paths::{Paths, Unresolved},
};
use crate::STORE_DIR;

/// A path of a graph that is told; other paths are meant by their positions.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Its base name.
    pub name: String,
    /// What it refers to.
    pub references: Vec<usize>,
    /// Its outputs, if it is a derivation.
    pub outputs: Vec<usize>,
    /// What it was built by.
    pub deriver: Option<usize>,
}

impl Graph {
    /// The graph of these paths.
    ///
    /// # Errors
    /// If a position is not that of a path, or they are more than a graph can hold.
    pub fn given(given: &[Given]) -> std::result::Result<Self, String> {
        let id = |at: usize| {
            let id = u32::try_from(at).ok().filter(|_| at < given.len());
            id.map(PathId).ok_or_else(|| format!("no path at {at}"))
        };
        let (mut paths, mut unresolved) = (Paths::default(), Unresolved::default());
        for (rowid, path) in (1_i64..).zip(given) {
            let store_path = |name: &str| format!("{STORE_DIR}/{name}");
            let deriver = path.deriver.and_then(|at| given.get(at));
            let deriver = deriver.map(|deriver| store_path(&deriver.name));
            let (name, deriver) = (store_path(&path.name), deriver.as_deref());
            paths.push(rowid, &name, Some(0), deriver, &mut unresolved)?;
        }
        paths.resolve(&unresolved);
        let (mut references, mut outputs) = (Csr::default(), Outputs::default());
        for (at, path) in given.iter().enumerate() {
            let row: Result<Vec<_>, _> = path.references.iter().map(|to| id(*to)).collect();
            references.push_row(&row?);
            for to in &path.outputs {
                outputs.pairs.push((id(at)?, id(*to)?));
            }
        }
        let registrations = u64::try_from(given.len()).unwrap_or(u64::MAX);
        Self::assemble(paths, references, outputs, registrations)
    }
}
