//! Graphs drawn at random, circles among them: references, derivers and outputs go anywhere.

use proptest::prelude::{Strategy, any, prop};
use rusqlite::Connection;

use super::{Graph, Keep, PathId, PathSet, fixture::Store, mark};

thread_local! {
    /// Making a database takes longer than all that is done with it. A connection stays open and
    /// its log beside the database, or the reader would wait until the database has settled.
    static STORE: (Store, Connection) = {
        let store = Store::new();
        let connection = store.connect();
        connection
            .execute_batch("PRAGMA journal_mode = wal; PRAGMA synchronous = off")
            .unwrap();
        (store, connection)
    };
}

/// What a graph is made of: the number of its paths, and edges by their numbers.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    pub(super) paths: usize,
    references: Vec<(usize, usize)>,
    derivers: Vec<(usize, usize)>,
    outputs: Vec<(usize, usize)>,
    pub(super) keep: Keep,
}

/// Graphs of up to `most` paths.
pub(super) fn graphs(most: usize) -> impl Strategy<Value = Drawn> {
    (1..=most).prop_flat_map(|paths| {
        let edges = |count| prop::collection::vec((0..paths, 0..paths), 0..=count);
        (
            edges(2 * paths),
            edges(paths / 2),
            edges(paths / 2),
            any::<(bool, bool)>(),
        )
            .prop_map(
                move |(references, derivers, outputs, (keep_outputs, keep_derivations))| Drawn {
                    paths,
                    references,
                    derivers,
                    outputs,
                    keep: Keep {
                        outputs: keep_outputs,
                        derivations: keep_derivations,
                    },
                },
            )
    })
}

impl Drawn {
    /// The graph; the path of number `n` has `2^n` bytes, so that a sum tells its parts.
    pub(super) fn graph(&self) -> (Graph, Vec<PathId>) {
        let names: Vec<String> = (0..self.paths).map(|n| format!("{n:0>32}-p")).collect();
        let mut sql = String::from(
            "BEGIN;
             DELETE FROM Refs; DELETE FROM DerivationOutputs; DELETE FROM ValidPaths;
             DELETE FROM sqlite_sequence;",
        );
        for (number, name) in names.iter().enumerate() {
            let deriver = (self.derivers.iter().find(|(from, _)| *from == number))
                .map_or("NULL".to_owned(), |(_, to)| {
                    format!("'/nix/store/{}'", names[*to])
                });
            sql += &format!(
                "INSERT INTO ValidPaths (path, hash, registrationTime, narSize, deriver)
                 VALUES ('/nix/store/{name}', 'sha256:0', 1, {}, {deriver});",
                1u64 << number
            );
        }
        for (from, to) in &self.references {
            sql += &format!(
                "INSERT OR IGNORE INTO Refs VALUES ({}, {});",
                from + 1,
                to + 1
            );
        }
        for (output, (drv, to)) in self.outputs.iter().enumerate() {
            sql += &format!(
                "INSERT INTO DerivationOutputs VALUES ({}, 'o{output}', '/nix/store/{}');",
                drv + 1,
                names[*to]
            );
        }
        let graph = STORE.with(|(store, connection)| {
            connection.execute_batch(&format!("{sql}COMMIT;")).unwrap();
            Graph::read(&store.layout()).unwrap()
        });
        let ids = names.iter().map(|name| graph.find(name).unwrap()).collect();
        (graph, ids)
    }
}

/// By brute force: what is alive with all of these roots and dead with the others alone.
pub(super) fn lost(
    graph: &Graph,
    keep: Keep,
    others: impl IntoIterator<Item = PathId>,
    removed: impl IntoIterator<Item = PathId>,
) -> Vec<PathId> {
    let others: Vec<PathId> = others.into_iter().collect();
    let left = mark(graph, keep, others.iter().copied());
    let all = mark(graph, keep, others.into_iter().chain(removed));
    let is_lost = |id: &PathId| all.contains(*id) && !left.contains(*id);
    graph.ids().filter(is_lost).collect()
}

/// The members of a set.
pub(super) fn members(graph: &Graph, set: &PathSet) -> Vec<PathId> {
    graph.ids().filter(|id| set.contains(*id)).collect()
}
