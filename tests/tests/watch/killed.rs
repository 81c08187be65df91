//! Promise 3: "It works on a disk with 0 bytes and 0 inodes free, without Prometheus, without
//! network, and after being killed at any point."

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
};

use snowguard_tests::{
    host::Host,
    killer::{At, Killer},
    lab,
    nix_daemon::NixDaemon,
};
use snowguard_watchdog::record::Step;

use crate::{SPACE_LOW, furnish};

/// Where the watchdog is killed, as a `nix-store` that does it when first called.
const KILLED: [(&str, &str); 3] = [
    ("before Nix begins", "kill -9 $PPID; exit 1"),
    ("while Nix goes on", "kill -9 $PPID; exec $NIX \"$@\""),
    ("when Nix is done", "$NIX \"$@\"; kill -9 $PPID; exit 0"),
];

fn killing_nix(host: &Host, nix: &lab::Nix, deed: &str) {
    let bin = host.beside("bin");
    fs::create_dir(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\nNIX={}\nif mkdir {} 2>/dev/null; then {deed}; fi\nexec $NIX \"$@\"\n",
        nix.bin().join("nix-store").display(),
        host.beside("was-killed").display(),
    );
    let program = bin.join("nix-store");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn killed_around_the_first_call_of_nix_it_heals_when_started_again() {
    for ((at, deed), release) in KILLED.into_iter().zip(["bookworm", "trixie", "sid"]) {
        println!("== killed {at}, Nix of {release}");
        let nix = lab::nix(release);
        let host = Host::new(&nix, 100);
        let alive = furnish(&host);
        killing_nix(&host, &nix, deed);
        let bin = host.beside("bin");
        let text = format!(
            "[watchdog]\ninterval = '1s'\nnix_bin = {bin:?}\n\
             [gc]\nmode = 'act'\ntrigger = '12%'\ntarget = '25%'\nkeep_generations = 2\n\
             ballast = '16MiB'\ncooldown = '1s'\n"
        );
        host.configure(SPACE_LOW, &text);
        let mut watchdog = host.watch();
        host.published("snowguard_gc_ballast_ready", &[], 1.0);
        host.store.fill_bytes();
        assert_eq!(watchdog.end().signal(), Some(9), "{}", watchdog.log());
        assert!(host.beside("was-killed").exists());

        let watchdog = host.watch();
        // What the killed one had begun may suffice, and then there is nothing left to do.
        if deed.contains("exit 1") {
            let done = host.recorded(Step::Done, "reached");
            let begun = host.recorded(Step::Act, "drop_ballast");
            assert_eq!(begun.incident, done.incident, "it is the same incident");
        }
        let _ = watchdog.logged("alert resolved");
        for path in &alive {
            assert!(host.store.is_valid(path), "{path}");
        }
        host.store.verify();
        // Once there is room again, so is the ballast.
        host.free();
        host.published("snowguard_gc_ballast_ready", &[], 1.0);
    }
}

#[test]
fn a_host_that_stays_between_trigger_and_target_has_its_ballast_all_the_same() {
    let host = Host::new(&lab::nix("trixie"), 100);
    host.fill_but(40 << 10);
    host.configure(
        SPACE_LOW,
        "[gc]\nmode = 'act'\ntrigger = '12%'\ntarget = '60%'\nballast = '16MiB'\n",
    );
    let _watchdog = host.watch();
    host.published("snowguard_gc_ballast_ready", &[], 1.0);
}

#[test]
fn a_collection_that_a_kill_cut_short_is_not_gone_on_with_while_an_operator_holds() {
    let nix = lab::nix("bookworm");
    let host = Host::new(&nix, 100);
    furnish(&host);
    killing_nix(&host, &nix, KILLED[0].1);
    let bin = host.beside("bin");
    let text = format!(
        "[watchdog]\ninterval = '1s'\nnix_bin = {bin:?}\n\
         [gc]\nmode = 'act'\ntrigger = '12%'\ntarget = '25%'\nkeep_generations = 2\n\
         ballast = '16MiB'\ncooldown = '1s'\n"
    );
    host.configure(SPACE_LOW, &text);
    let mut watchdog = host.watch();
    host.published("snowguard_gc_ballast_ready", &[], 1.0);
    host.store.fill_bytes();
    assert_eq!(watchdog.end().signal(), Some(9), "{}", watchdog.log());
    std::fs::write(host.root().join("var/lib/snowguard/hold"), "").unwrap();
    let _watchdog = host.watch();
    let held = host.recorded(Step::Refused, "held");
    assert!(held.message.contains("hold"), "{held:?}");
    let journal = host.journal();
    assert!(
        journal
            .iter()
            .all(|record| record.reason != "resumed" && record.step != Step::Done)
    );
}

#[test]
fn killed_at_any_point_of_a_talk_with_the_daemon_it_heals_when_started_again() {
    let runs = [
        (At::Asking, "bookworm"),
        (At::Asked, "trixie"),
        (At::FirstPath, "sid"),
        (At::Middle, "bookworm"),
        (At::Answered, "trixie"),
    ];
    for (at, release) in runs {
        println!("== killed at {at:?}, Nix of {release}");
        let nix = lab::nix(release);
        let host = Host::new(&nix, 100);
        let alive = furnish(&host);
        let socket = host.beside("daemon.socket");
        let _daemon = NixDaemon::start_at(&nix, &host.store, &socket);
        let killer = Killer::between(host.root(), &socket, at);
        host.configure(
            SPACE_LOW,
            "[gc]\nmode = 'act'\ntrigger = '12%'\ntarget = '25%'\nkeep_generations = 2\n\
             ballast = '16MiB'\ncooldown = '1s'\n",
        );
        let mut watchdog = host.watch();
        killer.kills(watchdog.id());
        host.published("snowguard_gc_ballast_ready", &[], 1.0);
        host.store.fill_bytes();
        assert_eq!(watchdog.end().signal(), Some(9), "{}", watchdog.log());
        assert!(killer.has_killed());

        let watchdog = host.watch();
        // What the killed one had Nix do may suffice.
        if matches!(at, At::Asking) {
            let done = host.recorded(Step::Done, "reached");
            let begun = host.recorded(Step::Act, "drop_ballast");
            assert_eq!(begun.incident, done.incident, "it is the same incident");
        }
        let _ = watchdog.logged("alert resolved");
        for path in &alive {
            assert!(host.store.is_valid(path), "{path}");
        }
        host.store.verify();
    }
}
