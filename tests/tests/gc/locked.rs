//! A database that somebody holds. Nix waits for it without a word, up to an hour.
//!
//! Promise 2: "It frees what it promised or says why not".
//! Promise 6: "Each decision, act or refusal, is in the journal and in a metric, with its reason."

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use snowguard_exporter::units::{Amount, ByteSize};
use snowguard_host::{Layout, store::FileSystem};
use snowguard_tests::{
    daemon::tail,
    host::Host,
    lab::{self, Running},
    nix_daemon::NixDaemon,
    small_store::{Kind, SmallStore},
    wait::until_or,
};
use snowguard_watchdog::{
    gc::{
        policy::Policy,
        run::{End, collect},
    },
    record::{Mode, Record, Recorder, Remedy, Step},
};

use super::{heal, host, policy, store};

/// How it is held.
#[derive(Debug, Clone, Copy)]
enum How {
    /// A transaction that writes: readers go on.
    Writing,
    /// A connection in exclusive mode: nobody else gets in.
    Exclusive,
}

const HOLDS: &str = "SNOWGUARD_TEST_HOLDS";
const HELD: &str = "the database is held";

/// This test, run again by itself, holds the database: in one process its locks would go with the
/// first file of the database that is closed.
fn hold(store: &SmallStore, how: How) -> Running {
    let database = store.root.join("nix/var/nix/db/db.sqlite");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "--nocapture"])
        .arg("locked::a_database_that_is_held_is_waited_for_with_a_word_and_not_for_ever")
        .env(HOLDS, format!("{how:?} {}", database.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut holder = Running::start(&mut command);
    let mut said = BufReader::new(holder.0.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains(HELD)));
    // After a minute the test says that it runs still, and would end if nobody listened.
    thread::spawn(move || said.count());
    holder
}

fn hold_until_told(asked: &str) {
    let (how, database) = asked.split_once(' ').unwrap();
    let db = rusqlite::Connection::open(database).unwrap();
    let text = match how {
        "Writing" => "BEGIN IMMEDIATE",
        _ => "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE",
    };
    db.execute_batch(text).unwrap();
    println!("{HELD}");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Lets go when the journal says that it is waited for.
struct LetsGo {
    records: Vec<Record>,
    holder: Option<Running>,
}

impl Recorder for LetsGo {
    fn record(&mut self, record: Record) {
        println!("{:?} {}: {}", record.step, record.reason, record.message);
        if record.reason == "waiting" {
            self.holder = None;
        }
        self.records.push(record);
    }
}

fn asks_for(store: &SmallStore) -> Policy {
    let free = FileSystem::read(&Layout::new(&store.root)).unwrap();
    Policy {
        target: Amount::Bytes(ByteSize(free.avail_bytes + (30 << 20))),
        target_files_percent: 0,
        trigger_files_percent: 0,
        ..policy(Mode::Act)
    }
}

type Run = (&'static str, Kind, How, bool);

/// On btrfs the kernel's table of locks calls a file by another device than `stat` does.
fn runs() -> Vec<Run> {
    if std::env::var("SNOWGUARD_MATRIX").is_ok_and(|asked| asked == "all") {
        let mut runs = Vec::new();
        for release in lab::all_nix().iter().map(|nix| nix.release) {
            for kind in [Kind::Ext4, Kind::Btrfs, Kind::Tmpfs] {
                for how in [How::Writing, How::Exclusive] {
                    runs.extend([true, false].map(|daemon| (release, kind, how, daemon)));
                }
            }
        }
        return runs;
    }
    vec![
        ("bookworm", Kind::Tmpfs, How::Writing, true),
        ("trixie", Kind::Ext4, How::Exclusive, false),
        ("sid", Kind::Btrfs, How::Exclusive, true),
        ("bookworm", Kind::Btrfs, How::Writing, false),
    ]
}

#[test]
fn a_database_that_is_held_is_waited_for_with_a_word_and_not_for_ever() {
    if let Ok(asked) = std::env::var(HOLDS) {
        return hold_until_told(&asked);
    }
    lab::must_be_root();
    for (release, kind, how, has_daemon) in runs() {
        println!("== {release} on {kind:?}, held {how:?}, daemon {has_daemon}");
        let nix = lab::nix(release);
        let dir = tempfile::tempdir().unwrap();
        let (store, live, systems) = store(dir.path(), &nix, kind);
        let _daemon = has_daemon.then(|| NixDaemon::start(&nix, &store));

        // Held for longer than is waited.
        let holder = hold(&store, how);
        let pid = holder.0.id().to_string();
        let short = Policy {
            wait: Duration::from_secs(2),
            ..asks_for(&store)
        };
        let (report, records) = heal(&store, &nix, &short, Vec::new());
        let End::Refused(refusal) = report.end else {
            panic!("{report:?}")
        };
        assert_eq!(refusal.reason.name(), "database_busy");
        assert!(refusal.detail.contains(&pid), "{}", refusal.detail);
        assert!(records.iter().any(|record| record.reason == "waiting"));
        assert_eq!(records.last().unwrap().step, Step::Refused);

        // Held until it is told of, and let go.
        let mut recorder = LetsGo {
            records: Vec::new(),
            holder: Some(holder),
        };
        let target = asks_for(&store);
        let mut host = host(&store, &nix, Vec::new());
        let report = collect(&mut host, &target, "test", &mut recorder);
        assert!(recorder.holder.is_none(), "it was told of");
        assert_eq!(report.end, End::Reached, "{:?}", recorder.records);
        for path in live.iter().chain(&systems) {
            assert!(store.is_valid(path), "{path}");
        }
        store.verify();
    }
}

const LOW: &str = "
groups:
  - name: quick
    rules:
      - alert: SpaceLow
        expr: nix_store_filesystem_avail_bytes < snowguard_gc_trigger_bytes
        labels: {remedy: gc}
";

/// What somebody who holds the database for a minute does to a watchdog that is to collect.
fn outlast(release: &'static str, how: How, has_daemon: bool) {
    let nix = lab::nix(release);
    let host = Host::new(&nix, 96);
    let alive: Vec<String> = (0..3)
        .map(|number| {
            let path = host.store.add(&format!("alive-{number}"), 1024);
            let root = format!("nix/var/nix/gcroots/alive-{number}");
            host.store.link(&path, &root);
            path
        })
        .collect();
    let dead: Vec<String> = (0..20)
        .map(|number| host.store.add(&format!("dead-{number}"), 2048))
        .collect();
    let is_there = |path: &String| host.root().join(&path[1..]).exists();
    let _daemon = has_daemon.then(|| NixDaemon::start(&nix, &host.store));
    let limits = "trigger = '10%'\ntarget = '30%'\nwait = '15s'\ncooldown = '1h'\n";
    host.configure(
        LOW,
        &format!("[gc]\nmode = 'act'\nballast = '0B'\n{limits}"),
    );
    host.fill_but(4096);

    let holder = hold(&host.store, how);
    let pid = holder.0.id().to_string();
    let held = Instant::now();
    let _watchdog = host.watch();
    // It waits, gives up, says so, and waits again, for the whole of the minute.
    let refused = host.recorded(Step::Refused, "database_busy");
    assert!(refused.message.contains(&pid), "{refused:?}");
    while held.elapsed() < Duration::from_secs(60) {
        assert!(dead.iter().chain(&alive).all(is_there));
        thread::sleep(Duration::from_millis(200));
    }
    let looks = host.metric("snowguard_watchdog_ticks_total", &[]).unwrap();
    assert!(looks > 20.0, "{looks} looks at the host within a minute");
    let labels = [("remedy", "gc"), ("reason", "database_busy")];
    let counted = host.metric("snowguard_remedy_suppressed_total", &labels);
    assert!(counted.is_some_and(|times| times >= 1.0), "{counted:?}");
    let before = host.journal();
    assert!(before.iter().any(|record| record.reason == "waiting"));
    let acts: Vec<_> = before
        .iter()
        .filter(|record| record.step == Step::Act)
        .collect();
    assert!(acts.is_empty(), "{acts:?}");

    drop(holder);
    let done = until_or(
        || format!("not healed:\n{}", tail(&host.beside("watch.log"))),
        || {
            let mut journal = host.journal().into_iter();
            journal.find(|record| record.step == Step::Done && record.remedy == Remedy::Gc)
        },
    );
    assert_eq!(done.reason, "reached");
    assert!(alive.iter().all(|path| host.store.is_valid(path)));
    host.store.verify();
}

#[test]
fn a_watchdog_outlasts_a_minute_in_which_somebody_writes_the_database_and_heals_right_after() {
    outlast("trixie", How::Writing, true);
}

#[test]
fn a_watchdog_outlasts_a_minute_in_which_nobody_may_read_the_database_and_heals_right_after() {
    outlast("bookworm", How::Exclusive, false);
}
