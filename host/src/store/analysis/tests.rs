//! Promise 8: "What cannot be read is reported, not assumed."

use std::fs;

use super::*;
use crate::store::fixture::{Store, name};

/// A store of one dead path that is there, one that is gone, and a file of nobody's.
fn store() -> (Store, Layout) {
    let store = Store::new();
    for letter in ['a', 'b'] {
        store.register(&name(letter, "x"));
    }
    fs::create_dir_all(store.path("proc/self")).unwrap();
    fs::create_dir_all(store.path("nix/var/nix/profiles")).unwrap();
    fs::write(store.path("proc/locks"), "").unwrap();
    fs::copy("/proc/self/mountinfo", store.path("proc/self/mountinfo")).unwrap();
    fs::create_dir_all(store.path("nix/store").join(name('a', "x"))).unwrap();
    fs::write(store.path("nix/store").join("stray"), "").unwrap();
    let layout = store.layout().with_proc(store.path("proc"));
    (store, layout)
}

#[test]
fn a_dead_path_whose_files_are_gone_is_not_listed_as_nix_does_not_find_it() {
    let (_store, layout) = store();
    let analysis = Analysis::read(&layout, &NixConf::default()).unwrap();
    let dead: Vec<&str> = analysis
        .dead
        .iter()
        .map(|id| analysis.graph.name(*id))
        .collect();
    assert_eq!(dead, [name('a', "x")]);
    assert_eq!(analysis.strays, ["stray"]);
    assert!(analysis.is_complete());
}

#[test]
fn a_file_of_settings_that_could_not_be_read_leaves_the_dead_set_in_doubt() {
    let (_store, layout) = store();
    let conf = NixConf {
        unread_files: vec!["/etc/nix/secret.conf".into()],
        ..NixConf::default()
    };
    let analysis = Analysis::read(&layout, &conf).unwrap();
    assert!(!analysis.is_complete());
    let doubt = analysis.roots.unreadable[0].to_string();
    assert!(doubt.contains("/etc/nix/secret.conf"), "{doubt}");
    assert!(doubt.contains("run as root"), "{doubt}");
}

#[test]
fn the_dead_are_listed_in_the_order_of_their_bytes_whether_valid_or_not() {
    let (store, layout) = store();
    for valid in ['c', 'z'] {
        store.register(&name(valid, "x"));
        fs::write(store.path("nix/store").join(name(valid, "x")), "").unwrap();
    }
    for stray in [".tmp", "bad dir", &name('b', "y"), "zzz"] {
        fs::write(store.path("nix/store").join(stray), "").unwrap();
    }
    let analysis = Analysis::read(&layout, &NixConf::default()).unwrap();
    let listed: Vec<OsString> = analysis.dead_paths().collect();
    let names = [
        ".tmp".to_owned(),
        name('a', "x"),
        "bad dir".to_owned(),
        name('b', "y"),
        name('c', "x"),
        "stray".to_owned(),
        name('z', "x"),
        "zzz".to_owned(),
    ];
    let mut expected = names.map(|name| OsString::from(format!("/nix/store/{name}")));
    expected.sort();
    assert_eq!(listed, expected);
}
