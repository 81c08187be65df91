//! Promise 6: "Each decision, act or refusal, is in the journal and in a metric, with its reason."
//! Promise 2: "It frees what it promised or says why not; it never starts a collection that
//! cannot help."

use std::fs::{self, File};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::signal::Signal,
};
use snowguard_tests::{daemon::tail, host::Host, lab, wait::until_or};
use snowguard_watchdog::record::{Record, Remedy, Step};

/// An alert that always fires, so that each refusal is the remedy's own.
const ALWAYS: &str = "
groups:
  - name: always
    rules:
      - alert: Always
        expr: nix_store_filesystem_size_bytes > 0
        labels: {remedy: gc}
";
const LIMITS: &str = "trigger = '10%'\ntarget = '30%'\ncooldown = '2s'\n";

/// Waits until one more refusal for this reason is in the journal and in the metric.
fn refused(host: &Host, reason: &str, since: usize) -> Record {
    let record = until_or(
        || {
            let log = tail(&host.beside("watch.log"));
            format!("no refusal {reason:?}:\n{log}")
        },
        || {
            let mut new = host.journal().into_iter().skip(since);
            new.find(|record| record.step == Step::Refused && record.reason == reason)
        },
    );
    assert_eq!(record.remedy, Remedy::Gc);
    // The thread that collects writes the journal at any moment of a tick. The one that comes
    // after counts it, and writes the state file at its end.
    host.ticks(2);
    let labels = [("remedy", "gc"), ("reason", reason)];
    let counted = host.metric("snowguard_remedy_suppressed_total", &labels);
    let journal = host.journal();
    let of_reason = |record: &&Record| record.step == Step::Refused && record.reason == reason;
    let written = journal.iter().filter(of_reason).count();
    let counted = counted.unwrap_or(0.0);
    // Between the two looks one more may have come.
    assert!(
        counted > 0.0 && (counted - written as f64).abs() <= 1.0,
        "{reason}: {counted} counted, {written} written"
    );
    record
}

#[test]
fn each_reason_against_acting_is_in_the_journal_and_in_a_metric() {
    let host = Host::new(&lab::nix("trixie"), 32);
    let path = host.store.add("alive", 64);
    host.store.link(&path, "nix/var/nix/gcroots/alive");
    // A store that was never collected has no lock.
    let gc_lock = host.root().join("nix/var/nix/gc.lock");
    let gc_lock = File::options().create(true).append(true).open(gc_lock);
    host.configure(ALWAYS, &format!("[gc]\nmode = 'off'\n{LIMITS}"));
    let watchdog = host.watch();
    refused(&host, "off", 0);

    host.configure(
        ALWAYS,
        &format!("[gc]\nmode = 'act'\nballast = '0B'\nwait = '1s'\n{LIMITS}"),
    );
    watchdog.signal(Signal::SIGHUP);
    let _ = watchdog.logged("configuration and rules read again");
    refused(&host, "not_needed", 0);

    let hold = host.root().join("var/lib/snowguard/hold");
    fs::write(&hold, "").unwrap();
    let held = refused(&host, "held", 0);
    assert!(held.message.contains("hold"), "{held:?}");
    host.fill_but(1024);
    let since = host.journal().len();
    fs::remove_file(&hold).unwrap();
    let cannot = refused(&host, "cannot_help", since);
    assert!(
        cannot.message.contains("1 by permanent roots"),
        "{cannot:?}"
    );

    refused(&host, "cooldown", since);

    let collecting = Flock::lock(gc_lock.unwrap(), FlockArg::LockExclusive).unwrap();
    let since = host.journal().len();
    refused(&host, "collecting", since);
    drop(collecting);

    // No file system has names of so many letters: nobody can tell where this leads.
    let link = format!("/{}", "x".repeat(300));
    let doubtful = host.store.link(&link, "nix/var/nix/gcroots/auto/doubtful");
    let unreadable = refused(&host, "roots_unreadable", since);
    assert!(unreadable.message.contains("doubtful") || unreadable.message.contains("xxx"));
    fs::remove_file(doubtful).unwrap();

    let since = host.journal().len();
    let db = host.root().join("nix/var/nix/db/db.sqlite");
    let aside = db.with_extension("aside");
    fs::rename(&db, &aside).unwrap();
    fs::write(&db, "no database").unwrap();
    let blind = refused(&host, "blind", since);
    assert!(blind.message.contains("db.sqlite"), "{blind:?}");
    fs::rename(&aside, &db).unwrap();

    // Refused all along: nothing was ever touched.
    assert!(host.store.is_valid(&path));
    assert!(host.journal().iter().all(|record| record.step != Step::Act));
}

#[test]
fn an_alert_that_needs_nothing_keeps_none_from_being_healed_when_it_does() {
    let host = Host::new(&lab::nix("bookworm"), 64);
    host.store.add("dead", 24 << 10);
    let limits = LIMITS.replace("'2s'", "'1h'");
    host.configure(
        ALWAYS,
        &format!("[gc]\nmode = 'act'\nballast = '0B'\n{limits}"),
    );
    let _watchdog = host.watch();
    refused(&host, "not_needed", 0);
    host.fill_but(2048);
    until_or(
        || format!("not healed:\n{}", tail(&host.beside("watch.log"))),
        || {
            let journal = host.journal();
            journal.into_iter().find(|record| record.step == Step::Done)
        },
    );
}
