//! On a fixture tree, with a script in the place of `switch-to-configuration`.

use std::{os::unix::fs::symlink, process::Command, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::act::{ballast::Ballast, stop::Stop, switch::Way};

const SYSTEM: &str = "nix/store/00000000000000000000000000000001-nixos-system-2";
const NEWER: &str = "nix/store/00000000000000000000000000000003-nixos-system-3";
/// Writes down how it was called.
const CALLED: &str = "echo \"$*\" >> \"${0%/*}/calls\"";

struct Lab {
    root: TempDir,
}

impl Lab {
    /// A host whose current system runs this script, as a child that sees the real root: the
    /// script writes beside itself.
    fn new(script: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let lab = Self { root };
        lab.system(SYSTEM, script);
        lab.profile("system", &[(2, SYSTEM)]);
        lab
    }

    fn system(&self, system: &str, script: &str) {
        fs::create_dir_all(self.path(system).join("bin")).unwrap();
        if !script.is_empty() {
            let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod 755 \"$2\"";
            let mut shell = Command::new("/bin/sh");
            shell
                .args(["-c", write, "sh", script])
                .arg(self.path(system).join("bin/switch-to-configuration"));
            assert!(shell.status().unwrap().success());
        }
    }

    /// A profile that points to the last of these generations.
    fn profile(&self, name: &str, generations: &[(u64, &str)]) {
        let profile = self.path("nix/var/nix/profiles").join(name);
        fs::create_dir_all(profile.parent().unwrap()).unwrap();
        let link = |number| format!("{}-{number}-link", profile.display());
        for (number, system) in generations {
            symlink(format!("/{system}"), link(*number)).unwrap();
            let _ = fs::remove_file(&profile);
            symlink(link(*number), &profile).unwrap();
        }
    }

    fn runs(&self, system: &str) {
        fs::create_dir_all(self.path("run")).unwrap();
        let link = self.path("run/current-system");
        let _ = fs::remove_file(&link);
        symlink(format!("/{system}"), link).unwrap();
    }

    /// systemd-boot starts this one by default.
    fn boots(&self, system: &str) {
        let loader = self.path("boot/loader");
        fs::create_dir_all(loader.join("entries")).unwrap();
        fs::write(loader.join("loader.conf"), "default nixos.conf\n").unwrap();
        let entry = format!("options init=/{system}/init\n");
        fs::write(loader.join("entries/nixos.conf"), entry).unwrap();
    }

    /// The menu is written by this system, and by no other before.
    fn is_written_by(&self, system: &str) {
        self.verb().run("gc-1").unwrap().unwrap();
        let calls = self.path(system).join("bin/calls");
        assert_eq!(fs::read_to_string(&calls).unwrap(), "boot\n");
        fs::remove_file(calls).unwrap();
    }

    fn is_not_written(&self, cause: &str) {
        let error = self.verb().run("gc-1").unwrap_err();
        assert!(error.cause.contains(cause), "{error}");
        for system in [SYSTEM, NEWER] {
            assert!(!self.path(system).join("bin/calls").exists(), "{system}");
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// In the place of `chroot ROOT PROGRAM ACTION`.
    fn verb(&self) -> BootMenu {
        let chroot = self.path("chroot");
        let write = r#"printf '#!/bin/sh\nexec "$1$2" "$3"\n' > "$1" && chmod 755 "$1""#;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", write, "sh"]).arg(&chroot);
        assert!(shell.status().unwrap().success());
        BootMenu {
            layout: Layout::new(self.root.path()),
            switch: Switch {
                way: Way::Chroot {
                    program: chroot,
                    root: self.root.path().to_owned(),
                },
                deadline: Duration::from_secs(20),
                log: None,
                stop: Stop::new(),
            },
        }
    }
}

#[test]
fn the_menu_is_written_by_the_current_system_itself() {
    Lab::new(CALLED).is_written_by(SYSTEM);
}

#[test]
fn the_menu_is_written_by_what_another_profile_of_systems_deployed() {
    let lab = Lab::new(CALLED);
    lab.system(NEWER, CALLED);
    lab.profile("system-profiles/comin", &[(2, SYSTEM), (3, NEWER)]);
    lab.runs(NEWER);
    lab.is_written_by(NEWER);
    fs::remove_file(lab.path("nix/var/nix/profiles/system")).unwrap();
    fs::remove_file(lab.path("nix/var/nix/profiles/system-2-link")).unwrap();
    lab.is_written_by(NEWER);
}

#[test]
fn what_boots_by_default_writes_the_menu_and_stays_the_default() {
    let lab = Lab::new(CALLED);
    lab.system(NEWER, CALLED);
    // As a deploy leaves it that died before it came to the boot loader.
    lab.profile("system", &[(3, NEWER)]);
    lab.boots(SYSTEM);
    lab.is_written_by(SYSTEM);
    lab.boots(NEWER);
    lab.is_written_by(NEWER);
}

#[test]
fn the_menu_stays_where_the_default_would_change_or_is_not_known() {
    let lab = Lab::new(CALLED);
    lab.boots("nix/store/00000000000000000000000000000004-nixos-system-4");
    lab.is_not_written("is no generation");
    fs::remove_file(lab.path("boot/loader/entries/nixos.conf")).unwrap();
    lab.is_not_written("must exist");
    fs::remove_dir_all(lab.path("boot")).unwrap();
    // Gone back to by hand, or to come with the next boot.
    lab.system(NEWER, CALLED);
    lab.profile("system-profiles/comin", &[(3, NEWER)]);
    lab.runs(SYSTEM);
    lab.is_not_written("does not lead to what runs");
}

#[test]
fn a_system_without_such_a_program_has_no_menu_to_write() {
    assert_eq!(Lab::new("").verb().run("gc-1").unwrap(), None);
}

#[test]
fn a_program_that_fails_is_reported_with_what_it_means() {
    let error = Lab::new("exit 1").verb().run("gc-1").unwrap_err();
    assert!(error.to_string().contains("boot loader"), "{error}");
}

#[test]
fn a_kernel_that_boot_has_already_needs_no_room_on_it() {
    let lab = Lab::new("exit 0");
    let kernel = "nix/store/00000000000000000000000000000002-linux-6.12/bzImage";
    fs::create_dir_all(lab.path(kernel).parent().unwrap()).unwrap();
    fs::write(lab.path(kernel), [0; 4096]).unwrap();
    let link = lab.path(SYSTEM).join("kernel");
    symlink(format!("/{kernel}"), &link).unwrap();
    let boot = lab.path("boot");
    let verb = lab.verb();
    let link = Path::new("/").join(SYSTEM).join("kernel");
    assert_eq!(to_copy(&verb.layout, &boot, &link), 4096);
    for copy in [
        "EFI/nixos/00000000000000000000000000000002-linux-6.12-bzImage.efi",
        "kernels/00000000000000000000000000000002-linux-6.12-bzImage",
    ] {
        let copy = boot.join(copy);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::write(&copy, "").unwrap();
        assert_eq!(to_copy(&verb.layout, &boot, &link), 0);
        fs::remove_file(&copy).unwrap();
    }
}

#[test]
fn on_the_disk_of_the_store_no_kernel_is_copied_and_the_ballast_is_room() {
    const LARGE: u64 = 8 << 40;
    let lab = Lab::new("exit 0");
    let kernel = lab.path("nix/store/00000000000000000000000000000002-linux");
    let file = fs::File::create(&kernel).unwrap();
    file.set_len(LARGE).unwrap();
    let target = "/nix/store/00000000000000000000000000000002-linux";
    symlink(target, lab.path(SYSTEM).join("kernel")).unwrap();
    fs::create_dir(lab.path("boot")).unwrap();
    let verb = lab.verb();
    let look = |ballast| {
        let profiles = Profiles::read(&verb.layout).unwrap();
        let system = System::read(&verb.layout, &profiles).unwrap();
        BootMenu::look(&verb.layout, &profiles, &system, ballast)
    };
    assert!(look(0).unwrap().is_some());
    // With `boot.loader.grub.copyKernels`.
    fs::create_dir(lab.path("boot/kernels")).unwrap();
    let error = look(0).unwrap_err();
    assert!(error.cause.contains("may be needed"), "{error}");
    assert!(look(LARGE).unwrap().is_some());
    let ballast = lab.path("nix/var/nix/snowguard-ballast");
    assert_eq!(Ballast::in_place(&verb.layout), 0);
    fs::create_dir(&ballast).unwrap();
    fs::write(ballast.join("0"), [0; 7]).unwrap();
    assert_eq!(Ballast::in_place(&verb.layout), 7);
}
