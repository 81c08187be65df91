//! On a directory of links as Nix lays them out.
//!
//! Promise 1: "Snowguard […] never removes the booted, running, current, boot-default or last
//! known good generation, nor goes under K."

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use snowguard_host::{GenerationId, Kind, Layout};
use tempfile::TempDir;

use super::RemoveGeneration;
use crate::gc::{facts::Scales, ladder::Victim, policy::Space};

const VERB: RemoveGeneration = RemoveGeneration {
    lock_deadline: Duration::from_millis(100),
};

/// Generations 1 to 3 of the system, the last one current.
struct Profiles(TempDir);

impl Profiles {
    fn new() -> Self {
        let profiles = Self(tempfile::tempdir().unwrap());
        for number in 1..=3 {
            symlink(format!("/nix/store/{number}-system"), profiles.link(number)).unwrap();
        }
        profiles.switch_to("system-3-link");
        profiles
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn link(&self, number: u64) -> PathBuf {
        self.path(&format!("system-{number}-link"))
    }

    fn switch_to(&self, target: impl AsRef<Path>) {
        let _ = fs::remove_file(self.path("system"));
        symlink(target, self.path("system")).unwrap();
    }

    fn victim(&self, number: u64) -> Victim {
        let link = self.link(number);
        Victim {
            profile: PathBuf::from("system"),
            profile_link: self.path("system"),
            id: GenerationId {
                number,
                target: fs::read_link(&link).unwrap(),
                created: fs::symlink_metadata(&link).unwrap().modified().unwrap(),
            },
            link,
            frees: Space::NONE,
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    /// The victim is refused for this cause, and all links stay.
    fn keeps_all(&self, victim: &Victim, cause: &str) {
        let before = self.names();
        let error = VERB.run(victim).unwrap_err();
        assert!(error.cause.contains(cause), "{error}");
        assert_eq!(self.names(), before);
    }
}

#[test]
fn a_generation_is_given_up_once_and_leaves_no_lock_behind() {
    let profiles = Profiles::new();
    let victim = profiles.victim(1);
    for _ in 0..2 {
        VERB.run(&victim).unwrap();
        assert_eq!(
            profiles.names(),
            ["system", "system-2-link", "system-3-link"]
        );
    }
}

#[test]
fn a_generation_that_has_become_current_stays() {
    let profiles = Profiles::new();
    let victim = profiles.victim(1);
    for target in [PathBuf::from("system-1-link"), profiles.link(1)] {
        profiles.switch_to(target);
        profiles.keeps_all(&victim, "it has become the current one");
    }
}

#[test]
fn a_number_that_stands_for_another_system_by_now_stays() {
    let profiles = Profiles::new();
    let mut victim = profiles.victim(1);
    fs::remove_file(profiles.link(1)).unwrap();
    symlink("/nix/store/other-system", profiles.link(1)).unwrap();
    // Made within one tick of the clock.
    victim.id.created = profiles.victim(1).id.created;
    profiles.keeps_all(&victim, "it is another generation");
}

#[test]
fn a_number_that_was_made_anew_with_the_same_system_stays() {
    let profiles = Profiles::new();
    let mut victim = profiles.victim(1);
    victim.id.created -= Duration::from_nanos(1);
    profiles.keeps_all(&victim, "it is another generation");
}

#[test]
fn what_is_no_link_stays() {
    let profiles = Profiles::new();
    let victim = profiles.victim(1);
    fs::remove_file(profiles.link(1)).unwrap();
    fs::write(profiles.link(1), "").unwrap();
    profiles.keeps_all(&victim, "Invalid argument");
}

#[test]
fn while_nix_holds_the_profile_everything_stays() {
    let profiles = Profiles::new();
    let lock = File::create(profiles.path("system.lock")).unwrap();
    lock.lock().unwrap();
    profiles.keeps_all(&profiles.victim(1), "it was held");
    assert_eq!(VERB.run(&profiles.victim(1)).unwrap_err().kind, Kind::Busy);
}

#[test]
fn a_profile_that_points_nowhere_keeps_no_generation() {
    let profiles = Profiles::new();
    fs::remove_file(profiles.path("system")).unwrap();
    VERB.run(&profiles.victim(2)).unwrap();
    assert_eq!(profiles.names(), ["system-1-link", "system-3-link"]);
}

#[test]
fn a_directory_that_leads_to_another_profile_is_not_followed() {
    let profiles = Profiles::new();
    symlink(profiles.0.path(), profiles.path("mine")).unwrap();
    let mut victim = profiles.victim(1);
    victim.profile = PathBuf::from("mine/system");
    victim.profile_link = profiles.path("mine/system");
    victim.link = profiles.path("mine/system-1-link");
    profiles.keeps_all(&victim, "it is no directory of root's");
}

#[test]
fn a_profile_in_a_directory_that_others_write_to_is_neither_planned_nor_touched() {
    let root = tempfile::tempdir().unwrap();
    let layout = Layout::new(root.path());
    let all = layout.profiles();
    let theirs = all.join("per-user/them");
    fs::create_dir_all(&theirs).unwrap();
    let (profile, link) = (theirs.join("profile"), theirs.join("profile-1-link"));
    symlink("/nix/store/1-profile", &link).unwrap();
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let may_go = || layout.may_go(&link, Some(&profile));
    for (above, own, goes) in [
        (0o755, 0o755, true),
        // As Nix 1 made `per-user`.
        (0o1777, 0o755, true),
        (0o777, 0o755, false),
        (0o755, 0o777, false),
    ] {
        set(&all.join("per-user"), above);
        set(&theirs, own);
        assert_eq!(may_go(), goes, "{above:o} {own:o}");
    }
    let victim = Victim {
        profile: PathBuf::from("per-user/them/profile"),
        profile_link: profile.clone(),
        id: GenerationId {
            number: 1,
            target: fs::read_link(&link).unwrap(),
            created: fs::symlink_metadata(&link).unwrap().modified().unwrap(),
        },
        link: link.clone(),
        frees: Space::NONE,
    };
    assert!(VERB.run(&victim).is_err());
    assert!(link.is_symlink());
    set(&theirs, 0o755);
    VERB.run(&victim).unwrap();
    assert!(!link.is_symlink());
}
