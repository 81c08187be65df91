//! An operator names a path as it stands on the screen: whole, in part, or by what is in it.

use std::os::unix::fs::symlink;

use super::*;
use crate::store::fixture::{Store, name};

struct Host {
    store: Store,
    graph: Graph,
    id: PathId,
}

fn host() -> Host {
    let store = Store::new();
    let (firefox, other) = (name('a', "firefox"), name('b', "other"));
    store.register(&firefox);
    store.register(&other);
    store.register(&format!("{}c-twin", "b".repeat(31)));
    fs::create_dir_all(store.path("nix/store").join(&firefox).join("bin")).unwrap();
    let graph = Graph::read(&store.layout()).unwrap();
    let id = graph.find(&firefox).unwrap();
    Host { store, graph, id }
}

impl Host {
    fn find(&self, text: &str) -> Result<PathId> {
        lookup(&self.store.layout(), &self.graph, text)
    }
}

#[test]
fn a_path_is_found_by_any_name_that_only_it_has() {
    let host = host();
    let name = name('a', "firefox");
    for text in [
        name.clone(),
        format!("/nix/store/{name}"),
        format!("/nix/store/{name}/"),
        format!("/nix/store/{name}/bin/none/such"),
        "aaaa".to_owned(),
        "a".repeat(32),
        format!("{}-fire", "a".repeat(32)),
        host.store
            .path("nix/store")
            .join(&name)
            .display()
            .to_string(),
    ] {
        assert_eq!(host.find(&text).unwrap(), host.id, "{text}");
    }
}

#[test]
fn a_link_of_the_host_that_leads_to_a_path_means_that_path() {
    let host = host();
    let target = format!("/nix/store/{}", name('a', "firefox"));
    fs::create_dir_all(host.store.path("run")).unwrap();
    symlink(format!("{target}/bin"), host.store.path("run/current")).unwrap();
    assert_eq!(host.find("/run/current").unwrap(), host.id);
}

#[test]
fn a_beginning_that_several_have_names_them_and_none_is_chosen() {
    let error = host().find("bbbb").unwrap_err();
    assert!(
        error.cause.starts_with("2 paths begin with it: "),
        "{error}"
    );
    assert!(
        error.cause.contains("-other") && error.cause.contains("-twin"),
        "{error}"
    );
}

#[test]
fn a_path_that_is_not_valid_is_told_from_one_that_is_not_there() {
    let host = host();
    let left = name('d', "left");
    fs::write(host.store.path("nix/store").join(&left), "").unwrap();
    for text in [left.clone(), format!("/nix/store/{left}/x")] {
        let error = host.find(&text).unwrap_err();
        assert_eq!(error.kind, Kind::Malformed, "{error}");
        assert!(
            error.cause.contains("the database does not know it"),
            "{error}"
        );
    }
    for text in ["tmp-1-2", "bad dir", "x"] {
        fs::write(host.store.path("nix/store").join(text), "").unwrap();
        let error = host.find(text).unwrap_err();
        assert!(
            error.cause.contains("the database does not know it"),
            "{error}"
        );
    }
    let gone = host
        .find(&format!("/nix/store/{}", name('e', "gone")))
        .unwrap_err();
    assert_eq!(
        (gone.kind, gone.cause.as_str()),
        (Kind::Missing, "there is no such path in the store")
    );
    assert_eq!(host.find("zzzz").unwrap_err().kind, Kind::Missing);
    assert!(host.find("aaa").unwrap_err().cause.contains("too short"));
    assert!(host.find("/nix/var").unwrap_err().kind != Kind::Denied);
    let nowhere = host.find("/nowhere").unwrap_err();
    assert_eq!(nowhere.kind, Kind::Missing, "{nowhere}");
    // Neither the directory itself nor what Nix keeps in it is a left-over.
    fs::create_dir(host.store.path("nix/store/.links")).unwrap();
    for text in ["", ".links"] {
        assert_eq!(host.find(text).unwrap_err().kind, Kind::Missing);
    }
}
