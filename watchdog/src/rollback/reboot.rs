//! Which rollback needs a reboot, and whether a target is whole: answers about targets, read from
//! the closures themselves.

use std::{fs, io, path::PathBuf};

use snowguard_host::{FactError, Layout};

use super::facts::{SystemSeen, TargetCheck};

/// What a kernel loads and what loads it. NixOS compares the same three to say that a reboot is
/// needed (`nixos/modules/tasks/auto-upgrade.nix`).
const BOOT_FILES: [&str; 3] = ["kernel", "initrd", "kernel-modules"];
/// The protocol between a system and its service manager; `switch-to-configuration` refuses with
/// exit code 100 where it differs.
const INIT_INTERFACE: &str = "init-interface-version";

/// Answers about targets on the host of a layout.
pub struct HostTargets<'a> {
    layout: &'a Layout,
    valid: &'a dyn Fn(&str) -> Result<bool, String>,
}

impl<'a> HostTargets<'a> {
    /// The answers for a host; `valid` asks the store whether a path and its closure are valid.
    pub fn new(layout: &'a Layout, valid: &'a dyn Fn(&str) -> Result<bool, String>) -> Self {
        Self { layout, valid }
    }

    fn boot_files(&self, system: &str) -> Result<Vec<Option<PathBuf>>, FactError> {
        let link = |name: &&str| {
            let path = self.layout.inside(system).join(name);
            match fs::read_link(&path) {
                Ok(target) => Ok(Some(target)),
                // A container has no kernel of its own.
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(cause) => Err(FactError::io("read what a system boots", path, &cause, "")),
            }
        };
        BOOT_FILES.iter().map(link).collect()
    }

    fn init_interface(&self, system: &str) -> Result<Option<String>, FactError> {
        let path = self.layout.inside(system).join(INIT_INTERFACE);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(FactError::io("read the init interface", path, &cause, "")),
        }
    }

    fn difference(&self, system: &SystemSeen, target: &str) -> Result<Option<String>, FactError> {
        let Some(running) = system.running.as_deref() else {
            return Ok(None);
        };
        if self.init_interface(running)? != self.init_interface(target)? {
            let what = "its init interface is another than the running one";
            return Ok(Some(what.to_owned()));
        }
        // Going back to the kernel that is booted, or staying with the one that the running
        // system has, makes nothing differ that does not differ already.
        let wanted = self.boot_files(target)?;
        if wanted == self.boot_files(running)? {
            return Ok(None);
        }
        if let Some(booted) = system.booted.as_deref()
            && wanted == self.boot_files(booted)?
        {
            return Ok(None);
        }
        Ok(Some(
            "its kernel, initrd or kernel modules are neither the booted nor the running ones"
                .to_owned(),
        ))
    }
}

impl TargetCheck for HostTargets<'_> {
    fn valid(&self, store_path: &str) -> Result<bool, String> {
        (self.valid)(store_path)
    }

    fn needs_reboot(&self, system: &SystemSeen, target: &str) -> Result<Option<String>, String> {
        self.difference(system, target)
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, path::Path};

    use super::*;

    fn system(root: &Path, name: &str, kernel: &str, interface: &str) -> String {
        let logical = format!("/nix/store/{name}");
        let dir = root.join(format!("nix/store/{name}"));
        fs::create_dir_all(&dir).expect("directory of the system");
        symlink(kernel, dir.join("kernel")).expect("kernel");
        fs::write(dir.join(INIT_INTERFACE), interface).expect("interface");
        logical
    }

    #[test]
    fn only_a_kernel_that_neither_runs_nor_was_booted_needs_a_reboot() {
        let root = tempfile::tempdir().expect("temporary directory");
        let old = system(root.path(), "a-old", "/k1", "systemd 1");
        let new = system(root.path(), "b-new", "/k2", "systemd 1");
        let other = system(root.path(), "c-other", "/k3", "systemd 1");
        let init = system(root.path(), "d-init", "/k2", "systemd 2");
        let layout = Layout::new(root.path());
        let valid = |_: &str| Ok(true);
        let targets = HostTargets::new(&layout, &valid);
        let mut seen = SystemSeen {
            running: Some(new.clone()),
            booted: Some(old.clone()),
            ..SystemSeen::default()
        };
        assert_eq!(targets.needs_reboot(&seen, &old), Ok(None));
        assert_eq!(targets.needs_reboot(&seen, &new), Ok(None));
        let why = targets.needs_reboot(&seen, &other).expect("readable");
        assert!(why.expect("a reboot").contains("kernel"));
        let why = targets.needs_reboot(&seen, &init).expect("readable");
        assert!(why.expect("a reboot").contains("init interface"));
        seen.booted = None;
        assert!(
            targets
                .needs_reboot(&seen, &old)
                .expect("readable")
                .is_some()
        );
    }

    #[test]
    fn a_kernel_link_that_cannot_be_read_is_no_equal_kernel() {
        let root = tempfile::tempdir().expect("temporary directory");
        let running = system(root.path(), "a", "/k1", "1");
        let target = system(root.path(), "b", "/k1", "1");
        let kernel = root.path().join("nix/store/b/kernel");
        fs::remove_file(&kernel).expect("remove");
        fs::write(&kernel, "not a link").expect("file");
        let layout = Layout::new(root.path());
        let valid = |_: &str| Ok(true);
        let seen = SystemSeen {
            running: Some(running),
            ..SystemSeen::default()
        };
        let answer = HostTargets::new(&layout, &valid).needs_reboot(&seen, &target);
        assert!(answer.expect_err("unreadable").contains("kernel"));
    }
}
