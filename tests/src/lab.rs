//! The real parts that `tests/lab/install` puts in place.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// One version of Nix.
#[derive(Debug, Clone)]
pub struct Nix {
    /// `bookworm`, `trixie` or `sid`: the Debian release it is from.
    pub release: &'static str,
    bin: PathBuf,
}

/// The lab's folder: `$SNOWGUARD_LAB`, or `target/lab` of the workspace.
///
/// # Panics
/// If the lab is not installed, with the command that installs it.
#[must_use]
pub fn dir() -> PathBuf {
    let dir = std::env::var_os("SNOWGUARD_LAB").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/lab"),
        PathBuf::from,
    );
    assert!(
        dir.join("bin/promtool3").exists(),
        "the lab is not installed at {}: run tests/lab/install as root",
        dir.display()
    );
    dir
}

/// All versions of Nix in the lab, oldest first.
#[must_use]
pub fn all_nix() -> Vec<Nix> {
    ["bookworm", "trixie", "sid"].into_iter().map(nix).collect()
}

/// The Nix of one Debian release.
#[must_use]
pub fn nix(release: &'static str) -> Nix {
    Nix {
        release,
        bin: dir().join(format!("bin/nix-{release}")),
    }
}

impl Nix {
    /// The folder with `nix-store` and its siblings.
    #[must_use]
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// A command of this Nix with a clean configuration and a home of its own below `home`.
    #[must_use]
    pub fn command(&self, tool: &str, home: &Path) -> Command {
        let mut command = Command::new(self.bin.join(tool));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", home)
            .env("NIX_CONF_DIR", home.join("etc/nix"))
            .env("USER", "root");
        command
    }

    /// Runs a tool to its end and returns standard output.
    ///
    /// # Panics
    /// If it fails, with what it said.
    pub fn run(&self, tool: &str, home: &Path, args: &[&str]) -> String {
        let output = self.command(tool, home).args(args).output();
        stdout(&format!("{tool} ({}) {args:?}", self.release), output)
    }
}

/// Standard output of a command that must have succeeded.
///
/// # Panics
/// If it did not, with what it said.
#[must_use]
pub fn stdout(what: &str, output: std::io::Result<Output>) -> String {
    let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        output.status.success(),
        "{what}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// These tests mount, make users' processes and read other processes' locks.
///
/// # Panics
/// If not run as root.
pub fn must_be_root() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test must run as root: use `make test`"
    );
}

/// A process that is killed when the test is done with it, also by a panic.
#[derive(Debug)]
pub struct Running(pub std::process::Child);

impl Running {
    /// Starts it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let shown = format!("{command:?}");
        Self(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{shown}: {error}")),
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
