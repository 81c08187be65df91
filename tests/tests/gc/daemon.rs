//! Deleting through the Nix daemon, as it is, as it hangs, and as it is killed.
//!
//! Promise 1: "Snowguard never deletes a path that Nix holds alive".
//! Promise 3: "It works […] after being killed at any point."

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::{Signal, kill};
use snowguard_host::{Collector, Layout, store::FileSystem};
use snowguard_tests::{
    lab::{self, Nix},
    nix_daemon::NixDaemon,
    small_store::{Kind, SmallStore},
    wait::until,
};
use snowguard_watchdog::act::{
    daemon::{Daemon, DaemonError},
    delete_paths::{DeletePaths, Deleted},
    stop::Stop,
};

fn verb(store: &SmallStore, program: &Path, stop: &Stop) -> DeletePaths {
    let layout = Layout::new(&store.root);
    DeletePaths::new(
        &layout,
        program.to_owned(),
        Duration::from_secs(60),
        stop.clone(),
    )
}

fn name(path: &str) -> OsString {
    path.strip_prefix("/nix/store/").unwrap().into()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A `nix-store` that must not be needed.
const NONE: &str = "/nonexistent/nix-store";

fn small(dir: &Path, nix: &Nix) -> SmallStore {
    SmallStore::make(dir, nix, Kind::Tmpfs, 64, 4000)
}

#[test]
fn the_daemon_of_every_nix_deletes_what_is_dead_and_names_what_is_alive() {
    lab::must_be_root();
    for nix in lab::all_nix() {
        println!("== {}", nix.release);
        let dir = tempfile::tempdir().unwrap();
        let store = small(dir.path(), &nix);
        let _daemon = NixDaemon::start(&nix, &store);
        let dead: Vec<String> = (0..6)
            .map(|n| store.add(&format!("dead-{n}"), 64))
            .collect();
        let alive: Vec<String> = (0..2)
            .map(|n| store.add(&format!("alive-{n}"), 64))
            .collect();
        for path in &alive {
            let root = format!("nix/var/nix/gcroots/{}", name(path).display());
            store.link(path, &root);
        }
        let before = FileSystem::read(&Layout::new(&store.root)).unwrap();
        let entries: Vec<OsString> = dead.iter().chain(&alive).map(|path| name(path)).collect();
        let mut told = 0;
        let mut verb = verb(&store, Path::new(NONE), &Stop::new());
        let mut deleted = verb.run(&entries, &mut || told += 1).unwrap();
        deleted.refused.sort();
        let mut expected: Vec<OsString> = alive.iter().map(|path| name(path)).collect();
        expected.sort();
        assert_eq!(deleted.refused, expected);
        assert_eq!(deleted.note, None);
        assert!(told >= dead.len(), "{told} lines tell of a deletion");
        let after = FileSystem::read(&Layout::new(&store.root)).unwrap();
        assert!(after.avail_bytes >= before.avail_bytes + 6 * (64 << 10));
        for path in &dead {
            assert!(!store.is_valid(path), "{path}");
        }
        // The same connection serves the next batch, and what is gone already is no failure.
        let entries: Vec<OsString> = dead.iter().map(|path| name(path)).collect();
        assert_eq!(verb.run(&entries, &mut || {}).unwrap(), Deleted::default());
        drop(verb);
        for path in &alive {
            assert!(store.is_valid(path), "{path}");
        }
        store.verify();
    }
}

/// A program that runs as a user of its own, so that the whole test need not.
const ASKS: &str = "SNOWGUARD_TEST_ASKS";

#[test]
fn a_user_without_privilege_is_served_as_well() {
    // This test, run again by itself as another user, is the client.
    if let Ok(asked) = std::env::var(ASKS) {
        let (socket, dead) = asked.split_once(' ').unwrap();
        assert!(!nix::unistd::geteuid().is_root());
        let mut daemon = Daemon::connect(Path::new(socket), &Stop::new(), soon()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        return daemon
            .delete(&[dead.into()], deadline, &mut |_| {})
            .unwrap();
    }
    lab::must_be_root();
    for nix in lab::all_nix() {
        println!("== {}", nix.release);
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let store = small(dir.path(), &nix);
        let daemon = NixDaemon::start(&nix, &store);
        let dead = store.add("dead", 64);
        // The test program itself, where that user can read it.
        let program = dir.path().join("client");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let client = snowguard_tests::nix_daemon::as_nobody(&program)
            .args([
                "--exact",
                "daemon::a_user_without_privilege_is_served_as_well",
            ])
            // The whole path in an environment would be a root.
            .env(
                ASKS,
                format!("{} {}", daemon.socket.display(), name(&dead).display()),
            )
            .current_dir("/")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&client.stdout);
        assert!(client.status.success(), "{said}");
        assert!(said.contains("1 passed"), "{said}");
        assert!(!store.is_valid(&dead));
        store.verify();
    }
}

#[test]
fn a_daemon_that_hangs_is_given_up_and_nix_opens_the_store_itself() {
    lab::must_be_root();
    for nix in lab::all_nix() {
        println!("== {}", nix.release);
        let dir = tempfile::tempdir().unwrap();
        let store = small(dir.path(), &nix);
        let daemon = NixDaemon::start(&nix, &store);
        let dead = store.add("dead", 64);
        daemon.signal(Signal::SIGSTOP);
        let mut verb = verb(&store, &nix.bin().join("nix-store"), &Stop::new());
        let begun = Instant::now();
        let deleted = verb.run(&[name(&dead)], &mut || {}).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(40));
        assert!(deleted.note.unwrap().contains("no answer in time"));
        assert!(!store.is_valid(&dead));
        daemon.signal(Signal::SIGCONT);
        store.verify();
    }
}

/// A store with many dead paths, so that a kill comes in the middle.
fn many(dir: &Path, nix: &Nix) -> (SmallStore, Vec<OsString>) {
    let store = SmallStore::make(dir, nix, Kind::Tmpfs, 64, 20_000);
    let hash = "0".repeat(64);
    let mut registration = String::new();
    let names: Vec<String> = (0..3000)
        .map(|number: u32| {
            let digest: String = format!("{number:032}").replace(['e', 'o', 't', 'u'], "a");
            format!("{digest}-dead-{number}")
        })
        .collect();
    for name in &names {
        fs::write(store.root.join("nix/store").join(name), name).unwrap();
        registration += &format!("/nix/store/{name}\n{hash}\n120\n\n0\n");
    }
    let path = store.home.join("registration");
    fs::write(&path, registration).unwrap();
    let mut load = nix.command("nix-store", &store.home);
    load.args(["--store", store.root.to_str().unwrap(), "--load-db"]);
    load.stdin(fs::File::open(&path).unwrap());
    let _ = lab::stdout("nix-store --load-db", load.output());
    (store, names.into_iter().map(OsString::from).collect())
}

/// How many of the entries are there, and how many the database holds valid.
fn left(store: &SmallStore) -> (usize, usize) {
    let entries = fs::read_dir(store.root.join("nix/store")).unwrap();
    let there = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().unwrap().contains("-dead-"))
        .count();
    let db = rusqlite::Connection::open(store.root.join("nix/var/nix/db/db.sqlite")).unwrap();
    let valid: i64 = db
        .query_row("select count(*) from ValidPaths", [], |row| row.get(0))
        .unwrap();
    (there, usize::try_from(valid).unwrap())
}

#[test]
fn whoever_is_killed_in_mid_delete_the_store_is_consistent_and_the_rest_can_go() {
    lab::must_be_root();
    for (nix, who) in lab::all_nix().into_iter().zip(["worker", "client", "stop"]) {
        println!("== {}: {who}", nix.release);
        let dir = tempfile::tempdir().unwrap();
        let (store, entries) = many(dir.path(), &nix);
        let daemon = NixDaemon::start(&nix, &store);
        let stop = Stop::new();
        let mut verb = verb(&store, Path::new(NONE), &stop);
        let mut told = 0;
        let outcome = verb.run(&entries, &mut || {
            told += 1;
            if told == 100 {
                match who {
                    // As the kernel does when memory is short.
                    "worker" => {
                        for worker in daemon.workers() {
                            kill(worker, Signal::SIGKILL).unwrap();
                        }
                    }
                    // The socket closes as it does when we are killed.
                    _ => stop.ask(),
                }
            }
        });
        outcome.unwrap_err();
        let layout = Layout::new(&store.root);
        until("nobody collects", || {
            Collector::find(&layout).unwrap().is_none().then_some(())
        });
        let (there, valid) = left(&store);
        assert!(valid < 3000 && there < 3000, "{valid} of {there} are left");
        assert!(there >= valid, "no valid path is gone");
        // What is there and not valid is garbage that the next collection takes.
        let mut again = self::verb(&store, Path::new(NONE), &Stop::new());
        again.run(&entries, &mut || {}).unwrap();
        assert_eq!(left(&store), (0, 0));
        store.verify();
    }
}

#[test]
fn the_end_of_a_call_that_takes_too_long_is_the_deadline() {
    lab::must_be_root();
    let nix = lab::nix("sid");
    let dir = tempfile::tempdir().unwrap();
    let store = small(dir.path(), &nix);
    let dead = store.add("dead", 64);
    let daemon = NixDaemon::start(&nix, &store);
    // Somebody else collects and does not come to an end: Nix waits for the lock without end.
    let lock = fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(store.root.join("nix/var/nix/gc.lock"))
        .unwrap();
    lock.lock().unwrap();
    let mut client = Daemon::connect(&daemon.socket, &Stop::new(), soon()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(1);
    let error = client
        .delete(&[name(&dead)], deadline, &mut |_| {})
        .unwrap_err();
    assert!(matches!(error, DaemonError::Interrupted(_)), "{error}");
    drop(client);
    drop(lock);
    until("the worker has ended", || {
        daemon.workers().is_empty().then_some(())
    });
    thread::yield_now();
    assert!(store.is_valid(&dead), "given up is not done later");
}
