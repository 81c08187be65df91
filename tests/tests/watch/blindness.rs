//! Promise 8: "What cannot be read is reported, not assumed."
//! Promise 4: "… never from blindness …"

use std::{fs, path::PathBuf, time::SystemTime};

use nix::sys::signal::Signal;
use snowguard_exporter::collect::{Names, Registry};
use snowguard_host::Layout;
use snowguard_tests::{host::Host, lab};
use snowguard_watchdog::record::Step;

/// About a fact that only the database has.
const DEAD: &str = "
groups:
  - name: quick
    rules:
      - alert: MuchIsDead
        expr: nix_store_dead_paths > 3
        labels: {remedy: gc}
";
const FIRING: [(&str, &str); 2] = [("alertname", "MuchIsDead"), ("state", "firing")];
const STATE: &str = "snowguard_alert_state";

/// The store's database, made unreadable.
struct Garbled {
    db: PathBuf,
    aside: PathBuf,
}

impl Garbled {
    fn make(host: &Host) -> Self {
        let db = host.root().join("nix/var/nix/db/db.sqlite");
        let aside = db.with_extension("aside");
        fs::rename(&db, &aside).unwrap();
        fs::write(&db, "garbage").unwrap();
        Self { db, aside }
    }

    fn restore(self) {
        fs::rename(self.aside, self.db).unwrap();
    }
}

fn host() -> (Host, String) {
    let host = Host::new(&lab::nix("bookworm"), 64);
    let path = host.store.add("alive", 64);
    host.store.link(&path, "nix/var/nix/gcroots/alive");
    for number in 0..6 {
        host.store.add(&format!("dead-{number}"), 1024);
    }
    host.configure(
        DEAD,
        "[gc]\nmode = 'act'\ntrigger = '1%'\ntarget = '95%'\nballast = '0B'\ncooldown = '1s'\n",
    );
    (host, path)
}

#[test]
fn an_alert_whose_facts_cannot_be_read_stays_and_heals_only_when_they_can() {
    let (host, alive) = host();
    // Held, so that it fires and nothing happens yet.
    let hold = host.root().join("var/lib/snowguard/hold");
    fs::write(&hold, "").unwrap();
    let watchdog = host.watch();
    host.published(STATE, &FIRING, 1.0);
    let garbled = Garbled::make(&host);
    let blind = watchdog.logged("its alerts stay as they are");
    assert!(blind.contains("MuchIsDead"), "{blind}");
    let fails = watchdog.logged("collector fails");
    assert!(fails.contains("db.sqlite"), "{fails}");
    fs::remove_file(&hold).unwrap();
    let before = (host.tree(), host.journal().len());
    host.ticks(3);
    host.published(STATE, &FIRING, 1.0);
    assert_eq!((host.tree(), host.journal().len()), before);

    garbled.restore();
    let _ = host.recorded(Step::Done, "reached");
    let _ = watchdog.logged("alert resolved");
    assert!(host.store.is_valid(&alive));
    host.store.verify();
}

#[test]
fn a_restart_does_not_end_an_alert_whose_facts_cannot_be_read() {
    let (host, _) = host();
    fs::write(host.root().join("var/lib/snowguard/hold"), "").unwrap();
    let mut watchdog = host.watch();
    host.published(STATE, &FIRING, 1.0);
    let garbled = Garbled::make(&host);
    let _ = watchdog.logged("its alerts stay as they are");
    watchdog.signal(Signal::SIGTERM);
    assert!(watchdog.end().success());
    let watchdog = host.watch();
    let _ = watchdog.logged("took up the alerts");
    host.ticks(3);
    host.published(STATE, &FIRING, 1.0);
    assert!(
        !watchdog.log().contains("alert resolved"),
        "{}",
        watchdog.log()
    );
    garbled.restore();
    host.ticks(2);
    host.published(STATE, &FIRING, 1.0);
}

#[test]
fn every_family_of_a_host_is_known_to_be_unseen_where_nothing_can_be_read() {
    let (host, _) = host();
    host.store.system_generation(1, 1);
    host.store
        .link("/nix/var/nix/profiles/system-1-link", "run/current-system");
    let collect = |layout: Layout| {
        let mut registry = Registry::new(layout, &Names::of_the_host());
        registry.collect(SystemTime::now())
    };
    let seen = collect(Layout::new(host.root()));
    assert_eq!(seen.failed.len(), 0, "{:?}", seen.failed);
    let nowhere = host.beside("nowhere");
    let blind = collect(Layout::new(&nowhere).with_proc(&nowhere));
    for family in &seen.families {
        let name = family.name.as_ref();
        let still_seen = blind.families.iter().any(|family| family.name == name);
        assert!(still_seen || blind.unseen.contains(name), "{name}");
    }
}
