//! Promise 7: "Reading never blocks or slows Nix: no lock of Nix's is taken, no reading transaction
//! stays open, no users' GC roots are touched."

use std::{
    collections::{BTreeSet, HashSet},
    fs::{self, File},
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use snowguard_host::{
    BuildUsers, Layout, Locks, NixConf, Profiles, System,
    provenance::{Cursor, Look, default_dir},
    store::{Analysis, FileSystem, Footprint, Snapshot, optimised_inodes},
};

use crate::fixture::{Store, name, row};

/// The locks that Nix takes, by their paths below the state directory.
const LOCKS: [&str; 5] = [
    "gc.lock",
    "db/big-lock",
    "profiles/system.lock",
    "userpool/30001",
    "temproots/1",
];

fn host() -> Store {
    let store = Store::new();
    for (hash, rest) in [('a', "system"), ('b', "dead"), ('c', "x.drv")] {
        store.register(&name(hash, rest));
        let path = store.path("nix/store").join(name(hash, rest));
        fs::write(path, "content").unwrap();
    }
    let profiles = store.path("nix/var/nix/profiles");
    let system = format!("/nix/store/{}", name('a', "system"));
    symlink(system, profiles.join("system-1-link")).unwrap();
    symlink("system-1-link", profiles.join("system")).unwrap();
    // A home that is not mounted now.
    let gone = store.path("home/u/result");
    symlink(gone, store.path("nix/var/nix/gcroots/auto/stale")).unwrap();

    for sub in [
        "etc/nix",
        "nix/store/.links",
        "nix/var/nix/userpool",
        "nix/var/nix/temproots",
    ] {
        fs::create_dir_all(store.path(sub)).unwrap();
    }
    for (file, text) in [
        ("group", "nixbld:x:30000:nixbld1\n"),
        ("passwd", "nixbld1:x:30001:30000::/:/x\n"),
        ("nix/nix.conf", "keep-outputs = true\n"),
    ] {
        fs::write(store.path("etc").join(file), text).unwrap();
    }
    for lock in LOCKS {
        File::create(store.path("nix/var/nix").join(lock)).unwrap();
    }
    store
}

/// Every fact that this library reads.
fn read_everything(layout: &Layout) {
    let conf = NixConf::read(layout).unwrap();
    let locks = Locks::read(layout).unwrap();
    BuildUsers::read(layout, &conf, &locks).unwrap();
    let profiles = Profiles::read(layout).unwrap();
    assert_eq!(profiles.profiles.len(), 1);
    System::read(layout, &profiles).unwrap();
    FileSystem::read(layout).unwrap();
    let analysis = Analysis::read(layout, &NixConf::default()).unwrap();
    assert_eq!((analysis.graph.len(), analysis.dead.len()), (3, 2));
    optimised_inodes(layout).unwrap();
    for id in &analysis.dead {
        Footprint::read(layout, analysis.graph.name(*id).as_ref()).unwrap();
    }
    let cursor = Some(Cursor { last_id: 0 });
    let look = Look::take(layout, &conf, &default_dir(layout), cursor).unwrap();
    assert_eq!(look.added.len(), 3);
}

/// Each entry below a directory with what a change would show in. The time of change of the inode
/// shows also what is undone again.
fn tree(directory: &Path, seen: &mut BTreeSet<(PathBuf, [i64; 6])>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let stamp = [
            i64::try_from(meta.ino()).unwrap(),
            i64::try_from(meta.size()).unwrap(),
            i64::from(meta.mode()),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        ];
        if meta.is_dir() {
            tree(&path, seen);
        }
        seen.insert((path, stamp));
    }
}

fn whole(store: &Store) -> BTreeSet<(PathBuf, [i64; 6])> {
    let mut seen = BTreeSet::new();
    tree(&store.path("."), &mut seen);
    seen
}

/// The lines of `/proc/locks` of this process on files of the host.
fn own_locks(store: &Store) -> Vec<String> {
    let inodes: HashSet<String> = whole(store)
        .into_iter()
        .map(|(_, stamp)| stamp[0].to_string())
        .collect();
    let own = process::id().to_string();
    fs::read_to_string("/proc/locks")
        .unwrap()
        .lines()
        .filter(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let inode = words[5].rsplit(':').next().unwrap();
            words[4] == own && inodes.contains(inode)
        })
        // Without the number of the line, which the locks of others shift.
        .map(|line| line.split_once(':').unwrap().1.to_owned())
        .collect()
}

/// Files of the host that this process has open.
fn open_files(store: &Store) -> Vec<PathBuf> {
    let root = fs::canonicalize(store.path(".")).unwrap();
    fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.starts_with(&root))
        .collect()
}

/// A writer that does not wait for anybody takes the whole database for itself and commits.
fn commits_at_once(store: &Store, name: &str) {
    let nix = store.connect();
    nix.busy_timeout(Duration::ZERO).unwrap();
    nix.execute_batch(&format!(
        "PRAGMA locking_mode = exclusive; BEGIN EXCLUSIVE; {} COMMIT",
        row(name)
    ))
    .unwrap();
}

#[test]
fn after_everything_was_read_the_host_is_as_it_was_and_nothing_is_held() {
    for journal in ["truncate", "wal"] {
        let store = host();
        store.sql(&format!("PRAGMA journal_mode = {journal}"));
        let before = whole(&store);
        read_everything(&store.layout());
        let after = whole(&store);
        let changed: Vec<_> = before.symmetric_difference(&after).collect();
        assert!(changed.is_empty(), "{changed:#?}");
        let stale = store.path("nix/var/nix/gcroots/auto/stale");
        assert!(fs::symlink_metadata(stale).is_ok());
        assert_eq!(own_locks(&store), Vec::<String>::new());
        assert_eq!(open_files(&store), Vec::<PathBuf>::new());
        commits_at_once(&store, &name('d', "x"));
    }
}

#[test]
fn nothing_stays_open_after_a_store_in_use_was_read() {
    let store = host();
    let nix = store.connect();
    nix.execute_batch(
        "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x)",
    )
    .unwrap();
    let locks = own_locks(&store);
    read_everything(&store.layout());
    assert_eq!(own_locks(&store), locks);
    // A reader that stayed would keep the log from being emptied.
    nix.busy_timeout(Duration::ZERO).unwrap();
    let busy = nix.query_row("PRAGMA wal_checkpoint(truncate)", [], |row| {
        row.get::<_, i64>(0)
    });
    assert_eq!(busy.unwrap(), 0);
    let log = store.path("nix/var/nix/db/db.sqlite-wal");
    assert_eq!(fs::metadata(log).unwrap().size(), 0);
}

#[test]
fn nix_commits_at_once_while_a_snapshot_is_open() {
    for (journal, in_use) in [("truncate", false), ("wal", false), ("wal", true)] {
        let store = host();
        let nix = store.connect();
        nix.execute_batch(&format!("PRAGMA journal_mode = {journal}"))
            .unwrap();
        if in_use {
            nix.execute_batch("CREATE TABLE t (x)").unwrap();
        }
        let nix = in_use.then_some(nix);
        let written = std::cell::Cell::new(false);
        Snapshot::with(&store.layout(), |_| {
            assert!(!own_locks(&store).iter().any(|line| line.contains("FLOCK")));
            if !written.replace(true) {
                let other;
                let nix = if let Some(nix) = &nix {
                    nix
                } else {
                    other = store.connect();
                    &other
                };
                nix.busy_timeout(Duration::ZERO).unwrap();
                nix.execute_batch(&row(&name('d', "x"))).unwrap();
            }
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn everything_is_read_without_waiting_while_nix_holds_all_its_locks() {
    let store = host();
    let held = LOCKS.map(|lock| {
        let file = File::open(store.path("nix/var/nix").join(lock)).unwrap();
        file.lock().unwrap();
        file
    });
    let before = own_locks(&store);
    assert_eq!(before.len(), LOCKS.len());
    // It would hang here.
    read_everything(&store.layout());
    assert_eq!(own_locks(&store).len(), before.len());
    drop(held);
}
