//! Promise 8: "What cannot be read is reported, not assumed": that a path is alive has a reason
//! that can be followed link by link.

use std::path::PathBuf;

use proptest::{prelude::prop, proptest, test_runner::Config};

use super::*;
use crate::store::{Root, RootKind, liveness::kept_by, mark, random::graphs};

fn root(path: PathId, link: &str, kind: RootKind) -> Root {
    Root {
        path,
        link: PathBuf::from(link),
        kind,
        via: None,
        made: None,
    }
}

fn roots(found: Vec<Root>) -> Roots {
    Roots {
        found,
        ..Roots::default()
    }
}

/// The least number of edges from one path to another, by walking forwards.
fn distance(graph: &Graph, keep: Keep, from: PathId, to: PathId) -> Option<usize> {
    let mut reached = vec![from];
    for distance in 0..=graph.len() {
        if reached.contains(&to) {
            return Some(distance);
        }
        let mut further = reached.clone();
        for id in &reached {
            kept_by(graph, keep, *id, |next| further.push(next));
        }
        further.sort_unstable();
        further.dedup();
        reached = further;
    }
    None
}

proptest! {
    #![proptest_config(Config::with_cases(192))]

    #[test]
    fn the_chain_is_a_shortest_one_and_the_roots_are_all_that_reach_the_path(
        drawn in graphs(16),
        of in 0..16usize,
        points_at in prop::collection::vec(0..16usize, 0..5),
    ) {
        let (graph, ids) = drawn.graph();
        let keep = drawn.keep;
        let path = ids[of % ids.len()];
        let found = points_at.iter().enumerate().map(|(number, target)| {
            root(ids[target % ids.len()], &format!("/r{number}"), RootKind::Permanent)
        });
        let roots = roots(found.collect());
        let why = Why::of(&graph, keep, &roots, path);

        let reaches = |place: &usize| mark(&graph, keep, [roots.found[*place].path]).contains(path);
        let reaching: Vec<usize> = (0..roots.found.len()).filter(reaches).collect();
        assert_eq!(why.roots, reaching);
        let distances = reaching.iter().map(|place| {
            (distance(&graph, keep, roots.found[*place].path, path).unwrap(), *place)
        });
        let shortest = distances.min();
        let told = why.chain.as_ref().map(|chain| (chain.steps.len() - 1, chain.root));
        assert_eq!(told, shortest);
        let Some(chain) = why.chain else { return Ok(()) };
        assert_eq!(chain.steps[0], Step { by: None, path: roots.found[chain.root].path });
        assert_eq!(chain.steps.last().unwrap().path, path);
        for pair in chain.steps.windows(2) {
            let (from, to) = (pair[0].path, pair[1].path);
            let is_there = match pair[1].by.unwrap() {
                Edge::Reference => graph.references(from).contains(&to),
                Edge::Deriver => keep.derivations && graph.deriver(from) == Some(to),
                Edge::Output => keep.outputs && graph.outputs(from).contains(&to),
            };
            assert!(is_there, "{pair:?}");
        }
    }
}
