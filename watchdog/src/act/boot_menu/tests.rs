//! On a fixture tree, with a script in the place of `switch-to-configuration`.

use std::{os::unix::fs::symlink, process::Command, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::act::{stop::Stop, switch::Way};

const SYSTEM: &str = "nix/store/00000000000000000000000000000001-nixos-system-2";

struct Lab {
    root: TempDir,
}

impl Lab {
    /// A host whose current system runs this script, as a child that sees the real root: the
    /// script writes beside itself.
    fn new(script: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let lab = Self { root };
        let profiles = lab.path("nix/var/nix/profiles");
        fs::create_dir_all(&profiles).unwrap();
        fs::create_dir_all(lab.path(SYSTEM).join("bin")).unwrap();
        symlink(format!("/{SYSTEM}"), profiles.join("system-2-link")).unwrap();
        symlink("system-2-link", profiles.join("system")).unwrap();
        if !script.is_empty() {
            let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod 755 \"$2\"";
            let mut shell = Command::new("/bin/sh");
            shell
                .args(["-c", write, "sh", script])
                .arg(lab.path(SYSTEM).join("bin/switch-to-configuration"));
            assert!(shell.status().unwrap().success());
        }
        lab
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
    let lab = Lab::new("echo \"$*\" > \"${0%/*}/calls\"");
    let done = lab.verb().run("gc-1").unwrap().unwrap();
    assert!(done.contains("nixos-system-2"), "{done}");
    let calls = fs::read_to_string(lab.path(SYSTEM).join("bin/calls")).unwrap();
    assert_eq!(calls, "boot\n");
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
