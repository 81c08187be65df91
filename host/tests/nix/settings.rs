//! Promise 1: "Snowguard never deletes a path that Nix holds alive". What it holds alive depends on
//! settings, and on whose.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::{ffi::OsStringExt, fs::symlink},
    process::Stdio,
};

use snowguard_host::{NixConf, store::Analysis};

use crate::{daemon::Daemon, lab, private::Host};

/// What the daemon lists for a client with no settings of its own.
fn print_dead(host: &Host) -> Vec<String> {
    let mut command = host.command("nix-store", &["--gc", "--print-dead"]);
    command
        .env("HOME", host.path("var/empty"))
        .env("NIX_REMOTE", "daemon")
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let listed = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut listed: Vec<String> = listed.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success());
    listed.sort();
    listed
}

fn dead(host: &Host) -> Vec<String> {
    let layout = host.layout();
    let conf = NixConf::read(&layout).unwrap();
    let analysis = Analysis::read(&layout, &conf).unwrap();
    let paths = analysis.dead_paths();
    paths
        .map(|path| String::from_utf8(path.into_vec()).unwrap())
        .collect()
}

#[test]
fn the_settings_that_count_are_those_of_the_daemon_roots_own_file_among_them() {
    for nix in lab::all_nix() {
        let host = Host::new(nix, "build-users-group =\nsubstitute = false");
        fs::create_dir_all(host.path("var/empty")).unwrap();
        let derivation = host.derivation("x", "", "echo > $out");
        let output = host.run("nix-store", &["--realise", &derivation]);
        let root = host.path("nix/var/nix/gcroots/x");
        symlink(&derivation, root).unwrap();
        let own = host.path("root/.config/nix/nix.conf");
        fs::create_dir_all(own.parent().unwrap()).unwrap();
        for (text, keeps) in [("", false), ("keep-outputs = true\n", true)] {
            fs::write(&own, text).unwrap();
            let daemon = Daemon::start(&host);
            let listed = print_dead(&host);
            drop(daemon);
            assert_eq!(listed.contains(&output), !keeps, "{listed:?}");
            assert_eq!(dead(&host), listed, "{} with {text:?}", host.nix.release);
            let socket = snowguard_host::Greeting::socket(&host.layout());
            fs::remove_file(socket).unwrap();
        }
    }
}
