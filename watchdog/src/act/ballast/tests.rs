use super::*;

#[test]
fn the_ballast_takes_the_room_it_is_asked_for_and_gives_all_of_it_back() {
    let root = tempfile::tempdir().expect("a directory");
    let layout = Layout::new(root.path());
    fs::create_dir_all(layout.state()).expect("a directory");
    let ballast = Ballast::of(&layout, 1 << 20);
    assert!(!ballast.is_whole());
    ballast.make().expect("made");
    assert!(ballast.is_whole());
    let blocks: u64 = fs::read_dir(layout.state().join("snowguard-ballast"))
        .expect("a directory")
        .map(|entry| {
            std::os::unix::fs::MetadataExt::blocks(&entry.expect("entry").metadata().expect("meta"))
        })
        .sum();
    assert!(blocks * 512 >= 1 << 20, "{blocks} blocks");
    ballast.drop_all().expect("dropped");
    ballast.drop_all().expect("dropping nothing is no error");
    let left = fs::read_dir(layout.state().join("snowguard-ballast")).expect("a directory");
    assert_eq!(left.count(), 0);
}

#[test]
fn a_slice_that_is_dropped_leaves_the_others_for_the_next_time() {
    let (_root, ballast, _) = lab();
    ballast.make().expect("made");
    let mut slices = 0;
    while ballast.drop_slice().expect("dropped") {
        slices += 1;
        assert!(!ballast.is_whole());
        let left = fs::read_dir(&ballast.directory).expect("a directory");
        assert_eq!(left.count() as u64, (SLICES - slices) * (1 + SPARES));
    }
    assert_eq!(slices, SLICES);
    ballast.make().expect("made again");
    assert!(ballast.is_whole());
}

#[test]
fn a_ballast_of_no_bytes_makes_nothing() {
    let root = tempfile::tempdir().expect("a directory");
    let layout = Layout::new(root.path());
    Ballast::of(&layout, 0).make().expect("made");
    assert!(!layout.state().exists());
}

fn lab() -> (tempfile::TempDir, Ballast, PathBuf) {
    let root = tempfile::tempdir().expect("a directory");
    let layout = Layout::new(root.path());
    fs::create_dir_all(layout.state()).expect("a directory");
    let ballast = Ballast::of(&layout, 1 << 20);
    let directory = layout.state().join("snowguard-ballast");
    (root, ballast, directory)
}

#[test]
fn a_link_in_the_ballast_is_replaced_and_what_it_names_is_not_touched() {
    let (root, ballast, directory) = lab();
    let precious = root.path().join("precious");
    fs::write(&precious, "precious").expect("written");
    fs::create_dir(&directory).expect("a directory");
    for name in ["slice-0", "inode-3"] {
        std::os::unix::fs::symlink(&precious, directory.join(name)).expect("linked");
    }
    ballast.make().expect("made");
    assert!(ballast.is_whole());
    assert_eq!(fs::read_to_string(&precious).expect("read"), "precious");

    fs::remove_file(directory.join("slice-0")).expect("removed");
    std::os::unix::fs::symlink(&precious, directory.join("slice-0")).expect("linked");
    fs::remove_file(directory.join("inode-3")).expect("removed");
    fs::hard_link(&precious, directory.join("inode-3")).expect("linked");
    ballast.drop_all().expect("dropped");
    assert_eq!(fs::read_to_string(&precious).expect("read"), "precious");
}

#[test]
fn a_ballast_directory_that_is_a_link_or_anothers_is_not_gone_into() {
    let (root, ballast, directory) = lab();
    let elsewhere = root.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("a directory");
    fs::write(elsewhere.join("slice-0"), "precious").expect("written");
    let stays = || {
        for error in [ballast.make(), ballast.drop_all()] {
            let error = error.expect_err("refused").to_string();
            assert!(error.contains("snowguard-ballast"), "{error}");
        }
        assert!(!ballast.is_whole());
        let text = fs::read_to_string(elsewhere.join("slice-0")).expect("read");
        assert_eq!(text, "precious");
        assert_eq!(fs::read_dir(&elsewhere).expect("read").count(), 1);
    };
    std::os::unix::fs::symlink(&elsewhere, &directory).expect("linked");
    stays();
    fs::remove_file(&directory).expect("removed");
    fs::rename(&elsewhere, &directory).expect("renamed");
    let elsewhere = &directory;
    let stays = || {
        assert!(ballast.make().is_err());
        assert!(ballast.drop_all().is_err());
        let text = fs::read_to_string(elsewhere.join("slice-0")).expect("read");
        assert_eq!(text, "precious");
    };
    // Anybody may write here, or somebody else owns it: then anything may lie here next.
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(elsewhere, fs::Permissions::from_mode(0o777)).expect("set");
    stays();
    fs::set_permissions(elsewhere, fs::Permissions::from_mode(0o700)).expect("set");
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(elsewhere, Some(65534), None).expect("set");
        stays();
    }
}

#[test]
fn only_what_is_missing_or_spoilt_is_made_again() {
    use std::os::unix::fs::MetadataExt;
    let (_root, ballast, directory) = lab();
    ballast.make().expect("made");
    let inode = |name: &str| fs::metadata(directory.join(name)).expect("there").ino();
    let changed = |name: &str| {
        let meta = fs::metadata(directory.join(name)).expect("there");
        (meta.ino(), meta.mtime(), meta.mtime_nsec())
    };
    let kept = ["slice-0", "slice-2", "inode-0", "inode-63"].map(changed);
    let spoilt = inode("inode-3");
    // Held open, so that its number is not given out again.
    let _held = fs::File::open(directory.join("inode-3")).expect("opened");
    fs::write(directory.join("inode-3"), "x").expect("written");
    fs::remove_file(directory.join("slice-1")).expect("removed");
    assert!(!ballast.is_whole());
    ballast.make().expect("made");
    assert!(ballast.is_whole());
    assert_ne!(inode("inode-3"), spoilt);
    assert_eq!(
        ["slice-0", "slice-2", "inode-0", "inode-63"].map(changed),
        kept
    );
}

#[test]
fn a_ballast_that_cannot_be_made_whole_says_so() {
    let (_root, ballast, directory) = lab();
    fs::create_dir_all(directory.join("inode-3/full")).expect("a directory");
    let error = ballast.make().expect_err("refused").to_string();
    assert!(error.contains("inode-3"), "{error}");
}

#[test]
fn what_needs_little_gets_an_inode_before_a_slice_and_all_there_is_before_it_fails() {
    let (root, ballast, directory) = lab();
    ballast.make().expect("made");
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    let left = || fs::read_dir(&directory).expect("a directory").count() as u64;
    let all = SLICES * (1 + SPARES);
    let mut tries = 0;
    let outcome = ballast.giving_way(root.path(), || {
        tries += 1;
        if tries < 3 { Err(full()) } else { Ok(()) }
    });
    outcome.expect("after two inodes");
    assert_eq!(left(), all - 2);
    // Those of the slice that is dropped last.
    assert!(!directory.join("inode-63").exists() && directory.join("inode-0").exists());

    // Another error is no reason, and neither is another disk.
    let denied = || Err::<(), _>(std::io::Error::from(std::io::ErrorKind::PermissionDenied));
    ballast.giving_way(root.path(), denied).expect_err("denied");
    let elsewhere = std::path::Path::new("/proc/self/none");
    ballast
        .giving_way(elsewhere, || Err::<(), _>(full()))
        .expect_err("full");
    assert_eq!(left(), all - 2);

    ballast
        .giving_way(&root.path().join("not/yet"), || Err::<(), _>(full()))
        .expect_err("full");
    assert_eq!(left(), 0);
}
