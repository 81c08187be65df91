//! With scripts in the place of `switch-to-configuration` and of systemd.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{Stop, Switch, SwitchEnd, Systemd, Way};

/// Writes a program, by another process: a thread that forks while this one still has it open for
/// writing would make it "busy" for whoever runs it.
fn program(path: &Path, body: &str) {
    fs::create_dir_all(path.parent().expect("parent")).expect("directory");
    let status = Command::new("/bin/sh")
        .args([
            "-c",
            "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod 755 \"$2\"",
            "sh",
            body,
        ])
        .arg(path)
        .status();
    assert!(status.expect("sh").success());
}

fn system(root: &Path, body: &str) -> String {
    program(&root.join("bin/switch-to-configuration"), body);
    root.to_str().expect("UTF-8").to_owned()
}

fn child() -> Switch {
    Switch {
        way: Way::Child,
        deadline: Duration::from_secs(20),
        log: None,
        stop: Stop::new(),
    }
}

#[test]
fn the_exit_codes_of_a_switch_are_told_apart() {
    let root = tempfile::tempdir().expect("temporary directory");
    for (body, end) in [
        ("test \"$*\" = switch", SwitchEnd::Switched),
        ("exit 1", SwitchEnd::Rejected),
        ("exit 2", SwitchEnd::ActivationFailed),
        ("exit 4", SwitchEnd::UnitsFailed),
        ("exit 11", SwitchEnd::LockHeld),
        ("exit 100", SwitchEnd::InitInterface),
        ("exit 3", SwitchEnd::Other(3)),
        ("kill -9 $$", SwitchEnd::Killed(9)),
    ] {
        let target = system(root.path(), body);
        assert_eq!(child().run(&target, "i").expect(body), end, "{body}");
    }
    let error = child().run("/nix/store/none", "i").expect_err("no script");
    assert!(error.to_string().contains("/nix/store/none/bin"), "{error}");
}

#[test]
fn a_switch_that_takes_too_long_is_reported_and_not_cut_in_half() {
    let root = tempfile::tempdir().expect("temporary directory");
    let (go, done) = (root.path().join("go"), root.path().join("done"));
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).expect("fifo");
    let body = format!(
        "read line < {}\necho end > {}",
        go.display(),
        done.display()
    );
    let target = system(root.path(), &body);
    let mut switch = child();
    switch.deadline = Duration::from_millis(50);
    assert_eq!(
        switch.run(&target, "i").expect("begun"),
        SwitchEnd::Unfinished
    );
    assert!(!done.exists());
    fs::write(&go, "go\n").expect("let it go on");
    for _ in 0..400 {
        if done.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("the switch was killed");
}

#[test]
fn what_a_switch_says_is_kept() {
    let root = tempfile::tempdir().expect("temporary directory");
    let target = system(root.path(), "echo one; echo two >&2");
    let log = root.path().join("log");
    let mut switch = child();
    switch.log = Some(log.clone());
    switch.run(&target, "i").expect("run");
    assert_eq!(fs::read_to_string(log).expect("log"), "one\ntwo\n");
}

#[test]
fn under_another_root_the_chroot_program_is_given_the_root_and_the_path_inside_it() {
    let root = tempfile::tempdir().expect("temporary directory");
    let chroot = root.path().join("chroot");
    program(
        &chroot,
        &format!("echo \"$@\" > {}/args", root.path().display()),
    );
    let mut switch = child();
    switch.way = Way::Chroot {
        program: chroot,
        root: PathBuf::from("/srv/box"),
    };
    switch.run("/nix/store/1-system", "i").expect("run");
    let args = fs::read_to_string(root.path().join("args")).expect("args");
    assert_eq!(
        args,
        "/srv/box /nix/store/1-system/bin/switch-to-configuration switch\n"
    );
}

/// A systemd made of two scripts, which keeps its unit in a file.
fn systemd(root: &Path) -> Systemd {
    let (run, ctl) = (root.join("systemd-run"), root.join("systemctl"));
    let here = root.display();
    program(
        &run,
        &format!(
            "echo run \"$@\" >> {here}/calls\nfor a; do case $a in --description=*) \
             echo \"Description=${{a#*=}}\" > {here}/unit;; esac; done\n\
             printf 'LoadState=loaded\\nActiveState=failed\\nSubState=failed\\nExecMainCode=1\\nExecMainStatus=4\\n' >> {here}/unit"
        ),
    );
    program(
        &ctl,
        &format!(
            "echo $1 >> {here}/calls\ncase $1 in\nshow) if [ -e {here}/unit ]; then while read -r l; do echo \"$l\"; done < {here}/unit\n\
             else printf 'LoadState=not-found\\nActiveState=inactive\\nSubState=dead\\nDescription=x\\n'; fi;;\n\
             reset-failed) /bin/rm -f {here}/unit;;\nesac"
        ),
    );
    Systemd {
        systemd_run: run,
        systemctl: ctl,
    }
}

fn calls(root: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join("calls")).unwrap_or_default();
    let words = text.lines().filter_map(|line| line.split(' ').next());
    words.map(ToOwned::to_owned).collect()
}

#[test]
fn with_systemd_the_switch_is_a_unit_whose_end_is_read_and_whose_name_is_let_go() {
    let root = tempfile::tempdir().expect("temporary directory");
    let switch = Switch {
        way: Way::Systemd(systemd(root.path())),
        ..child()
    };
    let end = switch
        .run("/nix/store/1-system", "rollback-5")
        .expect("run");
    assert_eq!(end, SwitchEnd::UnitsFailed);
    let expected = ["show", "run", "show", "stop", "reset-failed"];
    assert_eq!(calls(root.path()), expected);
    let said = fs::read_to_string(root.path().join("calls")).expect("calls");
    assert!(said.contains("--unit=nixos-rebuild-switch-to-configuration.service"));
    assert!(said.contains("-- /nix/store/1-system/bin/switch-to-configuration switch"));
    assert!(!said.contains("--pipe") && !said.contains("--collect"));
}

#[test]
fn after_a_restart_a_switch_that_has_ended_is_read_and_not_begun_again() {
    let root = tempfile::tempdir().expect("temporary directory");
    let way = systemd(root.path());
    let unit = "Description=Snowguard rollback-5\nLoadState=loaded\nActiveState=active\nSubState=exited\nExecMainCode=1\nExecMainStatus=0\n";
    fs::write(root.path().join("unit"), unit).expect("unit");
    let switch = Switch {
        way: Way::Systemd(way),
        ..child()
    };
    let end = switch
        .run("/nix/store/1-system", "rollback-5")
        .expect("run");
    assert_eq!(end, SwitchEnd::Switched);
    assert!(!calls(root.path()).contains(&"run".to_owned()));
}

#[test]
fn a_switch_of_somebody_else_is_waited_for() {
    let root = tempfile::tempdir().expect("temporary directory");
    let way = systemd(root.path());
    let unit = "Description=nixos-rebuild\nLoadState=loaded\nActiveState=active\nSubState=running\nExecMainCode=0\nExecMainStatus=0\n";
    fs::write(root.path().join("unit"), unit).expect("unit");
    let switch = Switch {
        way: Way::Systemd(way),
        ..child()
    };
    let end = switch
        .run("/nix/store/1-system", "rollback-5")
        .expect("run");
    assert_eq!(end, SwitchEnd::LockHeld);
    assert_eq!(calls(root.path()), ["show"]);
}

#[test]
fn a_switch_of_ours_that_ended_unseen_is_let_go_and_no_other_is_touched() {
    let root = tempfile::tempdir().expect("temporary directory");
    let switch = Switch {
        way: Way::Systemd(systemd(root.path())),
        ..child()
    };
    let exited = RUNNING.replace("running", "exited");
    let failed = exited
        .replace("=active", "=failed")
        .replace("=exited", "=failed");
    for ended in [&exited, &failed] {
        fs::write(root.path().join("unit"), ended).expect("unit");
        assert!(!switch.let_ended_go().expect("asked"), "{ended}");
        assert!(switch.let_ended_go().expect("asked again"), "{ended}");
        let expected = ["show", "stop", "reset-failed", "show"];
        assert_eq!(calls(root.path()), expected, "{ended}");
        fs::remove_file(root.path().join("calls")).expect("calls");
    }
    let theirs = |ours: &str| ours.replace("Snowguard rollback-5", "/nix/store/x switch");
    for (unit, nothing_left) in [
        (RUNNING.to_owned(), false),
        (RUNNING.replace("=running", "=stop-sigterm"), false),
        (theirs(RUNNING), true),
        (theirs(&exited), true),
        (theirs(&failed), true),
    ] {
        fs::write(root.path().join("unit"), &unit).expect("unit");
        let outcome = switch.let_ended_go().expect("asked");
        assert_eq!(outcome, nothing_left, "{unit}");
        assert!(calls(root.path()).iter().all(|call| call == "show"));
    }
    fs::write(root.path().join("unit"), "").expect("no answer");
    switch.let_ended_go().expect_err("nothing is known");
    assert!(child().let_ended_go().expect("no unit"));
}

const RUNNING: &str = "Description=Snowguard rollback-5\nLoadState=loaded\nActiveState=active\nSubState=running\nExecMainCode=0\nExecMainStatus=0\n";

/// Asks for the end a little later.
fn asked_later(stop: &Stop) -> thread::JoinHandle<()> {
    let stop = stop.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        stop.ask();
    })
}

#[test]
fn a_switch_that_waits_for_the_end_of_the_watchdog_is_left_to_the_next_one() {
    let root = tempfile::tempdir().expect("temporary directory");
    let switch = Switch {
        way: Way::Systemd(systemd(root.path())),
        ..child()
    };
    fs::write(root.path().join("unit"), RUNNING).expect("unit");
    let asking = asked_later(&switch.stop);
    let begun = Instant::now();
    let end = switch.run("/nix/store/1-system", "rollback-5");
    assert_eq!(end.expect("run"), SwitchEnd::Left);
    assert!(begun.elapsed() < switch.deadline);
    asking.join().expect("asked");
    // It goes on under its name: nothing was stopped, nothing cleared away.
    assert!(calls(root.path()).iter().all(|call| call == "show"));

    // Nothing new is begun by a watchdog that ends.
    fs::remove_file(root.path().join("unit")).expect("no unit");
    let end = switch.run("/nix/store/2-system", "rollback-6");
    assert_eq!(end.expect("run"), SwitchEnd::Left);
    assert!(!calls(root.path()).contains(&"run".to_owned()));

    let next = Switch {
        stop: Stop::new(),
        ..switch
    };
    let ended = RUNNING
        .replace("running", "exited")
        .replace("MainCode=0", "MainCode=1");
    fs::write(root.path().join("unit"), ended).expect("unit");
    let end = next.run("/nix/store/1-system", "rollback-5");
    assert_eq!(end.expect("run"), SwitchEnd::Switched);
    assert!(!calls(root.path()).contains(&"run".to_owned()));
}

#[test]
fn a_child_that_switches_outlives_the_wait_for_it() {
    let root = tempfile::tempdir().expect("temporary directory");
    let (go, done) = (root.path().join("go"), root.path().join("done"));
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).expect("fifo");
    let body = format!("read line < {go:?}\necho end > {done:?}");
    let target = system(root.path(), &body);
    let switch = child();
    let asking = asked_later(&switch.stop);
    assert_eq!(switch.run(&target, "i").expect("begun"), SwitchEnd::Left);
    asking.join().expect("asked");
    fs::write(&go, "go\n").expect("let it go on");
    for _ in 0..400 {
        if done.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(25));
    }
    panic!("the switch was killed");
}

#[test]
fn what_ends_with_the_watchdog_while_it_asks_or_begins_is_no_failed_switch() {
    let root = tempfile::tempdir().expect("temporary directory");
    let real = systemd(root.path());
    let here = root.path().display();
    // As systemd ends a unit: every process of it.
    let killed = root.path().join("killed");
    program(
        &killed,
        &format!(
            "if [ ! -e {here}/once ]; then : > {here}/once; kill -TERM $$; fi\nexec {here}/systemctl \"$@\""
        ),
    );
    let switch = Switch {
        way: Way::Systemd(Systemd {
            systemctl: killed,
            ..real.clone()
        }),
        ..child()
    };
    let end = switch.run("/nix/store/1-system", "rollback-5");
    assert_eq!(end.expect("asked again"), SwitchEnd::UnitsFailed);

    let begins = root.path().join("begins");
    program(&begins, "kill -TERM $$");
    let switch = Switch {
        way: Way::Systemd(Systemd {
            systemd_run: begins,
            ..real
        }),
        ..child()
    };
    let end = switch
        .run("/nix/store/1-system", "rollback-6")
        .expect("run");
    assert!(end.is_to_be_tried_again(), "{end:?}");
}
