//! Promise 8: "What cannot be read is reported, not assumed."
//!
//! The greeting of each real daemon, and of one that has gone and left its socket behind.

use std::{
    os::unix::net::UnixStream,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use snowguard_host::Greeting;

use crate::{lab, private::Host};

const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon that ends with the test, also if the test fails.
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn start(host: &Host) -> Self {
        let mut command = host.command("nix-daemon", &[]);
        let daemon = Self(command.stderr(Stdio::null()).spawn().unwrap());
        let begun = Instant::now();
        while UnixStream::connect(Greeting::socket(&host.layout())).is_err() {
            assert!(begun.elapsed() < PATIENCE, "{} listens", host.nix.release);
            thread::sleep(Duration::from_millis(20));
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn each_real_daemon_tells_its_version_and_one_that_has_gone_is_an_error() {
    for nix in lab::all_nix() {
        let host = Host::new(nix, "");
        let layout = host.layout();
        assert_eq!(Greeting::exchange(&layout, PATIENCE).unwrap(), None);

        // Two workers that make the store at the same moment get in each other's way.
        host.run("nix-store", &["--init"]);
        let daemon = Daemon::start(&host);
        let greeting = Greeting::exchange(&layout, PATIENCE).unwrap().unwrap();
        // `nix-daemon (Nix) 2.34.8`; Nix tells clients its version since 2.14.
        let version = host.run("nix-daemon", &["--version"]);
        let version = version.rsplit(' ').next().unwrap().to_owned();
        let told = greeting.version.expect("all of the lab's tell it");
        assert_eq!(told, version, "{}", host.nix.release);

        drop(daemon);
        let error = Greeting::exchange(&layout, PATIENCE)
            .unwrap_err()
            .to_string();
        assert!(error.contains("nix-daemon.service"), "{error}");
    }
}
