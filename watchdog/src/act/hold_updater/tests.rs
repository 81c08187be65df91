//! The hold with a systemd of the tests' own: a program that keeps units as files.

use std::process::Command;

use super::*;

struct Host {
    dir: tempfile::TempDir,
}

impl Host {
    /// `units` are `NAME ACTIVE TYPE`.
    fn with(units: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let root = dir.path();
        for sub in [
            "state",
            "units",
            "run",
            "proc/sys/kernel/random",
            "proc/self",
        ] {
            fs::create_dir_all(root.join(sub)).expect("directory");
        }
        fs::write(root.join("proc/locks"), "").expect("locks");
        fs::write(root.join("proc/self/mountinfo"), "").expect("mounts");
        for unit in units {
            let (name, rest) = unit.split_once(' ').expect("name and state");
            fs::write(root.join("run").join(name), rest).expect("unit");
        }
        let script = format!(
            r#"#!/bin/sh
cd {run}
echo "$*" >> calls
[ -e broken ] && {{ echo broken >&2; exit 1; }}
case $1 in
show)
  shift; while [ "$1" != -- ]; do shift; done; shift
  for unit; do
    if [ -e "$unit" ]; then read active type < "$unit"
      printf 'Id=%s\nLoadState=loaded\nActiveState=%s\nType=%s\n\n' "$unit" "$active" "$type"
    else printf 'Id=%s\nLoadState=not-found\nActiveState=inactive\n\n' "$unit"; fi
  done ;;
stop) read active type < "$4"; echo "inactive $type" > "$4" ;;
start) read active type < "$4"; echo "active $type" > "$4" ;;
esac
"#,
            run = root.join("run").display()
        );
        let systemctl = root.join("systemctl");
        // By another process: a thread that forks while it is open for writing makes it busy.
        let status = Command::new("/bin/sh")
            .args(["-c", "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"", "sh"])
            .arg(script)
            .arg(&systemctl)
            .status();
        assert!(status.expect("sh").success());
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn boot(&self, id: &str) {
        fs::write(self.path("proc/sys/kernel/random/boot_id"), id).expect("boot id");
        let _ = fs::remove_dir_all(self.path("units"));
        fs::create_dir(self.path("units")).expect("units");
    }

    fn verb(&self, updaters: Updaters) -> HoldUpdater {
        HoldUpdater {
            updaters,
            layout: Layout::new(self.dir.path()).with_proc(self.path("proc")),
            state_dir: PathBuf::from("/state"),
            run_dir: PathBuf::from("/boot-only"),
            profile: None,
            systemd: Some(Manager {
                systemctl: self.path("systemctl"),
                units: self.path("units"),
            }),
        }
    }

    fn unit(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path("run").join(name)).expect("unit");
        text.split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    fn calls(&self) -> String {
        let path = self.path("run/calls");
        let calls = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        calls
    }
}

const BAD: &str = "/nix/store/2-bad";

#[test]
fn an_updater_that_runs_is_stopped_cannot_start_and_runs_again_after_the_hold() {
    let host = Host::with(&["comin.service active simple"]);
    host.boot("one");
    let verb = host.verb(Updaters::default());
    let said = verb.hold(BAD).expect("held").expect("something was done");
    assert!(said.contains("comin.service was stopped"), "{said}");
    assert_eq!(host.unit("comin.service"), "inactive");
    let drop_in = host.path("units/comin.service.d/zz-snowguard-hold.conf");
    let text = fs::read_to_string(drop_in).expect("drop-in");
    assert!(
        text.contains("ConditionPathExists=!/state/updater-held"),
        "{text}"
    );
    assert!(host.calls().contains("daemon-reload"));
    // At the next look all of it is so, and systemd is only asked.
    assert_eq!(verb.hold(BAD).expect("held"), None);
    assert!(!host.calls().contains("daemon-reload"));
    // Another watchdog, after a reboot: the drop-ins are gone, the flag is not.
    host.boot("two");
    assert!(host.path("state/updater-held").exists());
    assert!(verb.hold(BAD).expect("held again").is_some());
    verb.release().expect("released");
    assert_eq!(host.unit("comin.service"), "active");
    assert!(!host.path("state/updater-held").exists());
    assert_eq!(fs::read_dir(host.path("units")).expect("units").count(), 0);
    verb.release().expect("released already");
}

#[test]
fn a_state_directory_that_takes_nothing_does_not_let_the_updater_go() {
    let host = Host::with(&["comin.service active simple"]);
    host.boot("one");
    let verb = host.verb(Updaters::default());
    // Directories in the place of the temporary files: no write can succeed there.
    let full = ["state/updater-held.new", "state/updater.json.new"].map(|name| host.path(name));
    for path in &full {
        fs::create_dir(path).expect("directory");
    }
    let said = verb.hold(BAD).expect("held").expect("something was done");
    assert!(said.contains("in this boot alone"), "{said}");
    assert!(host.path("boot-only/updater-held").exists());
    let drop_in = host.path("units/comin.service.d/zz-snowguard-hold.conf");
    let text = fs::read_to_string(drop_in).expect("drop-in");
    assert!(
        text.contains("ConditionPathExists=!/boot-only/updater-held"),
        "{text}"
    );
    assert_eq!(verb.hold(BAD).expect("held still"), None);
    for path in &full {
        fs::remove_dir(path).expect("room");
    }
    // As soon as there is room, it outlives a reboot.
    assert_eq!(verb.hold(BAD).expect("held"), None);
    assert!(host.path("state/updater-held").exists());
    assert!(!host.path("boot-only/updater-held").exists());
    verb.release().expect("released");
    assert_eq!(host.unit("comin.service"), "active");
    assert!(!host.path("state/updater-held").exists());
}

#[test]
fn one_that_its_timer_starts_is_stopped_in_the_middle_and_left_to_its_timer() {
    let host = Host::with(&["nixos-upgrade.service activating oneshot"]);
    host.boot("one");
    let verb = host.verb(Updaters::default());
    verb.hold(BAD).expect("held");
    assert_eq!(host.unit("nixos-upgrade.service"), "inactive");
    verb.release().expect("released");
    assert_eq!(host.unit("nixos-upgrade.service"), "inactive");
}

#[test]
fn an_updater_is_not_stopped_in_the_middle_of_a_switch_and_yet_kept_from_starting_again() {
    let host = Host::with(&["comin.service active simple"]);
    host.boot("one");
    let lock = host.path("run/nixos/switch-to-configuration.lock");
    fs::create_dir_all(lock.parent().expect("directory")).expect("directory");
    fs::write(&lock, "").expect("lock");
    // The kernel's own table, with a lock of another process in it.
    let mut holder = Command::new("flock")
        .arg(&lock)
        .args(["sh", "-c", "echo held; read line"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("flock");
    let mut said = [0; 5];
    io::Read::read_exact(holder.stdout.as_mut().expect("pipe"), &mut said).expect("held");
    let mut verb = host.verb(Updaters::default());
    verb.layout = Layout::new(host.dir.path());
    let why = verb.hold(BAD).expect_err("a switch runs").to_string();
    assert!(why.contains("so does a switch"), "{why}");
    assert_eq!(host.unit("comin.service"), "active");
    assert!(host.path("units/comin.service.d").exists());
    drop(holder.stdin.take());
    holder.wait().expect("flock ends");
    verb.hold(BAD).expect("held");
    assert_eq!(host.unit("comin.service"), "inactive");
}

#[test]
fn what_systemd_was_not_told_of_is_told_at_the_next_look() {
    let host = Host::with(&[]);
    host.boot("one");
    let verb = host.verb(Updaters::default());
    fs::write(host.path("run/broken"), "").expect("broken");
    verb.hold(BAD).expect_err("systemd does not answer");
    host.calls();
    fs::remove_file(host.path("run/broken")).expect("mended");
    verb.hold(BAD).expect("held");
    assert!(host.calls().contains("daemon-reload"));
}

#[test]
fn a_command_holds_what_is_no_unit_once_in_each_boot_and_another_ends_that() {
    let host = Host::with(&[]);
    host.boot("one");
    let log = host.path("run/hook").display().to_string();
    let argv = |word: &str| {
        let script = format!("echo {word} >> {log}");
        vec!["/bin/sh".to_owned(), "-c".to_owned(), script]
    };
    let verb = host.verb(Updaters {
        units: Vec::new(),
        hold_command: argv("hold {closure}"),
        release_command: argv("release"),
    });
    verb.hold(BAD).expect("held");
    verb.hold(BAD).expect("held");
    host.boot("two");
    verb.hold(BAD).expect("held");
    verb.release().expect("released");
    let said = fs::read_to_string(&log).expect("log");
    assert_eq!(said, format!("hold {BAD}\nhold {BAD}\nrelease\n"));
}

#[test]
fn a_command_that_fails_is_run_again_and_what_it_began_is_ended() {
    let host = Host::with(&["comin.service active simple"]);
    host.boot("one");
    let log = host.path("run/hook").display().to_string();
    let mut updaters = Updaters {
        hold_command: vec!["/bin/false".to_owned()],
        release_command: vec![
            "/bin/sh".to_owned(),
            "-c".to_owned(),
            format!("echo x >> {log}"),
        ],
        ..Updaters::default()
    };
    let why = host.verb(updaters.clone()).hold(BAD).expect_err("fails");
    assert!(why.to_string().contains("rollback.hold_command"), "{why}");
    assert_eq!(
        host.unit("comin.service"),
        "inactive",
        "what can be held is"
    );
    host.verb(updaters.clone()).hold(BAD).expect_err("again");
    host.verb(updaters.clone()).release().expect("released");
    assert_eq!(fs::read_to_string(&log).expect("log"), "x\n");
    updaters.hold_command = vec!["/bin/true".to_owned()];
    assert!(host.verb(updaters).hold(BAD).expect("held").is_some());
}

#[test]
fn a_hold_is_ended_by_the_command_that_belonged_to_it_whatever_the_configuration_says_by_then() {
    let host = Host::with(&[]);
    let log = host.path("run/hook").display().to_string();
    let argv = |word: &str| {
        let script = format!("echo {word} >> {log}");
        vec!["/bin/sh".to_owned(), "-c".to_owned(), script]
    };
    let held_by = |release: Vec<String>| Updaters {
        units: Vec::new(),
        hold_command: vec!["/bin/true".to_owned()],
        release_command: release,
    };
    let gone = Updaters {
        units: Vec::new(),
        ..Updaters::default()
    };
    for (boot, given, then, ran) in [
        ("one", argv("own"), gone.clone(), "own\n"),
        ("two", argv("own"), held_by(argv("other")), "own\n"),
        // A mistake in it can be mended in the configuration.
        (
            "three",
            vec!["/bin/false".to_owned()],
            held_by(argv("other")),
            "other\n",
        ),
    ] {
        host.boot(boot);
        host.verb(held_by(given)).hold(BAD).expect("held");
        host.verb(then).release().expect("released");
        assert_eq!(fs::read_to_string(&log).expect("log"), ran);
        fs::remove_file(&log).expect("log");
    }
    // As a version without the key kept it.
    fs::write(
        host.path("state/updater.json"),
        r#"{"stopped":[],"hook":"three"}"#,
    )
    .expect("kept");
    let said = host.verb(gone).release().expect("released");
    assert!(said.contains("undo it by hand"), "{said}");
}
