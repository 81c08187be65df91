//! On a directory of links as Nix lays them out.

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{NotSet, SetProfile};
use crate::rollback::facts::GenerationId;

struct Profiles {
    _root: tempfile::TempDir,
    verb: SetProfile,
}

impl Profiles {
    /// Generations 1 to `count`, the last one current.
    fn with(count: u64) -> Self {
        let root = tempfile::tempdir().expect("temporary directory");
        for number in 1..=count {
            let link = root.path().join(format!("system-{number}-link"));
            symlink(format!("/nix/store/{number}-system"), link).expect("link");
        }
        let profile = root.path().join("system");
        symlink(format!("system-{count}-link"), &profile).expect("profile");
        let lock_deadline = Duration::from_millis(200);
        Self {
            _root: root,
            verb: SetProfile {
                profile,
                lock_deadline,
            },
        }
    }

    fn generation(&self, number: u64) -> GenerationId {
        let link = self
            .verb
            .profile
            .with_file_name(format!("system-{number}-link"));
        let meta = fs::symlink_metadata(link).expect("link");
        GenerationId {
            number,
            store_path: format!("/nix/store/{number}-system"),
            linked_at_ms: meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000,
        }
    }

    fn current(&self) -> PathBuf {
        fs::read_link(&self.verb.profile).expect("profile")
    }

    fn names(&self) -> Vec<String> {
        let directory = self.verb.profile.parent().expect("parent");
        let entries = fs::read_dir(directory).expect("directory");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    fn lock(&self) -> File {
        let path = self.verb.profile.with_file_name("system.lock");
        let file = File::create(path).expect("lock file");
        file.lock().expect("lock");
        file
    }
}

#[test]
fn the_profile_points_at_the_target_and_nothing_else_is_left_behind() {
    let profiles = Profiles::with(3);
    let target = profiles.generation(1);
    profiles.verb.run(&target, Some(3)).expect("set");
    assert_eq!(profiles.current(), Path::new("system-1-link"));
    let names = ["system", "system-1-link", "system-2-link", "system-3-link"];
    assert_eq!(profiles.names(), names);
    profiles
        .verb
        .run(&target, Some(3))
        .expect("done again it does nothing");
}

#[test]
fn a_profile_that_somebody_else_moved_is_left_to_them() {
    let profiles = Profiles::with(3);
    let error = profiles.verb.run(&profiles.generation(1), Some(2));
    let error = error.expect_err("moved");
    assert!(
        matches!(&error, NotSet::Busy(why) if why.contains("somebody else deploys")),
        "{error:?}"
    );
    assert_eq!(profiles.current(), Path::new("system-3-link"));
}

#[test]
fn a_profile_that_cannot_be_read_is_nobodys_deploy() {
    let profiles = Profiles::with(1);
    let target = profiles.generation(1);
    fs::remove_file(&profiles.verb.profile).expect("unlink");
    fs::create_dir(&profiles.verb.profile).expect("no link");
    let error = profiles.verb.run(&target, Some(1));
    assert!(matches!(error, Err(NotSet::Failed(_))), "{error:?}");
}

/// Nix gives the number of a deleted generation to the next one.
#[test]
fn a_target_whose_number_is_gone_or_names_another_closure_by_now_becomes_a_new_generation() {
    let profiles = Profiles::with(3);
    let target = profiles.generation(1);
    let first = profiles.verb.profile.with_file_name("system-1-link");
    fs::remove_file(&first).expect("collected");
    profiles.verb.run(&target, Some(3)).expect("set");
    assert_eq!(profiles.current(), Path::new("system-4-link"));
    let fourth = profiles.verb.profile.with_file_name("system-4-link");
    let points_to = fs::read_link(fourth).expect("link");
    assert_eq!(points_to, Path::new("/nix/store/1-system"));
    // Killed before this was on record, it is done again and finds itself done.
    profiles.verb.run(&target, Some(3)).expect("again");
    symlink("/nix/store/other", first).expect("the number is given to another");
    profiles.verb.run(&target, Some(3)).expect("again");
    assert_eq!(profiles.current(), Path::new("system-4-link"));
    let names = [
        "system",
        "system-1-link",
        "system-2-link",
        "system-3-link",
        "system-4-link",
    ];
    assert_eq!(profiles.names(), names);
}

#[test]
fn no_new_generation_is_made_of_a_profile_that_somebody_else_moved() {
    let profiles = Profiles::with(3);
    let mut target = profiles.generation(1);
    target.number = 9;
    target.store_path.push('x');
    profiles.verb.run(&target, Some(2)).expect_err("moved");
    assert_eq!(profiles.names().len(), 4);
}

#[test]
fn while_nix_holds_the_profile_nothing_is_changed() {
    let profiles = Profiles::with(2);
    let lock = profiles.lock();
    let error = profiles.verb.run(&profiles.generation(1), Some(2));
    assert!(matches!(error, Err(NotSet::Busy(_))), "{error:?}");
    assert_eq!(profiles.current(), Path::new("system-2-link"));
    drop(lock);
    profiles
        .verb
        .run(&profiles.generation(1), Some(2))
        .expect("free");
}

#[test]
fn a_lock_that_its_holder_unlinked_is_taken_anew() {
    use std::io::Write;
    let mut profiles = Profiles::with(2);
    profiles.verb.lock_deadline = Duration::from_secs(20);
    let mut lock = profiles.lock();
    let target = profiles.generation(1);
    let path = profiles.verb.profile.with_file_name("system.lock");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| profiles.verb.run(&target, Some(2)));
        // As Nix lets go: unlink, leave the token, close.
        fs::remove_file(path).expect("unlink");
        lock.write_all(b"d").expect("token");
        drop(lock);
        waiting.join().expect("thread").expect("set");
    });
    assert_eq!(profiles.current(), Path::new("system-1-link"));
}

#[test]
fn a_lock_with_the_token_in_it_is_nobodys_lock() {
    let profiles = Profiles::with(2);
    fs::write(profiles.verb.profile.with_file_name("system.lock"), "d").expect("token");
    let error = profiles.verb.run(&profiles.generation(1), Some(2));
    assert!(matches!(error, Err(NotSet::Busy(_))), "{error:?}");
    assert_eq!(profiles.current(), Path::new("system-2-link"));
}
