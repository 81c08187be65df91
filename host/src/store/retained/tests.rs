//! Promise 2: "It frees what it promised or says why not": what a root alone keeps is exactly what
//! removing it, and nothing else, makes dead.

use proptest::{prelude::prop, proptest, test_runner::Config};

use super::*;
use crate::store::{
    PathSet,
    fixture::{Store, name},
    mark,
    random::{graphs, lost, members},
};

proptest! {
    #![proptest_config(Config::with_cases(192))]

    #[test]
    fn what_a_holder_alone_keeps_is_what_dies_when_it_goes(
        drawn in graphs(20),
        stay in prop::collection::vec(0..20usize, 0..3),
        links in prop::collection::vec((prop::collection::vec(0..20usize, 0..3), 0..3usize), 0..7),
    ) {
        let (graph, ids) = drawn.graph();
        let id = |number: &usize| ids[number % ids.len()];
        let stay: Vec<PathId> = stay.iter().map(id).collect();
        let holders: Vec<Holder> = (links.iter())
            .map(|(paths, group)| Holder { paths: paths.iter().map(id).collect(), group: *group })
            .collect();
        let retained = Retained::of(&graph, drawn.keep, stay.iter().copied(), &holders);
        let labelled = |is_it: &dyn Fn(PathId) -> bool| -> Vec<PathId> {
            graph.ids().filter(|id| is_it(*id)).collect()
        };
        let without = |gone: &dyn Fn(usize) -> bool| -> Vec<PathId> {
            let split = |left: bool| {
                let holders = holders.iter().enumerate().filter(move |(n, _)| gone(*n) != left);
                holders.flat_map(|(_, holder)| holder.paths.iter().copied())
            };
            lost(&graph, drawn.keep, stay.iter().copied().chain(split(true)), split(false))
        };
        let bytes = |paths: &[PathId]| paths.iter().map(|id| graph.nar_bytes(*id)).sum::<u64>();

        let by_holder = retained.by_holder(&graph);
        for (number, told) in by_holder.into_iter().enumerate() {
            let dies = without(&|other| other == number);
            assert_eq!(labelled(&|id| retained.held_by(id) == HeldBy::Holder(number)), dies);
            let share = Share { paths: dies.len() as u64, nar_bytes: bytes(&dies) };
            assert_eq!(told, share);
        }
        let by_group = retained.by_group(&graph);
        for group in 0..3 {
            let dies = without(&|other| holders[other].group == group);
            assert_eq!(labelled(&|id| retained.group_of(id) == Some(group)), dies);
            let share = by_group.get(group).copied().unwrap_or_default();
            assert_eq!(share.nar_bytes, bytes(&dies));
        }
        let all = holders.iter().flat_map(|holder| holder.paths.iter().copied());
        let alive: PathSet = mark(&graph, drawn.keep, stay.iter().copied().chain(all));
        let held = labelled(&|id| retained.held_by(id) != HeldBy::Nobody);
        assert_eq!(held, members(&graph, &alive));
    }
}

#[test]
fn two_links_to_one_path_keep_it_together_and_neither_alone() {
    let store = Store::new();
    store.register(&name('a', "x"));
    let graph = Graph::read(&store.layout()).unwrap();
    let paths: Vec<PathId> = graph.ids().collect();
    let holder = |group| Holder {
        paths: paths.clone(),
        group,
    };
    let held_by =
        |holders: &[Holder]| Retained::of(&graph, Keep::default(), [], holders).held_by(paths[0]);
    assert_eq!(held_by(&[holder(0)]), HeldBy::Holder(0));
    assert_eq!(held_by(&[holder(0), holder(0)]), HeldBy::Group(0));
    assert_eq!(held_by(&[holder(0), holder(1)]), HeldBy::Many);
}
