//! `snowguard gc`, `hold` and `release`, as an operator calls them.

use std::{
    fs,
    io::Write,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::{
    fcntl::{Flock, FlockArg},
    mount::{MntFlags, umount2},
};
use snowguard_host::{Layout, store::FileSystem};
use snowguard_tests::{host::Host, lab, programs};
use snowguard_watchdog::{
    act::ballast::Ballast,
    gc::alone::Alone,
    record::{Record, Step},
};

fn snowguard(host: &Host, args: &[&str]) -> Output {
    let mut command = Command::new(programs::snowguard());
    command.args(args).arg("--root").arg(host.root());
    command.arg("--config").arg(host.config());
    command.stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn furnished() -> (Host, String, Vec<String>) {
    let host = Host::new(&lab::nix("trixie"), 64);
    let alive = host.store.add("alive", 512);
    host.store.link(&alive, "nix/var/nix/gcroots/alive");
    let dead = (0..8)
        .map(|number| host.store.add(&format!("dead-{number}"), 1024))
        .collect();
    host.configure("", "[gc]\nmode = 'observe'\nballast = '0B'\n");
    (host, alive, dead)
}

#[test]
fn an_operator_frees_what_is_asked_for_and_little_more() {
    let (host, alive, dead) = furnished();
    let avail = || {
        FileSystem::read(&Layout::new(host.root()))
            .unwrap()
            .avail_bytes
    };
    let before = avail();
    let output = snowguard(&host, &["gc", "--free", "4MiB", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("Freed"), "{}", said(&output));
    // Nix's own reserve of 8 MiB is dropped by its collection, too.
    assert!(avail() >= before + (4 << 20));
    let gone = dead
        .iter()
        .filter(|path| !host.store.is_valid(path))
        .count();
    assert!((1..8).contains(&gone), "{gone} paths went");
    assert!(host.store.is_valid(&alive));
    let journal = host.journal();
    assert!(journal.iter().any(|record| record.step == Step::Done));
    assert!(journal[0].incident.starts_with("gc-by-hand-"));
    host.store.verify();
}

#[test]
fn without_a_terminal_and_without_yes_nothing_is_done() {
    let (host, ..) = furnished();
    let before = host.tree();
    let output = snowguard(&host, &["gc", "--free", "1MiB"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--yes"), "{}", said(&output));
    let output = snowguard(&host, &["gc", "--free", "1MiB", "--dry-run"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("dead"), "{}", said(&output));
    assert_eq!(host.tree(), before);
}

#[test]
fn what_is_held_or_collecting_already_is_refused_with_the_reason() {
    let (host, _, dead) = furnished();
    let ask = ["gc", "--free", "1MiB", "--yes"];
    let output = snowguard(&host, &["hold", "--reason", "we migrate"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = snowguard(&host, &ask);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("we migrate"), "{}", said(&output));
    let output = snowguard(&host, &["release", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));

    // As the watchdog holds it while it collects.
    let alone = Alone::take(&host.root().join("run/snowguard")).unwrap();
    let output = snowguard(&host, &ask);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("collects garbage already"));
    for path in &dead {
        assert!(host.store.is_valid(path), "{path}");
    }
    let refused = |record: &Record| record.step == Step::Refused;
    let told: Vec<String> = (host.journal().into_iter())
        .filter(refused)
        .map(|record| record.reason)
        .collect();
    assert_eq!(told, ["held", "collecting"]);
    drop(alone);
    assert_eq!(snowguard(&host, &ask).status.code(), Some(0));
}

#[test]
fn another_collector_is_waited_for_before_the_plan_is_made() {
    let (host, ..) = furnished();
    host.configure("", "[gc]\nmode = 'observe'\nballast = '0B'\nwait = '20s'\n");
    let lock = host.root().join("nix/var/nix/gc.lock");
    let lock = fs::File::options().create(true).append(true).open(lock);
    let held = Flock::lock(lock.unwrap(), FlockArg::LockExclusive).unwrap();
    let waiter = thread::spawn(move || {
        thread::sleep(Duration::from_secs(3));
        drop(held);
    });
    let output = snowguard(&host, &["gc", "--free", "1MiB", "--yes"]);
    waiter.join().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let journal = host.journal();
    assert_eq!(journal[0].reason, "waiting");
    assert!(journal.iter().any(|record| record.step == Step::Done));
}

#[test]
fn no_generation_goes_for_what_our_own_journal_took() {
    let host = Host::new(&lab::nix("trixie"), 128);
    host.configure(
        "",
        "[gc]\nmode = 'observe'\nballast = '0B'\nkeep_generations = 2\n",
    );
    // Nix drops its reserve, which would hide what is looked for.
    host.store.store(&["--gc", "--max-freed", "1"]);
    for number in 0..4 {
        host.store.add(&format!("dead-{number}"), 1024);
    }
    for number in 1..=4 {
        host.store.system_generation(number, 4096);
    }
    host.store
        .link("system-4-link", "nix/var/nix/profiles/system");
    let output = snowguard(&host, &["gc", "--free", "4MiB", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("Give up no generation"));
    for number in 1..=4 {
        let link = format!("nix/var/nix/profiles/system-{number}-link");
        assert!(host.root().join(link).symlink_metadata().is_ok());
    }
}

#[test]
fn json_on_a_terminal_is_json_and_the_plan_and_the_question_are_beside_it() {
    let (host, _, dead) = furnished();
    let (out, err) = (host.beside("out"), host.beside("err"));
    let command = format!(
        "{} gc --free 1MiB --json --root {} --config {} >{} 2>{}",
        programs::snowguard().display(),
        host.root().display(),
        host.config().display(),
        out.display(),
        err.display()
    );
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]);
    let mut script = script.stdin(Stdio::piped()).spawn().unwrap();
    script.stdin.take().unwrap().write_all(b"n\n").unwrap();
    script.wait().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&fs::read(out).unwrap()).unwrap();
    assert_eq!(answer["end"], "declined");
    let beside = fs::read_to_string(err).unwrap();
    assert!(beside.contains("1. Delete"), "{beside}");
    assert!(beside.contains("Do this now?"), "{beside}");
    assert!(dead.iter().all(|path| host.store.is_valid(path)));
}

#[test]
fn what_cannot_be_reached_is_freed_as_far_as_it_goes_and_said_with_a_code_of_its_own() {
    let (host, alive, _) = furnished();
    // Another owner of the disk: freed bytes never reach the target.
    let output = snowguard(&host, &["gc", "--free", "60MiB", "--yes"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("and no more"), "{}", said(&output));
    assert!(host.store.is_valid(&alive));
    let _ = fs::metadata(host.root()).unwrap();
    host.store.verify();
}

/// A Nix in mid-delete that does this first and would go on for long.
fn stuck(host: &Host, deed: &str) {
    let bin = host.beside("bin");
    fs::create_dir(&bin).unwrap();
    let script = format!("#!/bin/sh\n{deed}\nexec sleep 1000\n");
    fs::write(bin.join("nix-store"), script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(bin.join("nix-store"), executable).unwrap();
    let text = format!("[watchdog]\nnix_bin = {bin:?}\n[gc]\nmode = 'observe'\nballast = '0B'\n");
    host.configure("", &text);
}

#[test]
fn a_hold_or_the_end_of_the_terminal_ends_a_collection_by_hand_that_goes_on() {
    for is_hold in [true, false] {
        let (host, ..) = furnished();
        let hold = host.root().join("var/lib/snowguard/hold");
        let deed = match is_hold {
            true => format!(": > {}", hold.display()),
            false => "kill -HUP $PPID".to_owned(),
        };
        stuck(&host, &deed);
        let output = snowguard(&host, &["gc", "--free", "4MiB", "--yes"]);
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        assert!(said(&output).contains("stopped"), "{}", said(&output));
        let journal = host.journal();
        assert_eq!(journal.last().unwrap().reason, "stopped");
    }
}

#[test]
fn where_no_inode_is_left_for_a_lock_or_a_hold_the_ballast_gives_way() {
    let (host, alive, _) = furnished();
    host.configure("", "[gc]\nmode = 'act'\nballast = '16MiB'\n");
    // `/run` is on the disk that is full, as in a chroot store.
    umount2(&host.root().join("run"), MntFlags::MNT_DETACH).unwrap();
    let layout = Layout::new(host.root());
    let ballast = Ballast::of(&layout, 16 << 20);
    ballast.make().unwrap();
    let files_free = || FileSystem::read(&layout).unwrap().files_free;
    host.store.fill_inodes();
    assert_eq!(files_free(), 0);
    for args in [
        &["hold"][..],
        &["release", "--yes"],
        &["gc", "--free", "1MiB", "--yes"],
    ] {
        let output = snowguard(&host, args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
    }
    assert!(host.store.is_valid(&alive));

    // With nothing to give it is refused, and not for a collection that there is not.
    ballast.drop_all().unwrap();
    fs::remove_dir_all(host.root().join("run/snowguard")).unwrap();
    fs::remove_dir_all(host.root().join("many")).unwrap();
    host.store.fill_inodes();
    assert_eq!(files_free(), 0);
    let output = snowguard(&host, &["gc", "--free", "1MiB", "--yes"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        said(&output).contains("refused (blind)"),
        "{}",
        said(&output)
    );
    assert!(said(&output).contains("free an inode"), "{}", said(&output));
    host.store.verify();
}

#[test]
fn the_breaker_is_closed_on_a_disk_without_an_inode() {
    let (host, ..) = furnished();
    host.configure("", "[gc]\nmode = 'act'\nballast = '16MiB'\n");
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let history = format!(
        "{{\"sequence\":1,\"content\":{{\"fruitless\":3,\"fruitless_at_ms\":{}}}}}",
        now_ms.as_millis()
    );
    let state = host.root().join("var/lib/snowguard");
    fs::write(state.join("gc-history.json"), history).unwrap();
    let layout = Layout::new(host.root());
    Ballast::of(&layout, 16 << 20).make().unwrap();
    host.store.fill_inodes();
    assert_eq!(FileSystem::read(&layout).unwrap().files_free, 0);
    let output = snowguard(&host, &["release", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("breaker"), "{}", said(&output));
    assert!(state.join("release").exists());
}

#[test]
fn an_alert_that_waits_for_the_cooldown_is_released() {
    let (host, ..) = furnished();
    host.configure("", "[gc]\nmode = 'act'\ncooldown = '1h'\n");
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let history = format!(
        "{{\"sequence\":1,\"content\":{{\"resting_ms\":{{\"Low\":{}}}}}}}",
        now_ms.as_millis()
    );
    let state = host.root().join("var/lib/snowguard");
    fs::write(state.join("gc-history.json"), history).unwrap();
    let output = snowguard(&host, &["release", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("for Low"), "{}", said(&output));
    assert!(state.join("release").exists());
}

#[test]
fn without_a_ballast_a_disk_without_a_byte_is_healed_by_the_reserve_of_nix() {
    let host = Host::new(&lab::nix("bookworm"), 64);
    let alive = host.store.add("alive", 512);
    host.store.link(&alive, "nix/var/nix/gcroots/alive");
    for number in 0..8 {
        host.store.add(&format!("dead-{number}"), 1024);
    }
    host.configure("", "[gc]\nmode = 'observe'\n");
    // An idle store of Nix before 2.23, whose write-ahead log is gone.
    for end in ["-wal", "-shm"] {
        let name = format!("nix/var/nix/db/db.sqlite{end}");
        let _ = fs::remove_file(host.root().join(name));
    }
    let reserve = host.root().join("nix/var/nix/db/reserved");
    assert!(reserve.exists());
    host.store.fill_bytes();
    let output = snowguard(&host, &["gc", "--free", "1MiB", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(host.store.is_valid(&alive));
    host.store.verify();
    let journal = host.journal();
    assert!(journal.iter().any(|record| record.reason == "drop_reserve"));
}
