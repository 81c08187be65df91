//! Promise 1: the booted, running, current and boot-default generations are never removed: here
//! they are told apart.

use std::{
    fs::{self, File, FileTimes},
    os::unix::fs::symlink,
    time::Duration,
};

use tempfile::TempDir;

use super::*;
use crate::{Kind, Layout};

struct Host {
    root: TempDir,
    layout: Layout,
}

impl Host {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let layout = Layout::new(root.path());
        fs::create_dir_all(layout.profiles()).unwrap();
        fs::create_dir_all(layout.store()).unwrap();
        Self { root, layout }
    }

    /// A store path with a kernel, an initial ramdisk and modules of that version.
    fn system(&self, name: &str, kernel: &str) -> String {
        let path = format!("/nix/store/{name}");
        let real = self.layout.inside(&path);
        fs::create_dir_all(&real).unwrap();
        for part in ["initrd", "kernel", "kernel-modules"] {
            symlink(format!("/nix/store/{kernel}/{part}"), real.join(part)).unwrap();
        }
        path
    }

    fn link(&self, at: &str, target: &str) {
        let link = self.layout.inside(at);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target, link).unwrap();
    }

    fn profile_link(&self, name: &str, target: &str) {
        self.link(&format!("/nix/var/nix/profiles/{name}"), target);
    }

    fn profiles(&self) -> Profiles {
        Profiles::read(&self.layout).unwrap()
    }

    fn system_state(&self) -> System {
        System::read(&self.layout, &self.profiles()).unwrap()
    }
}

fn numbers(profile: &Profile) -> Vec<u64> {
    profile.generations.iter().map(|g| g.id.number).collect()
}

#[test]
fn current_running_booted_and_boot_default_are_four_different_things() {
    let host = Host::new();
    for (number, kernel) in [
        (1, "linux-5"),
        (2, "linux-5"),
        (3, "linux-6"),
        (4, "linux-6"),
    ] {
        let path = host.system(&format!("sys-{number}"), kernel);
        host.profile_link(&format!("system-{number}-link"), &path);
    }
    host.profile_link("system", "system-3-link");
    host.link("/run/booted-system", "/nix/store/sys-1");
    host.link("/run/current-system", "/nix/store/sys-2");
    let loader = host.layout.inside("/boot/loader");
    fs::create_dir_all(loader.join("entries")).unwrap();
    fs::write(
        loader.join("loader.conf"),
        "timeout 5\ndefault nixos-generation-4.conf\n",
    )
    .unwrap();
    let entry = "title NixOS\noptions init=/nix/store/sys-4/init quiet\n";
    fs::write(loader.join("entries/nixos-generation-4.conf"), entry).unwrap();

    let system = host.system_state();
    let number = |link: &Option<SystemLink>| link.as_ref().and_then(|l| l.generation);
    assert_eq!(number(&system.current), Some(3));
    assert_eq!(number(&system.running), Some(2));
    assert_eq!(number(&system.booted), Some(1));
    let BootDefault::System(default) = system.boot_default.unwrap() else {
        panic!("the default entry was not found");
    };
    assert_eq!(default.generation, Some(4));
    assert_eq!(system.reboot_required, Some(true));
    let link = fs::symlink_metadata(host.layout.inside("/run/current-system")).unwrap();
    assert_eq!(system.activated, Some(link.modified().unwrap()));
}

#[test]
fn a_running_system_that_is_no_generation_has_a_path_and_no_number() {
    let host = Host::new();
    let path = host.system("sys-1", "linux");
    host.profile_link("system-1-link", &path);
    host.profile_link("system", "system-1-link");
    host.link("/run/current-system", "/nix/store/sys-test");
    let running = host.system_state().running.unwrap();
    assert_eq!(running.path, Path::new("/nix/store/sys-test"));
    assert_eq!(running.generation, None);
}

#[test]
fn a_wrapper_in_the_profile_is_the_generation_of_the_system_that_it_leads_to() {
    let host = Host::new();
    let system = host.system("a-nixos-system", "linux-1");
    let wrapper = "/nix/store/b-activatable-nixos-system";
    for part in ["init", "initrd", "kernel", "kernel-modules"] {
        host.link(&format!("{wrapper}/{part}"), &format!("{system}/{part}"));
    }
    host.profile_link("system-7-link", wrapper);
    host.profile_link("system", "system-7-link");
    host.link("/run/current-system", &system);
    host.link("/run/booted-system", &system);
    let state = host.system_state();
    assert_eq!(state.running.unwrap().generation, Some(7));
    assert_eq!(state.booted.unwrap().generation, Some(7));
    assert_eq!(state.reboot_required, Some(false));
}

#[test]
fn no_reboot_is_required_when_only_user_space_changed() {
    let host = Host::new();
    for name in ["sys-1", "sys-2"] {
        host.system(name, "linux");
    }
    host.profile_link("system-2-link", "/nix/store/sys-2");
    host.profile_link("system", "system-2-link");
    host.link("/run/booted-system", "/nix/store/sys-1");
    assert_eq!(host.system_state().reboot_required, Some(false));
}

#[test]
fn a_host_without_nixos_has_no_system_and_that_is_no_error() {
    let host = Host::new();
    let system = host.system_state();
    assert!(system.current.is_none() && system.running.is_none() && system.booted.is_none());
    assert_eq!(system.reboot_required, None);
    assert_eq!(system.boot_default.unwrap(), BootDefault::Unknown);
}

#[test]
fn a_boot_default_that_the_loader_found_by_itself_is_unknown() {
    let host = Host::new();
    let loader = host.layout.inside("/boot/loader");
    fs::create_dir_all(loader.join("entries")).unwrap();
    for default in ["arch-linux.efi", "auto-windows"] {
        fs::write(loader.join("loader.conf"), format!("default {default}\n")).unwrap();
        let found = host.system_state().boot_default.unwrap();
        assert_eq!(found, BootDefault::Unknown, "{default}");
    }
}

#[test]
fn a_boot_entry_that_is_not_there_is_an_error_and_not_unknown() {
    let host = Host::new();
    let loader = host.layout.inside("/boot/loader");
    fs::create_dir_all(&loader).unwrap();
    fs::write(loader.join("loader.conf"), "default gone.conf\n").unwrap();
    let error = host.system_state().boot_default.unwrap_err();
    assert_eq!(error.kind, Kind::Missing);
    assert!(error.path.ends_with("loader/entries/gone.conf"));
}

#[test]
fn profiles_are_found_at_every_depth_and_sorted_by_number() {
    let host = Host::new();
    for number in [10, 9, 100] {
        host.profile_link(&format!("system-{number}-link"), "/nix/store/x");
    }
    host.profile_link("system", "system-9-link");
    host.profile_link("system-profiles/web-1-link", "/nix/store/x");
    host.profile_link(
        "system-profiles/web",
        "/nix/var/nix/profiles/system-profiles/web-1-link",
    );
    host.profile_link("per-user/root/my-own-2-link", "/nix/store/x");
    host.profile_link("per-user/root/my-own", "my-own-2-link");
    host.link(
        "/root/.local/state/nix/profiles/profile-1-link",
        "/nix/store/x",
    );
    host.link("/root/.local/state/nix/profiles/profile", "profile-1-link");
    // What Nix leaves when it is killed between making a link and renaming it.
    host.profile_link(".0_system-101-link", "/nix/store/x");
    fs::write(host.layout.profiles().join("system.lock"), "").unwrap();

    let profiles = host.profiles();
    let names: Vec<_> = profiles
        .profiles
        .iter()
        .map(|p| p.name.to_str().unwrap())
        .collect();
    let expected = [
        "/root/.local/state/nix/profiles/profile",
        "per-user/root/my-own",
        "system",
        "system-profiles/web",
    ];
    assert_eq!(names, expected);
    assert!(profiles.unreadable.is_empty());
    let current = |name: &str| profiles.get(name).unwrap().current;
    assert_eq!(current("system-profiles/web"), Some(1));
    assert_eq!(current("per-user/root/my-own"), Some(2));
    assert_eq!(current("system"), Some(9));
    assert_eq!(numbers(profiles.get("system").unwrap()), [9, 10, 100]);
}

#[test]
fn a_generation_whose_link_dangles_is_stated_as_such() {
    let host = Host::new();
    host.system("there", "linux");
    host.profile_link("p-1-link", "/nix/store/gone");
    host.profile_link("p-2-link", "/nix/store/there");
    let valid = |number| {
        host.profiles()
            .get("p")
            .unwrap()
            .generation(number)
            .unwrap()
            .valid
    };
    assert!(!valid(1));
    assert!(valid(2));
}

#[test]
fn a_profile_whose_current_generation_is_gone_keeps_its_number() {
    let host = Host::new();
    host.profile_link("p-1-link", "/nix/store/x");
    host.profile_link("p", "p-2-link");
    let profiles = host.profiles();
    let profile = profiles.get("p").unwrap();
    assert_eq!(profile.current, Some(2));
    assert_eq!(profile.current_generation(), None);
    assert_eq!(numbers(profile), [1]);
}

#[test]
fn names_with_newlines_quotes_and_bytes_that_are_no_text_are_kept_whole() {
    let host = Host::new();
    let name = OsStr::from_bytes(b"evil\n\"quote\" \xff");
    let mut link = name.to_owned();
    link.push("-7-link");
    symlink("/nix/store/x", host.layout.profiles().join(&link)).unwrap();
    symlink(&link, host.layout.profiles().join(name)).unwrap();
    let profiles = host.profiles();
    let profile = profiles.get(name).unwrap();
    assert_eq!(profile.current, Some(7));
    assert!(!format!("{:?}", profile.name).contains('\n'));
}

#[test]
fn a_number_that_is_used_again_is_another_generation() {
    let host = Host::new();
    host.profile_link("p-5-link", "/nix/store/x");
    let id = |host: &Host| host.profiles().get("p").unwrap().generations[0].id.clone();
    let first = id(&host);
    assert_eq!(id(&host), first, "nothing changed");
    fs::remove_file(host.layout.profiles().join("p-5-link")).unwrap();
    host.profile_link("p-5-link", "/nix/store/y");
    assert_ne!(id(&host), first);
}

#[test]
fn the_age_of_a_generation_is_that_of_its_link_and_not_of_its_target() {
    let host = Host::new();
    let path = host.system("sys", "linux");
    let epoch = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    let dir = File::open(host.layout.inside(&path)).unwrap();
    dir.set_times(epoch).unwrap();
    let before = SystemTime::now() - Duration::from_secs(5);
    host.profile_link("p-1-link", &path);
    assert!(host.profiles().get("p").unwrap().generations[0].id.created > before);
}

#[test]
fn a_host_without_a_profiles_directory_is_an_error() {
    let root = TempDir::new().unwrap();
    let error = Profiles::read(&Layout::new(root.path())).unwrap_err();
    assert_eq!(error.kind, Kind::Missing);
    assert!(error.path.ends_with("nix/var/nix/profiles"));
}

#[test]
fn a_part_of_the_profiles_that_cannot_be_read_is_named_and_the_rest_is_read() {
    let host = Host::new();
    host.profile_link("p-1-link", "/nix/store/x");
    // Where a directory should be, a link in a circle: unreadable to root, too.
    host.link("/root/.local/state/nix/profiles", "profiles");
    let profiles = host.profiles();
    assert_eq!(profiles.profiles.len(), 1);
    assert_eq!(profiles.unreadable.len(), 1);
    assert!(profiles.unreadable[0].path.starts_with(host.root.path()));
}

fn names(profiles: &Profiles) -> Vec<&str> {
    let names = profiles.profiles.iter().map(|p| p.name.to_str().unwrap());
    names.collect()
}

#[test]
fn the_profiles_of_users_are_found_by_automatic_roots_and_in_the_homes_of_the_password_file() {
    let host = Host::new();
    host.profile_link("system-1-link", "/nix/store/x");
    // home-manager, as Nix registers it: an automatic root for each generation.
    let at = "/home/u/.local/state/nix/profiles";
    for number in [1, 2] {
        let link = format!("{at}/home-manager-{number}-link");
        host.link(&link, "/nix/store/x");
        host.link(&format!("/nix/var/nix/gcroots/auto/{number}"), &link);
    }
    host.link(&format!("{at}/home-manager"), "home-manager-2-link");
    // Elsewhere, and as `nix-store --store DIR` writes it.
    host.link("/srv/p-3-link", "/nix/store/x");
    let outside = host.layout.inside("/srv/p-3-link");
    host.link("/nix/var/nix/gcroots/auto/3", outside.to_str().unwrap());
    // What lies there besides, or leads nowhere, is no profile.
    host.link("/srv/result", "/nix/store/x");
    host.link("/srv/q-1-link", "/etc/passwd");
    host.link("/nix/var/nix/gcroots/auto/4", "/srv/result");
    host.link("/nix/var/nix/gcroots/auto/5", "/gone/r-1-link");
    host.link(
        "/nix/var/nix/gcroots/auto/6",
        "/nix/var/nix/profiles/system-1-link",
    );
    // No root names it any more; the same directory by another name is the same.
    host.link(
        "/var/home/v/.local/state/nix/profiles/profile-7-link",
        "/nix/store/x",
    );
    host.link("/also", "home");
    fs::create_dir_all(host.layout.inside("/etc")).unwrap();
    let users = "root:x:0:0::/root:/bin/sh\nu:x:1:1::/also/u:/bin/sh\nv:x:2:2::/var/home/v:\n\
                 nobody:x:3:3::/nonexistent:\nodd\n";
    fs::write(host.layout.inside("/etc/passwd"), users).unwrap();

    let profiles = Profiles::everybodys(&host.layout).unwrap();
    let expected = [
        "/home/u/.local/state/nix/profiles/home-manager",
        "/srv/p",
        "/var/home/v/.local/state/nix/profiles/profile",
        "system",
    ];
    assert_eq!(names(&profiles), expected);
    assert!(profiles.unreadable.is_empty(), "{:?}", profiles.unreadable);
    let home_manager = profiles.get(expected[0]).unwrap();
    assert_eq!(
        (numbers(home_manager), home_manager.current),
        (vec![1, 2], Some(2))
    );
    // What Snowguard may give up is the host's alone.
    assert_eq!(names(&host.profiles()), ["system"]);

    // Where it is not known what is mounted, any home may wait for a server that is gone.
    let mountless = host.layout.clone().with_proc("/nonexistent");
    let profiles = Profiles::everybodys(&mountless).unwrap();
    assert_eq!(names(&profiles), [expected[0], expected[1], expected[3]]);
    let [error] = &profiles.unreadable[..] else {
        panic!("{:?}", profiles.unreadable);
    };
    assert_eq!(error.path, Path::new("/nonexistent/self/mountinfo"));
}
