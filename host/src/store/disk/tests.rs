//! Promise 2: "It frees what it promised or says why not" — so it must know what deleting frees.

use std::{ffi::OsStr, os::unix::fs::symlink};

use super::*;
use crate::store::fixture::Store;

fn file(store: &Store, path: &str, kib: usize) -> PathBuf {
    let path = store.path("nix/store").join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, vec![0x5a; kib * 1024]).unwrap();
    // Some file systems reserve the blocks of what is not written yet only later.
    fs::File::open(&path).unwrap().sync_all().unwrap();
    path
}

fn blocks(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().blocks() * BLOCK
}

fn footprint(store: &Store, name: &str) -> Footprint {
    Footprint::read(&store.layout(), OsStr::new(name)).unwrap()
}

/// Bytes and inodes that deleting these together frees.
fn frees(store: &Store, names: &[&str]) -> (u64, u64) {
    let optimised = optimised_inodes(&store.layout()).unwrap();
    let mut reclaim = Reclaim::new(&optimised);
    for name in names {
        reclaim.add(&footprint(store, name));
    }
    (reclaim.bytes(), reclaim.files())
}

#[test]
fn directories_links_and_files_of_one_path_count_with_their_blocks() {
    let store = Store::new();
    let inner = file(&store, "a/bin/x", 64);
    let link = store.path("nix/store/a/link");
    symlink("/nowhere", &link).unwrap();
    let directories = [store.path("nix/store/a"), store.path("nix/store/a/bin")];
    let expected: u64 = directories
        .iter()
        .chain([&inner, &link])
        .map(|path| blocks(path))
        .sum();
    assert!(expected >= 64 * 1024);
    assert_eq!(frees(&store, &["a"]), (expected, 4));
    let whole = footprint(&store, "a");
    assert_eq!((whole.bytes(), whole.files()), (expected, 4));
}

#[test]
fn a_file_that_is_linked_within_the_set_is_freed_once_with_its_last_link() {
    let store = Store::new();
    let shared = file(&store, "a", 64);
    fs::hard_link(&shared, store.path("nix/store/b")).unwrap();
    assert_eq!(frees(&store, &["a"]), (0, 0));
    assert_eq!(frees(&store, &["a", "b"]), (blocks(&shared), 1));
    assert_eq!(frees(&store, &["b", "a"]), (blocks(&shared), 1));
}

#[test]
fn a_file_that_is_linked_twice_within_one_path_is_freed_with_it() {
    let store = Store::new();
    let shared = file(&store, "a/x", 64);
    fs::hard_link(&shared, store.path("nix/store/a/y")).unwrap();
    let directory = blocks(&store.path("nix/store/a"));
    assert_eq!(frees(&store, &["a"]), (directory + blocks(&shared), 2));
}

#[test]
fn a_file_that_is_linked_from_outside_of_the_set_is_not_freed() {
    let store = Store::new();
    let shared = file(&store, "a", 64);
    fs::hard_link(&shared, store.path("nix/store/b")).unwrap();
    fs::hard_link(&shared, store.path("elsewhere")).unwrap();
    assert_eq!(frees(&store, &["a", "b"]), (0, 0));
}

#[test]
fn the_link_of_the_optimiser_does_not_hold_a_file() {
    let store = Store::new();
    let shared = file(&store, "a", 64);
    fs::hard_link(&shared, store.path("nix/store/b")).unwrap();
    fs::create_dir(store.path("nix/store/.links")).unwrap();
    fs::hard_link(&shared, store.path("nix/store/.links/0")).unwrap();
    assert_eq!(frees(&store, &["a"]), (0, 0));
    assert_eq!(frees(&store, &["a", "b"]), (blocks(&shared), 1));
    // For the order of paths each has its share.
    assert_eq!(footprint(&store, "a").bytes(), blocks(&shared) / 3);
}

#[test]
fn a_store_that_was_never_optimised_has_no_such_links() {
    assert!(optimised_inodes(&Store::new().layout()).unwrap().is_empty());
}

#[test]
fn an_entry_that_is_gone_frees_nothing() {
    assert_eq!(footprint(&Store::new(), "gone"), Footprint::default());
}

#[test]
fn what_vanishes_during_the_walk_is_left_out_and_any_other_failure_is_an_error() {
    let path = Path::new("/nix/store/a");
    let failure = |errno| Err::<(), _>(io::Error::from_raw_os_error(errno));
    use nix::errno::Errno;
    assert!(
        tolerate(path, failure(Errno::ENOENT as i32))
            .unwrap()
            .is_none()
    );
    for errno in [Errno::EACCES, Errno::EIO, Errno::ESTALE] {
        assert_eq!(
            tolerate(path, failure(errno as i32)).unwrap_err().path,
            path
        );
    }
}
