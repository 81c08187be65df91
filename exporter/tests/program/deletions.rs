//! How many paths were deleted, exact whatever happens between two looks.

use std::time::SystemTime;

use rusqlite::Connection;
use snowguard_exporter::collect::{Name, Names, Registry};
use snowguard_host::Layout;

use crate::host::{Host, name};

#[test]
fn what_was_deleted_between_two_looks_is_counted_also_if_it_came_in_between() {
    let host = Host::new();
    let db = Connection::open(host.database()).unwrap();
    // The log stays open as with a daemon that runs.
    db.execute_batch("PRAGMA journal_mode = wal").unwrap();
    let add = |letter: char| {
        let insert = "INSERT INTO ValidPaths (path, hash, registrationTime, narSize) \
                      VALUES ('/nix/store/' || ?1, 'sha256:0', 1, 1)";
        db.execute(insert, [name(letter, "new")]).unwrap();
    };
    let delete = |letter: char| {
        let delete = "DELETE FROM ValidPaths WHERE path = '/nix/store/' || ?1";
        assert_eq!(db.execute(delete, [name(letter, "new")]).unwrap(), 1);
    };
    add('m');
    let only = Name::ALL.into_iter().filter(|name| *name != Name::Store);
    let names = only.fold(Names::all(), Names::without);
    let mut registry = Registry::new(Layout::new(host.root()), &names);
    let mut look = || {
        let snapshot = registry.collect(SystemTime::now());
        let value = |name: &str| {
            let mut families = snapshot.families.iter();
            families.find(|family| family.name == name).unwrap().samples[0].value
        };
        (
            value("nix_store_paths"),
            value("nix_store_paths_deleted_total"),
        )
    };
    let (before, deleted) = look();
    assert_eq!(
        deleted, 0.0,
        "what was before the first look is not counted"
    );
    add('n');
    assert_eq!(look(), (before + 1.0, 0.0));
    // One that was there, one that was seen, one that came and went; and two that stay.
    for letter in "pqr".chars() {
        add(letter);
    }
    for letter in "mnp".chars() {
        delete(letter);
    }
    assert_eq!(look(), (before + 1.0, 3.0));
    assert_eq!(look(), (before + 1.0, 3.0));
}
