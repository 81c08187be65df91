//! Promise 8: "What cannot be read is reported, not assumed." Root may read everything, so each
//! test prepares a host as root and then runs itself again as another user, who looks at it.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use snowguard_host::{
    FactError, Kind, Layout, NixConf, Profiles,
    store::{Analysis, Footprint, Graph, Roots, Snapshot},
};

use crate::fixture::{Store, name, row};

/// The host to look at, in the environment of the other user.
const HOST: &str = "SNOWGUARD_TEST_HOST";

/// What `prepare` returns lives until the other user has looked.
fn nobody_looks<T>(test: &str, prepare: impl FnOnce(&Store) -> T, look: impl FnOnce(&Layout)) {
    if let Some(root) = env::var_os(HOST) {
        let proc_dir = Path::new(&root).join("proc");
        return look(&Layout::new(root).with_proc(proc_dir));
    }
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test becomes another user: it must run as root"
    );
    let store = Store::new();
    // No process of this machine is one of the host's.
    fs::create_dir_all(store.path("proc/self")).unwrap();
    fs::write(store.path("proc/locks"), "").unwrap();
    fs::copy("/proc/self/mountinfo", store.path("proc/self/mountinfo")).unwrap();
    let _held = prepare(&store);

    // This program may lie where only its builder may go. Another process copies it: a file that
    // this one has open for writing cannot be executed.
    let program = store.path("program");
    let copied = Command::new("cp")
        .arg(env::current_exe().unwrap())
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(program)
        .args(["--exact", &format!("unprivileged::{test}")])
        .env(HOST, store.path("."))
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

fn mode(path: PathBuf, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn is_denied(error: &FactError, path: &Path, cure: &str) {
    assert_eq!(error.kind, Kind::Denied, "{error}");
    assert_eq!(error.path, path, "{error}");
    assert!(error.cure.contains(cure), "{error}");
}

#[test]
fn a_database_that_may_not_be_read_is_denied_with_its_cure() {
    nobody_looks(
        "a_database_that_may_not_be_read_is_denied_with_its_cure",
        |store| mode(store.layout().database(), 0o600),
        |layout| {
            let error = Graph::read(layout).unwrap_err();
            is_denied(&error, &layout.database(), "let this user read");
        },
    );
}

#[test]
fn a_state_directory_that_may_not_be_searched_is_not_a_missing_one() {
    nobody_looks(
        "a_state_directory_that_may_not_be_searched_is_not_a_missing_one",
        |store| mode(store.path("nix/var/nix"), 0o700),
        |layout| {
            let error = Graph::read(layout).unwrap_err();
            is_denied(&error, &layout.database(), "let this user read");
        },
    );
}

#[test]
fn a_log_with_content_whose_index_is_missing_is_read_without_it_or_denied_but_not_passed_over() {
    nobody_looks(
        "a_log_with_content_whose_index_is_missing_is_read_without_it_or_denied_but_not_passed_over",
        |store| {
            let (log, aside) = (
                store.path("nix/var/nix/db/db.sqlite-wal"),
                store.path("aside"),
            );
            let nix = store.connect();
            nix.execute_batch("PRAGMA journal_mode = wal").unwrap();
            nix.execute_batch(&row(&name('a', "x"))).unwrap();
            // As after a crash: what the last connection would clean up is put back.
            fs::copy(&log, &aside).unwrap();
            drop(nix);
            fs::rename(aside, log).unwrap();
            // Files that were written this very moment are left to SQLite.
            store.rest();
        },
        |layout| {
            assert_eq!(Graph::read(layout).unwrap().len(), 1);
            let error = Snapshot::with(layout, |_| Ok(())).unwrap_err();
            is_denied(&error, &layout.database(), "write-ahead log");
        },
    );
}

#[test]
fn a_store_that_nix_has_open_is_read_with_what_only_the_log_has() {
    nobody_looks(
        "a_store_that_nix_has_open_is_read_with_what_only_the_log_has",
        |store| {
            let nix = store.connect();
            nix.execute_batch("PRAGMA journal_mode = wal").unwrap();
            nix.execute_batch(&row(&name('a', "x"))).unwrap();
            nix
        },
        |layout| assert_eq!(Graph::read(layout).unwrap().len(), 1),
    );
}

#[test]
fn an_idle_store_is_read_although_nobody_may_make_a_log_there() {
    nobody_looks(
        "an_idle_store_is_read_although_nobody_may_make_a_log_there",
        |store| {
            store.sql("PRAGMA journal_mode = wal");
            store.register(&name('a', "x"));
        },
        |layout| assert_eq!(Graph::read(layout).unwrap().len(), 1),
    );
}

#[test]
fn directories_of_roots_that_may_not_be_read_are_named_and_leave_the_set_incomplete() {
    nobody_looks(
        "directories_of_roots_that_may_not_be_read_are_named_and_leave_the_set_incomplete",
        |store| {
            let root = name('a', "x");
            store.register(&root);
            let link = store.path("nix/var/nix/gcroots/x");
            symlink(format!("/nix/store/{root}"), link).unwrap();
            fs::create_dir(store.path("nix/var/nix/temproots")).unwrap();
            for directory in ["gcroots/auto", "profiles", "temproots"] {
                mode(store.path("nix/var/nix").join(directory), 0o700);
            }
        },
        |layout| {
            let roots = Roots::read(layout, &Graph::read(layout).unwrap()).unwrap();
            assert_eq!(roots.found.len(), 1);
            assert_eq!(roots.unreadable.len(), 3);
            for (error, directory) in
                roots
                    .unreadable
                    .iter()
                    .zip(["gcroots/auto", "profiles", "temproots"])
            {
                let path = layout.state().join(directory);
                is_denied(error, &path, "nothing is deleted");
            }
            assert!(
                !Analysis::read(layout, &NixConf::default())
                    .unwrap()
                    .is_complete()
            );
        },
    );
}

#[test]
fn a_root_in_a_home_that_may_not_be_searched_is_named_and_not_taken_for_gone() {
    nobody_looks(
        "a_root_in_a_home_that_may_not_be_searched_is_named_and_not_taken_for_gone",
        |store| {
            let result = store.path("home/u/result");
            fs::create_dir_all(store.path("home/u")).unwrap();
            symlink(format!("/nix/store/{}", name('a', "x")), &result).unwrap();
            symlink(&result, store.path("nix/var/nix/gcroots/auto/0")).unwrap();
            mode(store.path("home/u"), 0o700);
        },
        |layout| {
            let roots = Roots::read(layout, &Graph::read(layout).unwrap()).unwrap();
            let [error] = &roots.unreadable[..] else {
                panic!("{:?}", roots.unreadable);
            };
            is_denied(error, &layout.root().join("home/u/result"), "run as root");
        },
    );
}

#[test]
fn processes_of_others_that_proc_hides_leave_the_set_incomplete() {
    nobody_looks(
        "processes_of_others_that_proc_hides_leave_the_set_incomplete",
        |store| {
            store.register(&name('a', "x"));
            // What `ProtectProc=invisible` mounts, with the process that keeps the path not in it.
            let proc_dir = store.path(".").join("proc");
            let line = format!(
                "1 0 0:9 / {} rw - proc proc rw,hidepid=invisible\n",
                proc_dir.display()
            );
            fs::write(proc_dir.join("self/mountinfo"), line).unwrap();
        },
        |layout| {
            let roots = Roots::read(layout, &Graph::read(layout).unwrap()).unwrap();
            let [error] = &roots.unreadable[..] else {
                panic!("{:?}", roots.unreadable);
            };
            is_denied(error, layout.proc_dir(), "nothing is deleted");
        },
    );
}

#[test]
fn a_store_directory_that_may_not_be_listed_is_not_an_empty_one() {
    nobody_looks(
        "a_store_directory_that_may_not_be_listed_is_not_an_empty_one",
        |store| mode(store.path("nix/store"), 0o711),
        |layout| {
            let error = Analysis::read(layout, &NixConf::default()).unwrap_err();
            is_denied(&error, &layout.store(), "");
        },
    );
}

#[test]
fn a_directory_within_a_path_that_may_not_be_read_is_not_measured_as_empty() {
    nobody_looks(
        "a_directory_within_a_path_that_may_not_be_read_is_not_measured_as_empty",
        |store| {
            fs::create_dir_all(store.path("nix/store/a/closed")).unwrap();
            mode(store.path("nix/store/a/closed"), 0o700);
        },
        |layout| {
            let error = Footprint::read(layout, "a".as_ref()).unwrap_err();
            is_denied(&error, &layout.store().join("a/closed"), "run as root");
        },
    );
}

#[test]
fn profiles_that_may_not_be_read_are_not_no_profiles() {
    nobody_looks(
        "profiles_that_may_not_be_read_are_not_no_profiles",
        |store| mode(store.path("nix/var/nix/profiles"), 0o700),
        |layout| {
            let error = Profiles::read(layout).unwrap_err();
            is_denied(&error, &layout.profiles(), "");
        },
    );
}

#[test]
fn homes_that_may_not_be_searched_are_named_and_not_taken_for_homes_without_profiles() {
    nobody_looks(
        "homes_that_may_not_be_searched_are_named_and_not_taken_for_homes_without_profiles",
        |store| {
            fs::create_dir_all(store.path("etc")).unwrap();
            fs::write(store.path("etc/passwd"), "u:x:1:1::/home/u:/bin/sh\n").unwrap();
            fs::create_dir_all(store.path("home/u")).unwrap();
            mode(store.path("home/u"), 0o700);
        },
        |layout| {
            let profiles = Profiles::everybodys(layout).unwrap();
            let [error] = &profiles.unreadable[..] else {
                panic!("{:?}", profiles.unreadable);
            };
            let path = layout.root().join("home/u/.local/state/nix/profiles");
            is_denied(error, &path, "readable");
            assert!(Profiles::read(layout).unwrap().unreadable.is_empty());
        },
    );
}

#[test]
fn secret_files_that_nix_conf_includes_take_no_fact_away_and_are_named() {
    nobody_looks(
        "secret_files_that_nix_conf_includes_take_no_fact_away_and_are_named",
        |store| {
            fs::create_dir_all(store.path("etc/nix/closed")).unwrap();
            fs::write(store.path("etc/nix/tokens"), "access-tokens = x=y\n").unwrap();
            fs::write(store.path("etc/nix/closed/tokens"), "").unwrap();
            let conf = "!include tokens\n!include closed/tokens\nkeep-outputs = true\n";
            fs::write(store.path("etc/nix/nix.conf"), conf).unwrap();
            mode(store.path("etc/nix/tokens"), 0o600);
            mode(store.path("etc/nix/closed"), 0o700);
        },
        |layout| {
            let conf = NixConf::read(layout).unwrap();
            assert!(conf.keep_outputs);
            let unread =
                ["tokens", "closed/tokens"].map(|name| layout.root().join("etc/nix").join(name));
            assert_eq!(conf.unread_files, unread);
        },
    );
}

#[test]
fn a_home_of_root_that_may_hold_settings_leaves_them_in_doubt() {
    nobody_looks(
        "a_home_of_root_that_may_hold_settings_leaves_them_in_doubt",
        |store| {
            let directory = store.path("root/.config/nix");
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("nix.conf"), "keep-outputs = true\n").unwrap();
            mode(store.path("root"), 0o700);
        },
        |layout| {
            let conf = NixConf::read(layout).unwrap();
            let [file] = &conf.unread_files[..] else {
                panic!("{:?}", conf.unread_files);
            };
            assert!(
                file.starts_with(layout.root().join("root/.config")),
                "{file:?}"
            );
            assert!(!Analysis::read(layout, &conf).unwrap().is_complete());
        },
    );
}

#[test]
fn a_nix_conf_that_may_not_be_read_is_not_taken_for_the_defaults() {
    nobody_looks(
        "a_nix_conf_that_may_not_be_read_is_not_taken_for_the_defaults",
        |store| {
            fs::create_dir_all(store.path("etc/nix")).unwrap();
            fs::write(store.path("etc/nix/nix.conf"), "keep-outputs = true\n").unwrap();
            mode(store.path("etc/nix/nix.conf"), 0o600);
        },
        |layout| {
            is_denied(
                &NixConf::read(layout).unwrap_err(),
                &layout.nix_conf(),
                "readable",
            )
        },
    );
}
