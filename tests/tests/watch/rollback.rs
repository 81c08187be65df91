//! Promise 4: "At most one rollback per deploy; never from blindness; never to a generation that
//! was not good."
//! Promise 3: "… and after being killed at any point."

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
};

use nix::sys::signal::Signal;
use snowguard_tests::{host::Host, lab, wait::until};
use snowguard_watchdog::record::{Remedy, Step};

/// The shipped alert about a deploy, with less patience.
const UNHEALTHY: &str = "
groups:
  - name: quick
    rules:
      - alert: DeployUnhealthy
        expr: |-
          min without (probe) (snowguard_probe_success unless snowguard_probe_required == 0) == 0
          and snowguard_trial_active == 1
        for: 1s
        labels: {remedy: rollback}
";

/// The contract of `switch-to-configuration` as far as a rollback needs it: a lock, exit code 11
/// while another holds it, the running system, and its service.
const SWITCH: &str = "#!/bin/sh
mkdir /run/switch.lock || exit 11
echo \"$0 $1\" >>/run/switches
if [ -e /run/slow ]; then rm /run/slow; sleep 2; fi
while [ -e /run/halt$0 ]; do sleep 1; done
ln -sfn ${0%/bin/*} /run/current-system
cp ${0%/bin/*}/service /run/service
rmdir /run/switch.lock
";

pub(super) struct Deploys {
    pub(super) host: Host,
}

impl Deploys {
    fn host() -> Self {
        Self::told("")
    }

    /// With this in the configuration, too.
    pub(super) fn told(more: &str) -> Self {
        let host = Host::new(&lab::nix("sid"), 64);
        let bin = host.root().join("bin");
        fs::create_dir(&bin).unwrap();
        fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        for tool in ["sh", "mkdir", "rmdir", "rm", "sleep", "ln", "cp"] {
            std::os::unix::fs::symlink("busybox", bin.join(tool)).unwrap();
        }
        host.store
            .link("/run/current-system", "nix/var/nix/gcroots/current-system");
        let service = host.root().join("run/service");
        host.configure(
            UNHEALTHY,
            &format!(
                "[gc]\nmode = 'off'\n\
                 [rollback]\nmode = 'act'\nsoak = '2s'\nverify_soak = '1s'\nverify_window = '30s'\n\
                 [probes.service]\nkind = 'command'\nfailures = 1\n\
                 command = ['/bin/grep', '-q', 'works', {service:?}]\n{more}"
            ),
        );
        Self { host }
    }

    /// As `nixos-rebuild switch`: a new generation, the profile, and its own switch.
    pub(super) fn deploy(&self, number: u64, service: &str) -> String {
        let place = self.host.beside(&format!("system-{number}"));
        fs::create_dir_all(place.join("bin")).unwrap();
        let script = place.join("bin/switch-to-configuration");
        fs::write(&script, SWITCH).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(place.join("service"), format!("{service} {number}\n")).unwrap();
        let path = self.host.store.store(&["--add", place.to_str().unwrap()]);
        let path = path.trim().to_owned();
        let store = &self.host.store;
        store.link(&path, &format!("nix/var/nix/profiles/system-{number}-link"));
        store.link(
            &format!("system-{number}-link"),
            "nix/var/nix/profiles/system",
        );
        let script = format!("{path}/bin/switch-to-configuration");
        let mut chroot = std::process::Command::new("/usr/sbin/chroot");
        let output = chroot
            .arg(self.host.root())
            .args([&script, "switch"])
            .output();
        let _ = lab::stdout("the deploy", output);
        path
    }

    fn link(&self, path: &str) -> String {
        let target = fs::read_link(self.host.root().join(path)).unwrap();
        target.to_str().unwrap().to_owned()
    }

    /// What runs, where the profile points, and what the service is.
    pub(super) fn stands(&self) -> (String, String, String) {
        (
            self.link("run/current-system"),
            self.link("nix/var/nix/profiles/system"),
            fs::read_to_string(self.host.root().join("run/service")).unwrap(),
        )
    }

    /// All calls of `switch`, by whomever.
    fn switches(&self) -> usize {
        let text = fs::read_to_string(self.host.root().join("run/switches")).unwrap();
        text.lines().count()
    }
}

#[test]
fn a_bad_deploy_goes_back_to_the_last_good_one_and_not_to_the_number_before() {
    let deploys = Deploys::host();
    let host = &deploys.host;
    let first = deploys.deploy(1, "works");
    let mut watchdog = host.watch();
    let _ = host.recorded(Step::State, "settled");
    let back = (
        first.clone(),
        "system-1-link".to_owned(),
        "works 1\n".to_owned(),
    );

    deploys.deploy(2, "broken");
    let undone = host.recorded(Step::Done, "rolled_back");
    assert!(undone.message.contains("generation 1"), "{undone:?}");
    assert_eq!(deploys.stands(), back);

    // Killed in the middle of the switch back, it comes to the same end.
    fs::write(host.root().join("run/slow.later"), "").unwrap();
    deploys.deploy(3, "broken");
    fs::rename(
        host.root().join("run/slow.later"),
        host.root().join("run/slow"),
    )
    .unwrap();
    until("the switch has begun", || {
        (deploys.switches() == 5).then_some(())
    });
    watchdog.signal(Signal::SIGKILL);
    assert_eq!(watchdog.end().signal(), Some(9));
    let _watchdog = host.watch();
    let undone = host.recorded_times(Step::Done, "rolled_back", 2);
    assert!(undone.message.contains("generation 1"), "{undone:?}");
    assert_eq!(deploys.stands(), back);
    host.published("snowguard_rollback_denied_closures", &[], 2.0);

    // One that works stays, and is the next to go back to.
    let fourth = deploys.deploy(4, "works");
    let _ = host.recorded_times(Step::State, "settled", 2);
    assert_eq!(deploys.stands().0, fourth);
    deploys.deploy(5, "broken");
    let undone = host.recorded_times(Step::Done, "rolled_back", 3);
    assert!(undone.message.contains("generation 4"), "{undone:?}");
    assert_eq!(deploys.stands().0, fourth);

    let journal = host.journal();
    let plans: Vec<_> = journal
        .iter()
        .filter(|record| record.remedy == Remedy::Rollback && record.step == Step::Plan)
        .map(|record| record.incident.as_str())
        .collect();
    let mut incidents = plans.clone();
    incidents.sort_unstable();
    incidents.dedup();
    assert_eq!(
        (plans.len(), incidents.len()),
        (3, 3),
        "one each: {plans:?}"
    );
}

#[test]
fn a_watchdog_that_is_to_end_waits_for_no_switch_and_the_next_one_goes_on_with_it() {
    let deploys = Deploys::host();
    let host = &deploys.host;
    let first = deploys.deploy(1, "works");
    let mut watchdog = host.watch();
    let _ = host.recorded(Step::State, "settled");
    let halt = format!("run/halt{first}/bin/switch-to-configuration");
    let halt = host.root().join(halt);
    fs::create_dir_all(&halt).unwrap();
    deploys.deploy(2, "broken");
    until("the switch has begun", || {
        (deploys.switches() == 3).then_some(())
    });
    // It goes on only after the watchdog has ended, as one does that stops its unit.
    watchdog.signal(Signal::SIGTERM);
    assert!(watchdog.end().success(), "{}", watchdog.log());
    let _ = host.recorded(Step::Act, "switch_left");
    assert_ne!(deploys.stands().0, first);
    fs::remove_dir(&halt).unwrap();

    let _watchdog = host.watch();
    let _ = host.recorded(Step::Done, "rolled_back");
    assert_eq!(deploys.stands().0, first);
    let journal = host.journal();
    let plans = journal.iter().filter(|record| record.step == Step::Plan);
    assert_eq!(plans.count(), 1, "it is one rollback");
}

#[test]
fn what_failed_before_a_deploy_and_ever_since_does_not_condemn_it() {
    let deploys = Deploys::host();
    let host = &deploys.host;
    deploys.deploy(1, "works");
    let _watchdog = host.watch();
    let _ = host.recorded(Step::State, "settled");
    fs::write(host.root().join("run/service"), "broken by hand\n").unwrap();
    host.published("snowguard_probe_success", &[("probe", "service")], 0.0);
    let second = deploys.deploy(2, "broken");
    // Nor is such a deploy taken as known good, before it is well.
    let _ = host.recorded(Step::State, "not_known_good");
    assert_eq!(deploys.stands().0, second);
    let journal = host.journal();
    let plans = journal.iter().filter(|record| record.step == Step::Plan);
    assert_eq!(plans.count(), 0);
    // Cured and broken again, it is the next deploy's own.
    fs::write(host.root().join("run/service"), "works by hand\n").unwrap();
    let _ = host.recorded_times(Step::State, "settled", 2);
    deploys.deploy(3, "broken");
    let plan = host.recorded(Step::Plan, "rollback");
    assert!(plan.message.contains("generation 2"), "{plan:?}");
}
