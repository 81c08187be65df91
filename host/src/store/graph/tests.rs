//! Promise 8: "What cannot be read is reported, not assumed."

use super::*;

mod pages;
use crate::{
    Kind,
    store::fixture::{Store, name},
};

fn error(store: &Store) -> FactError {
    let error = Graph::read(&store.layout()).unwrap_err();
    assert_eq!(error.kind, Kind::Malformed);
    assert_eq!(error.path, store.layout().database());
    assert!(error.cure.contains("nix-store --verify"), "{error}");
    error
}

fn find(graph: &Graph, name: &str) -> PathId {
    graph.find(name).unwrap()
}

#[test]
fn a_new_store_has_no_path_and_that_is_no_error() {
    let graph = Graph::read(&Store::new().layout()).unwrap();
    assert!(graph.is_empty());
    assert_eq!((graph.registrations(), graph.unsized_paths()), (0, 0));
}

#[test]
fn a_path_without_a_size_is_counted_and_not_taken_for_an_empty_one() {
    let store = Store::new();
    let (old, new) = (name('a', "old"), name('b', "new"));
    store.register(&old);
    store.register(&new);
    store.sql("UPDATE ValidPaths SET narSize = NULL WHERE path LIKE '%-old'");
    let graph = Graph::read(&store.layout()).unwrap();
    assert_eq!(graph.unsized_paths(), 1);
    assert_eq!(graph.nar_bytes(find(&graph, &old)), 0);
    assert_eq!(graph.nar_bytes(find(&graph, &new)), 100);
}

#[test]
fn a_negative_size_is_an_error() {
    let store = Store::new();
    store.register(&name('a', "x"));
    store.sql("UPDATE ValidPaths SET narSize = -1");
    assert!(error(&store).cause.contains("-1"));
}

#[test]
fn a_reference_from_or_to_no_path_is_an_error() {
    for reference in ["(1, 99)", "(99, 1)"] {
        let store = Store::new();
        store.register(&name('a', "x"));
        store.sql(&format!("INSERT INTO Refs VALUES {reference}"));
        assert!(error(&store).cause.contains("reference"));
    }
}

#[test]
fn sizes_that_are_too_much_together_for_any_disk_are_an_error() {
    let store = Store::new();
    for hash in ['a', 'b', 'c'] {
        store.register(&name(hash, "x"));
    }
    store.sql(&format!("UPDATE ValidPaths SET narSize = {}", i64::MAX));
    let cause = error(&store).cause;
    assert!(cause.contains("has size 9223372036854775807"), "{cause}");
}

#[test]
fn an_output_of_no_derivation_is_an_error() {
    let store = Store::new();
    let output = name('a', "x");
    store.register(&output);
    store.sql(&format!(
        "INSERT INTO DerivationOutputs VALUES (99, 'out', '/nix/store/{output}')"
    ));
    assert!(error(&store).cause.contains("derivation"));
}

#[test]
fn a_path_outside_of_the_store_directory_is_an_error_that_names_it() {
    for path in [
        "/home/x",
        "/nix/store",
        "/nix/store/",
        "/nix/store/a/b",
        "/nix/storex/a",
    ] {
        let store = Store::new();
        store.register(&name('a', "x"));
        store.sql(&format!("UPDATE ValidPaths SET path = '{path}'"));
        assert!(error(&store).cause.contains(path), "{path}");
    }
}

#[test]
fn names_that_begin_alike_are_told_apart() {
    let store = Store::new();
    // The index goes by the first 16 characters; these three have them in common.
    let alike = ["x", "y", "z"].map(|rest| name('a', rest));
    let (present, absent) = alike.split_at(2);
    let other = name('b', "x");
    for name in present.iter().chain([&other]) {
        store.register(name);
    }
    let graph = Graph::read(&store.layout()).unwrap();
    for name in present.iter().chain([&other]) {
        assert_eq!(graph.name(find(&graph, name)), name);
    }
    assert_eq!(graph.find(&absent[0]), None);
    assert_eq!(graph.find(""), None);
}

#[test]
fn edges_are_those_of_the_rows_also_where_ids_have_gaps() {
    let store = Store::new();
    let [gone, drv, out, lib, lost] = [
        ('a', "gone"),
        ('b', "x.drv"),
        ('c', "x"),
        ('d', "lib"),
        ('e', "lost"),
    ]
    .map(|(hash, rest)| name(hash, rest));
    for name in [&gone, &drv, &out, &lib] {
        store.register(name);
    }
    store.sql(&format!(
        "DELETE FROM ValidPaths WHERE id = 1;
         UPDATE ValidPaths SET deriver = '/nix/store/{drv}' WHERE id = 3;
         UPDATE ValidPaths SET deriver = '/nix/store/{gone}' WHERE id = 4;
         INSERT INTO Refs VALUES (3, 4), (3, 3);
         INSERT INTO DerivationOutputs VALUES
             (2, 'out', '/nix/store/{out}'), (2, 'lost', '/nix/store/{lost}');"
    ));
    let graph = Graph::read(&store.layout()).unwrap();
    let [drv, out, lib] = [drv, out, lib].map(|name| find(&graph, &name));
    assert_eq!(graph.len(), 3);
    assert_eq!(graph.registrations(), 4);
    assert_eq!(graph.find(&gone), None);
    assert_eq!(graph.references(out), [out, lib]);
    assert!(graph.references(drv).is_empty() && graph.references(lib).is_empty());
    // What is not valid is neither an output nor a deriver.
    assert_eq!(graph.outputs(drv), [out]);
    assert_eq!(graph.deriver(out), Some(drv));
    assert_eq!(graph.deriver(lib), None);
}
