//! Promise 2: "It frees what it promised or says why not" — so what is remembered of a path must
//! not outlive the truth. Promise 8: "What cannot be read is reported, not assumed."

use std::{ffi::OsString, fs::hard_link, path::PathBuf};

use super::*;
use crate::store::{Footprint, Graph, fixture::Store};

/// A store whose paths are all dead, and what is remembered of it.
struct Dead {
    store: Store,
    weights: Weights,
    strays: Vec<OsString>,
    now: SystemTime,
}

/// A base name by its first letter.
fn name(letter: char) -> String {
    crate::store::fixture::name(letter, "x")
}

impl Dead {
    fn new(letters: &str) -> Self {
        let store = Store::new();
        for letter in letters.chars() {
            store.register(&name(letter));
        }
        Self {
            store,
            weights: Weights::default(),
            strays: Vec::new(),
            now: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        }
    }

    /// Writes a file of so many KiB below the store directory.
    fn file(&self, path: &str, kib: usize) -> PathBuf {
        let path = self.store.path("nix/store").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vec![0x5a; kib * 1024]).unwrap();
        fs::File::open(&path).unwrap().sync_all().unwrap();
        path
    }

    /// What `--optimise` does to the first sight of a file.
    fn optimise(&self, file: &std::path::Path, link: &str) -> PathBuf {
        let link = self.store.path("nix/store/.links").join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        hard_link(file, &link).unwrap();
        link
    }

    /// What deleting all that is registered and all strays frees, and how many paths were walked
    /// for it.
    fn look(&mut self) -> (Reclaimable, usize) {
        let layout = self.store.layout();
        let graph = Graph::read(&layout).unwrap();
        let rows: Vec<RowId> = graph.ids().map(|id| graph.row(id)).collect();
        let moment = Moment::of(&layout).unwrap();
        self.weights.keep(&rows, &moment, self.now);
        let unknown: Vec<(RowId, Box<str>)> = (graph.ids())
            .map(|id| (graph.row(id), graph.name(id).into()))
            .filter(|(row, _)| !self.weights.has(*row))
            .collect();
        let mut pace = || ControlFlow::<Infallible>::Continue(());
        let ControlFlow::Continue(unread) =
            self.weights.walk(&layout, &unknown, self.now, &mut pace);
        let ControlFlow::Continue(sum) = self.weights.sum(&layout, &self.strays, unread, &mut pace);
        (sum, unknown.len())
    }

    fn frees(&mut self) -> (u64, u64) {
        let (sum, _) = self.look();
        assert!(sum.unread.is_empty(), "{:?}", sum.unread);
        (sum.bytes, sum.files)
    }
}

fn blocks(paths: &[&std::path::Path]) -> u64 {
    let of = |path: &&std::path::Path| fs::symlink_metadata(path).unwrap().blocks() * 512;
    paths.iter().map(of).sum()
}

#[test]
fn a_path_is_walked_once_and_a_new_one_is_added() {
    let mut dead = Dead::new("a");
    let a = dead.file(&format!("{}/bin/x", name('a')), 64);
    let dirs = [a.parent().unwrap(), a.parent().unwrap().parent().unwrap()];
    let expected = blocks(&[&a, dirs[0], dirs[1]]);
    let (sum, walked) = dead.look();
    assert_eq!((sum.bytes, sum.files, walked), (expected, 3, 1));
    dead.store.register(&name('b'));
    let b = dead.file(&name('b'), 16);
    let (sum, walked) = dead.look();
    assert_eq!(
        (sum.bytes, sum.files, walked),
        (expected + blocks(&[&b]), 4, 1)
    );
}

#[test]
fn a_path_that_is_not_dead_any_more_is_not_counted() {
    let mut dead = Dead::new("ab");
    let a = dead.file(&name('a'), 16);
    dead.file(&name('b'), 64);
    dead.frees();
    dead.store.sql("DELETE FROM ValidPaths WHERE id = 2");
    assert_eq!(dead.frees(), (blocks(&[&a]), 1));
}

#[test]
fn a_path_that_is_registered_anew_is_walked_anew() {
    let mut dead = Dead::new("a");
    let a = dead.file(&name('a'), 16);
    dead.frees();
    dead.store.sql("DELETE FROM ValidPaths");
    fs::remove_file(&a).unwrap();
    dead.store.register(&name('a'));
    let a = dead.file(&name('a'), 64);
    assert_eq!(dead.frees(), (blocks(&[&a]), 1));
}

#[test]
fn a_shared_file_counts_when_its_last_path_dies_and_no_sooner_though_nothing_is_walked_again() {
    let mut dead = Dead::new("a");
    let a = dead.file(&name('a'), 64);
    dead.optimise(&a, "0");
    // A live path has it, too.
    let live = dead.store.path("nix/store").join(name('l'));
    hard_link(&a, &live).unwrap();
    assert_eq!(dead.frees(), (0, 0));
    fs::remove_file(&live).unwrap();
    let (sum, walked) = dead.look();
    assert_eq!((sum.bytes, sum.files, walked), (blocks(&[&a]), 1, 0));
    // And a new live path that gets the same file holds it again.
    hard_link(&a, &live).unwrap();
    let (sum, walked) = dead.look();
    assert_eq!((sum.bytes, sum.files, walked), (0, 0, 0));
}

#[test]
fn files_that_an_optimiser_replaced_after_the_walk_are_seen_to_be_shared() {
    let mut dead = Dead::new("a");
    let a = dead.file(&name('a'), 64);
    assert_eq!(dead.frees(), (blocks(&[&a]), 1));
    let live = dead.file(&name('l'), 64);
    dead.optimise(&live, "0");
    fs::remove_file(&a).unwrap();
    hard_link(&live, &a).unwrap();
    assert_eq!(dead.frees(), (0, 0));
}

#[test]
fn what_was_found_is_believed_for_a_day() {
    let mut dead = Dead::new("a");
    let a = dead.file(&name('a'), 16);
    dead.frees();
    // Something that Nix never does: the path's content changes.
    dead.file(&name('a'), 64);
    dead.now += Duration::from_secs(23 * 3600);
    assert_eq!(dead.look().1, 0);
    dead.now += Duration::from_secs(3600);
    assert_eq!(dead.frees(), (blocks(&[&a]), 1));
}

#[test]
fn links_that_no_path_has_any_more_are_freed_with_the_rest() {
    let mut dead = Dead::new("");
    let file = dead.file(&name('g'), 64);
    let link = dead.optimise(&file, "0");
    fs::remove_file(&file).unwrap();
    assert_eq!(dead.frees(), (blocks(&[&link]), 1));
}

#[test]
fn what_lies_in_the_store_unknown_to_the_database_is_counted() {
    let mut dead = Dead::new("a");
    let a = dead.file(&name('a'), 16);
    let lock = dead.file(&format!("{}.lock", name('b')), 8);
    let linked = dead.store.path("nix/store/stray");
    hard_link(&a, &linked).unwrap();
    dead.strays = vec![
        lock.file_name().unwrap().into(),
        "stray".into(),
        "gone".into(),
    ];
    assert_eq!(dead.frees(), (blocks(&[&a, &lock]), 2));
}

#[test]
fn a_link_from_outside_of_the_store_holds_a_file() {
    let mut dead = Dead::new("a");
    let a = dead.file(&name('a'), 64);
    dead.optimise(&a, "0");
    hard_link(&a, dead.store.path("backup")).unwrap();
    assert_eq!(dead.frees(), (0, 0));
}

#[test]
fn files_linked_within_a_path_sparse_files_and_links_count_as_the_disk_counts_them() {
    let mut dead = Dead::new("abc");
    let first = dead.file(&format!("{}/x", name('a')), 64);
    hard_link(&first, first.parent().unwrap().join("y")).unwrap();
    let sparse = dead.file(&name('b'), 4);
    let file = fs::File::options().write(true).open(&sparse).unwrap();
    file.set_len(64 << 20).unwrap();
    file.sync_all().unwrap();
    let link = dead.store.path("nix/store").join(name('c'));
    std::os::unix::fs::symlink("/nowhere", &link).unwrap();
    let expected = blocks(&[&first, first.parent().unwrap(), &sparse, &link]);
    assert!(expected < 1 << 20);
    assert_eq!(dead.frees(), (expected, 4));
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_counted() {
    let mut dead = Dead::new("ab");
    let a = dead.file(&name('a'), 16);
    // Nobody may list a directory that is none: root reads all others.
    let bad = "x".repeat(300);
    dead.strays = vec![bad.clone().into()];
    let (sum, _) = dead.look();
    assert_eq!((sum.bytes, sum.files), (blocks(&[&a]), 1));
    assert_eq!(sum.unread.len(), 1);
    assert!(sum.unread[0].to_string().contains(&bad));
}

#[test]
fn a_path_that_goes_during_its_walk_fails_nothing() {
    let mut dead = Dead::new("a");
    let a = dead.file(&format!("{}/x", name('a')), 16);
    let directory = a.parent().unwrap().to_owned();
    let layout = dead.store.layout();
    let graph = Graph::read(&layout).unwrap();
    let id = graph.find(&name('a')).unwrap();
    let paths = [(graph.row(id), name('a').into())];
    let mut step = 0;
    // Gone when its directory was listed and before the file is looked at.
    let mut pace = || {
        step += 1;
        if step == 2 {
            fs::remove_dir_all(&directory).unwrap();
        }
        ControlFlow::<Infallible>::Continue(())
    };
    let ControlFlow::Continue(unread) = dead.weights.walk(&layout, &paths, dead.now, &mut pace);
    assert!(unread.is_empty());
    assert!(dead.weights.has(graph.row(id)));
}

#[test]
fn a_walk_that_is_broken_off_keeps_what_it_found() {
    let mut dead = Dead::new("ab");
    dead.file(&name('a'), 16);
    dead.file(&name('b'), 16);
    let layout = dead.store.layout();
    let graph = Graph::read(&layout).unwrap();
    let paths: Vec<(RowId, Box<str>)> = (graph.ids())
        .map(|id| (graph.row(id), graph.name(id).into()))
        .collect();
    let mut left = 1;
    let mut pace = || {
        left -= 1;
        if left < 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    assert!(
        dead.weights
            .walk(&layout, &paths, dead.now, &mut pace)
            .is_break()
    );
    assert_eq!(dead.weights.len(), 1);
    assert_eq!(dead.look().1, 1);
}

#[test]
fn the_sum_is_that_of_adding_up_footprints_whatever_shares_what() {
    use proptest::prelude::*;
    let config = ProptestConfig::with_cases(32);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    // For each path its files by content, and whether the path is dead.
    let stores = prop::collection::vec((prop::collection::vec(0..6u8, 0..5), any::<bool>()), 1..8);
    let strategy = (stores, any::<bool>());
    runner
        .run(&strategy, |(paths, optimised)| {
            let mut dead = Dead::new("");
            let mut names = Vec::new();
            for (letter, (files, is_dead)) in ('a'..).zip(&paths) {
                for (index, content) in files.iter().enumerate() {
                    let path = format!("{}/{index}", name(letter));
                    let kept = dead.store.path(format!("nix/store/.links/{content}"));
                    if optimised && kept.exists() {
                        let path = dead.store.path("nix/store").join(path);
                        fs::create_dir_all(path.parent().unwrap()).unwrap();
                        hard_link(&kept, &path).unwrap();
                    } else {
                        let file = dead.file(&path, usize::from(*content) * 4 + 4);
                        if optimised {
                            dead.optimise(&file, &content.to_string());
                        }
                    }
                }
                if *is_dead {
                    dead.store.register(&name(letter));
                    names.push(name(letter));
                }
            }
            let layout = dead.store.layout();
            let optimised = crate::store::optimised_inodes(&layout).unwrap();
            let mut reclaim = crate::store::Reclaim::new(&optimised);
            for name in &names {
                reclaim.add(&Footprint::read(&layout, name.as_ref()).unwrap());
            }
            prop_assert_eq!(dead.frees(), (reclaim.bytes(), reclaim.files()));
            Ok(())
        })
        .unwrap();
}
