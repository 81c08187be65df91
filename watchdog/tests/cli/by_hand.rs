//! `gc` by hand, with a program in the place of `nix-store` that does not do what it should.
//!
//! Promise 3: "It works [...] after being killed at any point", and so it does not hang, either.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use crate::fixture::{Fixture, Ran};

/// Much longer than anything that is waited for, and shorter than what the program would sleep.
const PATIENCE: Duration = Duration::from_secs(100);

/// Frees more than there is, with this script in the place of `nix-store`.
fn collect(host: &Fixture, deadline: &str, script: &str) -> Ran {
    // Written under another name by another process, so that nobody has it open for writing.
    host.write("bin/script", script);
    let bin = host.root().join("bin");
    let copied = std::process::Command::new("cp")
        .arg(bin.join("script"))
        .arg(bin.join("nix-store"))
        .status();
    assert!(copied.unwrap().success());
    let mode = Permissions::from_mode(0o755);
    fs::set_permissions(bin.join("nix-store"), mode).unwrap();
    // One alone that is not given up would leave nothing to try again.
    for name in ["dead-1", "dead-2"] {
        host.path(name, 100_000);
    }
    let config = host.beside("gc.toml", &config(&bin, deadline));
    host.run(&["gc", "--free", "9PiB", "--yes", "--config", &config])
}

fn config(bin: &Path, deadline: &str) -> String {
    format!(
        "[watchdog]\nnix_bin = {bin:?}\n[gc]\nkeep_recent = \"0s\"\nminimum_gain = \"0%\"\ndeadline = {deadline:?}\n"
    )
}

#[test]
fn a_collection_ends_at_its_deadline_even_within_one_call_of_nix() {
    let host = Fixture::new();
    let begun = Instant::now();
    let ran = collect(&host, "2s", "#!/bin/sh\nexec sleep 120\n");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(ran.err.contains("(deadline)"), "{}", ran.err);
}

#[test]
fn a_nix_that_hears_no_signal_does_not_keep_a_collection_from_its_end() {
    let host = Fixture::new();
    let begun = Instant::now();
    // It stops itself, and no signal but one reaches it any more.
    let ran = collect(&host, "2s", "#!/bin/sh\nkill -STOP $$\n");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(ran.err.contains("(deadline)"), "{}", ran.err);
}
