//! On a directory of GC roots as Nix has it; whether Nix heeds it is asked of Nix itself in
//! `tests/tests/gc/target_root.rs`.

use super::*;

fn host() -> (tempfile::TempDir, TargetRoot) {
    let root = tempfile::tempdir().expect("temporary directory");
    fs::create_dir_all(root.path().join("nix/var/nix/gcroots")).expect("roots");
    let verb = TargetRoot::of(&Layout::new(root.path()));
    (root, verb)
}

#[test]
fn one_target_is_kept_at_a_time_and_none_after_the_trial() {
    let (root, verb) = host();
    let link = root
        .path()
        .join("nix/var/nix/gcroots/snowguard/rollback-target");
    assert!(!verb.run(None).expect("nothing to do"));
    assert!(verb.run(Some("/nix/store/a")).expect("kept"));
    assert!(!verb.run(Some("/nix/store/a")).expect("kept already"));
    assert!(verb.run(Some("/nix/store/b")).expect("replaced"));
    assert_eq!(
        fs::read_link(&link).expect("link"),
        Path::new("/nix/store/b")
    );
    // What a kill left behind is no hindrance.
    symlink("/nix/store/c", link.with_extension("new")).expect("left behind");
    assert!(verb.run(Some("/nix/store/a")).expect("replaced"));
    assert!(verb.run(None).expect("removed"));
    let left = fs::read_dir(link.parent().expect("directory")).expect("directory");
    assert_eq!(left.count(), 0);
}

#[test]
fn a_host_without_a_directory_of_roots_is_reported_and_not_given_one() {
    let root = tempfile::tempdir().expect("temporary directory");
    let verb = TargetRoot::of(&Layout::new(root.path()));
    let error = verb.run(Some("/nix/store/a")).expect_err("no gcroots");
    assert!(error.to_string().contains("gcroots/snowguard"), "{error}");
    // Something else in its place is not removed.
    fs::create_dir_all(verb.link.join("x")).expect("a directory");
    verb.run(Some("/nix/store/a")).expect_err("not a link");
    verb.run(None).expect_err("not a link");
}
