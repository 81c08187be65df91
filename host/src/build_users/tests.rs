//! Promise 7: "Reading never blocks or slows Nix: no lock of Nix's is taken […]".
//! Promise 8: "What cannot be read is reported, not assumed."

use std::{
    fs::{self, File},
    process,
};

use tempfile::TempDir;

use super::*;
use crate::{Kind, UidRange};

const PASSWD: &str =
    "root:x:0:0::/:/bin/sh\nnixbld1:x:30001:30000::/:/x\nnixbld2:x:30002:30000::/:/x\n";

struct Host {
    root: TempDir,
    conf: NixConf,
}

impl Host {
    fn new(group: &str) -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        fs::create_dir_all(root.path().join("nix/var/nix/userpool")).unwrap();
        fs::create_dir_all(root.path().join("nix/var/nix/userpool2")).unwrap();
        fs::write(root.path().join("etc/group"), group).unwrap();
        fs::write(root.path().join("etc/passwd"), PASSWD).unwrap();
        let conf = NixConf::default();
        Self { root, conf }
    }

    fn lock_file(&self, name: &str) -> File {
        File::create(self.root.path().join("nix/var/nix").join(name)).unwrap()
    }

    fn read(&self) -> Result<BuildUsers> {
        let layout = Layout::new(self.root.path());
        BuildUsers::read(&layout, &self.conf, &Locks::read(&layout).unwrap())
    }

    fn error(&self) -> FactError {
        self.read().unwrap_err()
    }
}

#[test]
fn a_build_user_is_busy_only_while_its_lock_is_held() {
    let host = Host::new("wheel:x:1:a\nnixbld:x:30000:nixbld1,nixbld2\n");
    // Left over from an earlier build.
    let _old = host.lock_file("userpool/30001");
    let busy = host.lock_file("userpool/30002");
    assert_eq!(host.read().unwrap().busy(), 0);
    busy.lock().unwrap();
    let users = host.read().unwrap();
    assert_eq!((users.users, users.busy()), (2, 1));
    let pid = process::id();
    assert_eq!(users.holders, [Holder { uid: 30002, pid }]);
}

#[test]
fn a_host_without_the_build_group_is_an_error_with_its_cure() {
    let error = Host::new("wheel:x:1:\n").error();
    assert_eq!(error.kind, Kind::Missing);
    assert!(error.path.ends_with("etc/group"));
    assert!(error.cause.contains("nixbld") && error.cure.contains("build-users-group"));
}

#[test]
fn a_build_group_without_members_is_an_error() {
    assert_eq!(Host::new("nixbld:x:30000:\n").error().kind, Kind::Malformed);
}

#[test]
fn a_member_who_is_no_user_is_an_error() {
    let error = Host::new("nixbld:x:30000:nixbld1,ghost\n").error();
    assert!(error.cause.contains("ghost"), "{error}");
}

#[test]
fn nix_without_build_users_has_none_and_that_is_no_error() {
    let mut host = Host::new("");
    host.conf.build_users_group = None;
    let users = host.read().unwrap();
    assert_eq!((users.users, users.busy()), (0, 0));
    assert_eq!(users.oldest_start.unwrap(), None);
}

#[test]
fn slots_of_user_ids_take_the_place_of_the_group() {
    let mut host = Host::new("");
    host.conf.auto_allocate_uids = Some(UidRange {
        start: 872_415_232,
        count: 4 * UidRange::SLOT,
    });
    let slot = host.lock_file("userpool2/slot-2");
    slot.lock().unwrap();
    let users = host.read().unwrap();
    assert_eq!(users.users, 4);
    assert_eq!(users.holders[0].uid, 872_415_232 + 2 * UidRange::SLOT);
}

#[test]
fn without_build_logs_the_builds_are_unknown_and_not_none() {
    let mut host = Host::new("nixbld:x:30000:nixbld1\n");
    host.conf.keep_build_log = false;
    let error = host.read().unwrap().builds.unwrap_err();
    assert!(error.cure.contains("keep-build-log"));
}

#[test]
fn a_pool_that_cannot_be_searched_is_an_error_and_not_idle() {
    let host = Host::new("nixbld:x:30000:nixbld1\n");
    let pool = host.root.path().join("nix/var/nix/userpool");
    fs::remove_dir(&pool).unwrap();
    std::os::unix::fs::symlink("userpool", &pool).unwrap();
    assert_eq!(host.error().kind, Kind::Io);
}

#[test]
fn a_host_without_a_state_directory_is_an_error_and_not_idle() {
    let host = Host::new("nixbld:x:30000:nixbld1\n");
    fs::remove_dir_all(host.root.path().join("nix")).unwrap();
    assert_eq!(host.error().kind, Kind::Missing);
}
