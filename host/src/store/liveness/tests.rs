//! Promise 1: "Snowguard never deletes a path that Nix holds alive".

use super::*;
use crate::store::fixture::{Store, name};

/// A derivation, its output that refers to a library and to itself, and a stray of its own.
struct Built {
    graph: Graph,
    drv: PathId,
    out: PathId,
    lib: PathId,
    other: PathId,
}

fn built() -> Built {
    let store = Store::new();
    let names = [('a', "x.drv"), ('b', "x"), ('c', "lib"), ('d', "other")]
        .map(|(hash, rest)| name(hash, rest));
    for name in &names {
        store.register(name);
    }
    let [drv, out, ..] = &names;
    store.sql(&format!(
        "UPDATE ValidPaths SET deriver = '/nix/store/{drv}' WHERE id = 2;
         INSERT INTO Refs VALUES (2, 3), (2, 2);
         INSERT INTO DerivationOutputs VALUES (1, 'out', '/nix/store/{out}');"
    ));
    let graph = Graph::read(&store.layout()).unwrap();
    let [drv, out, lib, other] = names.map(|name| graph.find(&name).unwrap());
    Built {
        graph,
        drv,
        out,
        lib,
        other,
    }
}

fn keep(outputs: bool, derivations: bool) -> Keep {
    Keep {
        outputs,
        derivations,
    }
}

fn alive(built: &Built, keep: Keep, root: PathId) -> Vec<PathId> {
    let alive = mark(&built.graph, keep, [root]);
    built.graph.ids().filter(|id| alive.contains(*id)).collect()
}

#[test]
fn an_output_keeps_its_derivation_and_a_derivation_its_output_as_the_settings_say() {
    let built = built();
    let Built { drv, out, lib, .. } = built;
    assert_eq!(alive(&built, keep(false, false), out), [out, lib]);
    assert_eq!(alive(&built, keep(false, true), out), [drv, out, lib]);
    assert_eq!(alive(&built, keep(false, true), drv), [drv]);
    assert_eq!(alive(&built, keep(true, false), drv), [drv, out, lib]);
}

#[test]
fn a_derivation_and_its_output_that_keep_each_other_are_alive_or_go_together() {
    let built = built();
    let Built {
        drv,
        out,
        lib,
        other,
        ..
    } = built;
    let both = keep(true, true);
    for root in [drv, out] {
        assert_eq!(alive(&built, both, root), [drv, out, lib]);
    }
    assert_eq!(alive(&built, both, lib), [lib]);

    let keepers = Keepers::of(&built.graph, both);
    let closure = |id| {
        let closure = keepers.closure(id);
        assert_eq!(closure[0], id);
        let mut sorted = closure;
        sorted.sort_unstable();
        sorted
    };
    assert_eq!(closure(drv), [drv, out]);
    assert_eq!(closure(out), [drv, out]);
    assert_eq!(closure(lib), [drv, out, lib]);
    assert_eq!(closure(other), [other]);
}

#[test]
fn a_path_that_refers_to_itself_is_not_kept_by_that() {
    let built = built();
    let keepers = Keepers::of(&built.graph, keep(false, false));
    assert!(keepers.keepers(built.out).is_empty());
    assert_eq!(keepers.keepers(built.lib), [built.out]);
}

#[test]
fn adding_roots_tells_each_newly_reached_path_once() {
    let built = built();
    let mut set = mark(&built.graph, keep(false, true), [built.lib]);
    let mut news = Vec::new();
    extend(
        &built.graph,
        keep(false, true),
        &mut set,
        [built.out, built.out, built.lib],
        |id| news.push(id),
    );
    news.sort_unstable();
    assert_eq!(news, [built.drv, built.out]);
    assert_eq!(set.count(), 3);
    assert!(!set.contains(built.other));
}
