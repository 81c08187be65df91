//! A profile that is no system: rolled back by a program of the configuration.
//!
//! Promise 4: "At most one rollback per deploy; never from blindness; never to a generation that
//! was not good."

use std::{fs, os::unix::fs::PermissionsExt};

use nix::sys::signal::Signal;
use snowguard_tests::{host::Host, lab, wait::until};
use snowguard_watchdog::record::Step;

/// The shipped alert about a deploy, with less patience.
const UNHEALTHY: &str = "
groups:
  - name: quick
    rules:
      - alert: DeployUnhealthy
        expr: min without (probe) (snowguard_probe_success) == 0 and snowguard_trial_active == 1
        for: 1s
        labels: {remedy: rollback}
";

/// What a profile's owner would run: it brings the service to what the profile holds.
const ACTIVATE: &str = "#!/bin/sh
echo \"$1 $2\" >>/run/activations
cp $1/service /run/service
";

const PROFILE: &str = "nix/var/nix/profiles/per-user/me/home";

fn host() -> Host {
    let host = Host::new(&lab::nix("sid"), 64);
    let bin = host.root().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
    for tool in ["sh", "cp"] {
        std::os::unix::fs::symlink("busybox", bin.join(tool)).unwrap();
    }
    fs::write(bin.join("activate"), ACTIVATE).unwrap();
    fs::set_permissions(bin.join("activate"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(host.root().join(PROFILE).with_file_name("")).unwrap();
    let service = host.root().join("run/service");
    host.configure(
        UNHEALTHY,
        &format!(
            "[gc]\nmode = 'off'\n\
             [rollback]\nsoak = '2s'\nverify_soak = '1s'\nverify_window = '30s'\n\
             [rollback.profiles.home]\nmode = 'act'\nprofile = '/{PROFILE}'\n\
             activate = ['/bin/activate', '{{profile}}', '{{target}}']\n\
             [probes.service]\nkind = 'command'\nfailures = 1\nprofile = 'home'\n\
             command = ['/bin/grep', '-q', 'works', {service:?}]\n"
        ),
    );
    host
}

/// As `home-manager switch`: a new generation, the profile, its activation.
fn deploy(host: &Host, number: u64, service: &str) -> String {
    let place = host.beside(&format!("home-{number}"));
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("service"), format!("{service} {number}\n")).unwrap();
    let path = host.store.store(&["--add", place.to_str().unwrap()]);
    let path = path.trim().to_owned();
    host.store.link(&path, &format!("{PROFILE}-{number}-link"));
    host.store.link(&format!("home-{number}-link"), PROFILE);
    fs::copy(place.join("service"), host.root().join("run/service")).unwrap();
    path
}

#[test]
fn a_bad_generation_of_a_profile_is_undone_by_the_program_that_activates_it() {
    let host = host();
    let first = deploy(&host, 1, "works");
    let _watchdog = host.watch();
    let settled = host.recorded(Step::State, "settled");
    assert!(settled.message.starts_with("profile home: "), "{settled:?}");
    assert!(settled.incident.ends_with("-home"), "{settled:?}");

    deploy(&host, 2, "broken");
    deploy(&host, 3, "broken");
    let undone = host.recorded(Step::Done, "rolled_back");
    assert!(undone.message.contains("generation 1"), "{undone:?}");
    let link = fs::read_link(host.root().join(PROFILE)).unwrap();
    assert_eq!(link.to_str(), Some("home-1-link"));
    let service = fs::read_to_string(host.root().join("run/service")).unwrap();
    assert_eq!(service, "works 1\n");
    let activations = fs::read_to_string(host.root().join("run/activations")).unwrap();
    assert_eq!(activations, format!("/{PROFILE} {first}\n"), "once");
    let home = [("profile", "home")];
    host.published("snowguard_rollback_denied_closures", &home, 1.0);
    host.published("snowguard_updater_held", &home, 1.0);
    host.published(
        "snowguard_probe_success",
        &[("probe", "service"), home[0]],
        1.0,
    );

    // The system is none of its business, and the next deploy that works stays.
    deploy(&host, 4, "works");
    let _ = host.recorded_times(Step::State, "settled", 2);
    until("nothing holds what deploys it", || {
        let held = host.root().join("var/lib/snowguard/updater-held-home");
        (!held.exists()).then_some(())
    });
    let link = fs::read_link(host.root().join(PROFILE)).unwrap();
    assert_eq!(link.to_str(), Some("home-4-link"));
}

#[test]
fn what_was_done_for_a_profile_ends_when_the_configuration_names_it_no_more() {
    let host = host();
    deploy(&host, 1, "works");
    let watchdog = host.watch();
    let _ = host.recorded(Step::State, "settled");
    deploy(&host, 2, "broken");
    let _ = host.recorded(Step::Done, "rolled_back");
    let held = host.root().join("var/lib/snowguard/updater-held-home");
    let root = host
        .root()
        .join("nix/var/nix/gcroots/snowguard/rollback-target-home");
    assert!(held.exists() && root.is_symlink());

    host.configure(UNHEALTHY, "[gc]\nmode = 'off'\n");
    watchdog.signal(Signal::SIGHUP);
    let released = host.recorded(Step::Act, "updater_released");
    assert!(
        released.message.starts_with("profile home: "),
        "{released:?}"
    );
    assert!(!held.exists());
    assert!(!root.is_symlink());
}
