//! Promise 7: "Reading never blocks or slows Nix: […] no users' GC roots are touched."
//! Promise 8: "What cannot be read is reported, not assumed."

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
};

use nix::sys::stat::{major, minor};

use super::*;
use crate::{
    Kind,
    store::fixture::{Store, name},
};

/// A store with one path, on a host without processes.
struct Host {
    store: Store,
    path: String,
}

impl Host {
    fn new() -> Self {
        let store = Store::new();
        let name = name('a', "x");
        store.register(&name);
        fs::create_dir_all(store.path("proc/self")).unwrap();
        fs::write(store.path("proc/locks"), "").unwrap();
        fs::copy("/proc/self/mountinfo", store.path("proc/self/mountinfo")).unwrap();
        let path = format!("/nix/store/{name}");
        Self { store, path }
    }

    fn layout(&self) -> Layout {
        self.store.layout().with_proc(self.store.path("proc"))
    }

    fn gcroots(&self, name: &str) -> PathBuf {
        self.store.path("nix/var/nix/gcroots").join(name)
    }

    fn read(&self) -> Result<Roots> {
        let layout = self.layout();
        Roots::read(&layout, &Graph::read(&layout)?)
    }

    /// Link and kind of each root; all must have been readable.
    fn found(&self) -> Vec<(PathBuf, RootKind)> {
        let roots = self.read().unwrap();
        assert!(roots.unreadable.is_empty(), "{:?}", roots.unreadable);
        roots
            .found
            .into_iter()
            .map(|root| (root.link, root.kind))
            .collect()
    }
}

fn link(target: impl AsRef<Path>, at: &Path) -> PathBuf {
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    symlink(target, at).unwrap();
    at.to_owned()
}

#[test]
fn links_into_the_store_are_roots_wherever_they_point_to_in_a_path() {
    let host = Host::new();
    let profile = link(
        &host.path,
        &host.store.path("nix/var/nix/profiles/per-user/u/p"),
    );
    let inner = link(
        format!("{}/bin/x", host.path),
        &host.gcroots("deep/er/inner"),
    );
    let expected = [(profile, RootKind::Profile), (inner, RootKind::Permanent)];
    assert_eq!(host.found(), expected);
}

#[test]
fn a_file_named_like_a_valid_path_is_a_root() {
    let host = Host::new();
    let file = host.gcroots(host.path.rsplit('/').next().unwrap());
    fs::write(&file, "").unwrap();
    fs::write(host.gcroots(&name('b', "unknown")), "").unwrap();
    assert_eq!(host.found(), [(file, RootKind::Permanent)]);
}

#[test]
fn one_hop_outside_of_the_store_is_a_root_by_the_name_of_the_inner_link() {
    let host = Host::new();
    let result = link(&host.path, &host.store.path("home/u/result"));
    link(&result, &host.gcroots("auto/0"));
    assert_eq!(host.found(), [(result, RootKind::Indirect)]);
}

#[test]
fn two_hops_outside_of_the_store_are_no_root_as_in_nix() {
    let host = Host::new();
    let result = link(&host.path, &host.store.path("home/u/result"));
    let second = link(result, &host.store.path("home/u/again"));
    link(second, &host.gcroots("auto/0"));
    assert_eq!(host.found(), []);
}

#[test]
fn an_automatic_root_that_leads_on_to_another_link_or_to_none_is_told_as_keeping_nothing() {
    let host = Host::new();
    let result = link(&host.path, &host.store.path("home/u/result"));
    let second = link(result, &host.store.path("home/u/again"));
    let twice = link(second, &host.gcroots("auto/0"));
    let directory = link(host.store.path("home/u"), &host.gcroots("auto/1"));
    // As Nix makes it: no root, and no mistake.
    link(
        host.store.path("nix/var/nix/profiles"),
        &host.gcroots("profiles"),
    );
    assert_eq!(host.found(), []);
    let stale = host.read().unwrap().stale;
    let stale: Vec<_> = stale.iter().map(|link| (&link.link, link.reason)).collect();
    let elsewhere = StaleReason::LeadsElsewhere;
    assert_eq!(stale, [(&twice, elsewhere), (&directory, elsewhere)]);
}

#[test]
fn a_link_to_a_directory_of_links_is_not_followed_as_in_nix() {
    let host = Host::new();
    link(&host.path, &host.store.path("home/u/links/x"));
    link(host.store.path("home/u/links"), &host.gcroots("links"));
    assert_eq!(host.found(), []);
}

#[test]
fn a_link_to_what_is_not_valid_is_no_root() {
    let host = Host::new();
    link(
        format!("/nix/store/{}", name('b', "gone")),
        &host.gcroots("gone"),
    );
    link("/nix/store/", &host.gcroots("store"));
    assert_eq!(host.found(), []);
    let stale = host.read().unwrap().stale;
    let stale: Vec<_> = stale.iter().map(|link| (&link.link, link.reason)).collect();
    let expected = ["gone", "store"].map(|name| (host.gcroots(name), StaleReason::NotValid));
    assert_eq!(
        stale,
        expected.each_ref().map(|(link, reason)| (link, *reason))
    );
}

#[test]
fn an_automatic_root_whose_target_is_gone_is_left_in_place() {
    let host = Host::new();
    let stale = link(host.store.path("home/u/result"), &host.gcroots("auto/0"));
    assert_eq!(host.found(), []);
    let [told] = &host.read().unwrap().stale[..] else {
        panic!("it is not named");
    };
    assert_eq!((&told.link, told.reason), (&stale, StaleReason::TargetGone));
    assert_eq!(told.target, host.store.path("home/u/result"));
    assert!(told.made.is_some());
    // Nix unlinks it here, also for a mere `--print-roots`; the target may be on a file system
    // that is not mounted now.
    assert!(fs::symlink_metadata(stale).is_ok());
}

#[test]
fn a_host_without_one_of_the_directories_of_roots_is_an_error_and_has_not_no_roots() {
    for directory in ["gcroots", "profiles"] {
        let host = Host::new();
        let path = host.store.path("nix/var/nix").join(directory);
        fs::remove_dir_all(&path).unwrap();
        let error = host.read().unwrap_err();
        assert_eq!((error.kind, error.path), (Kind::Missing, path));
        assert!(error.cure.contains("nothing is deleted"));
    }
}

#[test]
fn temporary_roots_that_no_process_holds_are_left_over_and_left_in_place() {
    let host = Host::new();
    let file = host.store.path("nix/var/nix/temproots/4194000");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(&file, format!("{}\0", host.path)).unwrap();
    assert_eq!(host.found(), []);
    assert!(file.exists());
}

/// As Nix up to 2.4 holds its own, once it has written it.
#[test]
fn temporary_roots_that_a_process_holds_with_a_shared_lock_are_roots() {
    let host = Host::new();
    let file = host.store.path("nix/var/nix/temproots/4194000");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(&file, format!("{}\0", host.path)).unwrap();
    let meta = fs::metadata(&file).unwrap();
    let (major, minor) = (major(meta.dev()), minor(meta.dev()));
    let inode = meta.ino();
    let line = format!("1: FLOCK  ADVISORY  READ 77 {major:02x}:{minor:02x}:{inode} 0 EOF\n");
    fs::write(host.store.path("proc/locks"), line).unwrap();
    assert_eq!(host.found(), [(file, RootKind::Temporary)]);
}

#[test]
fn a_process_keeps_what_it_runs_maps_has_open_and_names_in_its_environment() {
    for (file, text) in [
        ("environ", format!("A=1\0PATH={}/bin:/bin\0", host_path())),
        (
            "maps",
            format!("7f-80 r-xp 0 fe:00 12 {}/lib.so\n", host_path()),
        ),
    ] {
        let host = Host::new();
        let at = host.store.path("proc/77").join(file);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(&at, text).unwrap();
        assert_eq!(host.found(), [(at, RootKind::Runtime)]);
    }
    for file in ["exe", "cwd", "fd/3"] {
        let host = Host::new();
        let at = link(
            format!("{}/bin/x", host.path),
            &host.store.path("proc/77").join(file),
        );
        assert_eq!(host.found(), [(at, RootKind::Runtime)]);
    }
}

fn host_path() -> String {
    format!("/nix/store/{}", name('a', "x"))
}

#[test]
fn a_source_of_roots_that_cannot_be_read_is_named_and_the_others_are_still_read() {
    let host = Host::new();
    let root = link(&host.path, &host.gcroots("x"));
    // A file where a directory belongs fails for root, too.
    fs::write(host.store.path("nix/var/nix/temproots"), "").unwrap();
    let roots = host.read().unwrap();
    assert_eq!(roots.found.len(), 1);
    assert_eq!(roots.found[0].link, root);
    let [error] = &roots.unreadable[..] else {
        panic!("{:?}", roots.unreadable);
    };
    assert_eq!(error.path, host.store.path("nix/var/nix/temproots"));
    assert!(error.cure.contains("nothing is deleted"));
}

#[test]
fn a_namespace_that_is_not_the_whole_host_is_named_and_the_first_process_tells_it() {
    let host = Host::new();
    fs::create_dir_all(host.store.path("run/systemd/system")).unwrap();
    fs::create_dir_all(host.store.path("proc/1")).unwrap();
    let first = |name: &str| {
        fs::write(host.store.path("proc/1/comm"), name).unwrap();
        host.read().unwrap().unreadable
    };
    assert!(first("systemd\n").is_empty());
    let [error] = &first("snowguard-expor\n")[..] else {
        panic!("the processes of the host are not missed");
    };
    assert_eq!(
        (error.kind, &error.path),
        (Kind::Denied, &host.store.path("proc"))
    );
    assert!(error.cure.contains("nothing is deleted"), "{error}");
    // A container with a store of its own, whose processes are all that use it.
    fs::remove_dir(host.store.path("run/systemd/system")).unwrap();
    assert!(host.read().unwrap().unreadable.is_empty());
}

#[test]
fn a_root_says_by_which_link_it_was_found_and_a_generation_is_one_root() {
    let host = Host::new();
    let profiles = host.store.path("nix/var/nix/profiles");
    let generation = link(&host.path, &profiles.join("p-1-link"));
    link("p-1-link", &profiles.join("p"));
    let result = link(&host.path, &host.store.path("home/u/result"));
    let auto = link(&result, &host.gcroots("auto/0"));
    let found = host.read().unwrap().found;
    let told: Vec<_> = found
        .iter()
        .map(|r| (&r.link, r.via.as_ref(), r.origin()))
        .collect();
    let expected = [
        (&generation, None, Origin::Generation),
        (&result, Some(&auto), Origin::Result),
    ];
    assert_eq!(told, expected);
    assert!(found.iter().all(|root| root.made.is_some()));
}

#[test]
fn a_process_is_one_holder_in_however_many_ways_it_keeps_paths() {
    let host = Host::new();
    let process = host.store.path("proc/77");
    link(&host.path, &process.join("exe"));
    link(&host.path, &process.join("fd/3"));
    let layout = host.layout();
    let roots = host.read().unwrap();
    let holders: Vec<_> = roots
        .found
        .iter()
        .map(|root| root.holder(&layout))
        .collect();
    assert_eq!(holders, [process.clone(), process]);
}
