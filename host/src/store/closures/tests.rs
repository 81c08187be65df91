//! The sizes of many closures are those of each alone, circles or not.

use proptest::{prelude::prop, proptest, test_runner::Config};

use super::*;
use crate::store::{
    Keep, mark,
    random::{graphs, members},
};

proptest! {
    #![proptest_config(Config::with_cases(96))]

    #[test]
    fn each_closure_has_the_size_that_a_walk_of_its_own_finds(
        drawn in graphs(40),
        of in prop::collection::vec(0..40usize, 0..140),
    ) {
        let (graph, ids) = drawn.graph();
        let of: Vec<PathId> = of.iter().map(|number| ids[number % ids.len()]).collect();
        let references = Keep { outputs: false, derivations: false };
        for (id, share) in of.iter().zip(closures(&graph, &of)) {
            let closure = members(&graph, &mark(&graph, references, [*id]));
            assert_eq!(share.paths, closure.len() as u64);
            let bytes = closure.iter().map(|id| graph.nar_bytes(*id)).sum::<u64>();
            assert_eq!(share.nar_bytes, bytes);
        }
    }
}
