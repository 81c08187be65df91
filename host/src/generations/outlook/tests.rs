//! Promise 4: "never to a generation that was not good": what is not there is no target.

use std::{fs, os::unix::fs::symlink, time::Duration};

use tempfile::TempDir;

use super::*;

struct Host {
    _dir: TempDir,
    layout: Layout,
}

impl Host {
    /// Generations as (number, system, kernel; none if its system is gone), the current one and
    /// what was booted.
    fn new(generations: &[(u64, &str, Option<&str>)], current: u64, booted: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        fs::create_dir_all(layout.profiles()).unwrap();
        fs::create_dir_all(layout.inside("/run")).unwrap();
        for (number, system, kernel) in generations {
            let target = layout.store().join(system);
            if let Some(kernel) = kernel
                && !target.exists()
            {
                fs::create_dir_all(&target).unwrap();
                symlink(format!("/nix/store/{kernel}"), target.join("kernel")).unwrap();
            }
            let link = layout.profiles().join(format!("system-{number}-link"));
            symlink(format!("/nix/store/{system}"), link).unwrap();
        }
        symlink(
            format!("system-{current}-link"),
            layout.profiles().join("system"),
        )
        .unwrap();
        symlink(
            format!("/nix/store/{booted}"),
            layout.inside("/run/booted-system"),
        )
        .unwrap();
        Self { _dir: dir, layout }
    }

    fn read(&self) -> Option<Outlook> {
        let mut profiles = Profiles::read(&self.layout).unwrap();
        // Links have no time that could be set without a further dependency: as if generation N
        // had been made in the Nth minute.
        for profile in &mut profiles.profiles {
            for generation in &mut profile.generations {
                generation.id.created =
                    SystemTime::UNIX_EPOCH + Duration::from_secs(60 * generation.id.number);
            }
        }
        let system = System::read(&self.layout, &profiles).unwrap();
        Outlook::read(&self.layout, &profiles, &system).unwrap()
    }
}

fn minute(number: u64) -> Option<SystemTime> {
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(60 * number))
}

#[test]
fn only_an_older_generation_of_another_system_that_is_there_can_be_gone_back_to() {
    let generations = [
        (1, "a", Some("k")),
        (2, "gone", None),
        (3, "c", Some("k")),
        (4, "c", Some("k")),
        (5, "e", Some("k")),
    ];
    let outlook = Host::new(&generations, 4, "c").read().unwrap();
    assert_eq!((outlook.rollback_targets, outlook.dangling), (1, 1));
    let outlook = Host::new(&generations[1..], 4, "c").read().unwrap();
    assert_eq!((outlook.rollback_targets, outlook.dangling), (0, 1));
}

#[test]
fn a_reboot_is_required_since_the_first_of_the_newest_generations_with_another_kernel() {
    let generations = [
        (1, "a", Some("new")),
        (2, "b", Some("old")),
        (3, "c", Some("new")),
        (4, "d", Some("newer")),
        (5, "e", Some("old")),
    ];
    let since = |current, booted| {
        let outlook = Host::new(&generations, current, booted).read();
        outlook.unwrap().reboot_required_since
    };
    assert_eq!(since(4, "b"), minute(3));
    assert_eq!(since(3, "b"), minute(3));
    assert_eq!(since(2, "b"), None);
    assert_eq!(since(5, "b"), None);
}

#[test]
fn a_generation_that_is_gone_says_nothing_about_when_a_reboot_became_due() {
    let generations = [
        (1, "a", Some("new")),
        (2, "gone", None),
        (3, "c", Some("new")),
        (9, "b", Some("old")),
    ];
    let outlook = Host::new(&generations, 3, "b").read().unwrap();
    assert_eq!(outlook.reboot_required_since, minute(3));
}

#[test]
fn a_host_without_a_system_profile_has_no_outlook() {
    let host = Host::new(&[(1, "a", Some("k"))], 1, "a");
    fs::remove_file(host.layout.profiles().join("system")).unwrap();
    fs::remove_file(host.layout.profiles().join("system-1-link")).unwrap();
    assert_eq!(host.read(), None);
}
