//! A collection that goes on beside the ticks, in a thread of its own: probes, rules and the other
//! remedy do not wait for Nix.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use snowguard_exporter::sample::{Family, count, flag};
use tracing::{error, warn};

use super::Counters;
use crate::{
    act::stop::Stop,
    gc::{
        alone::Alone,
        host::RealHost,
        plan::{Reason, Refusal},
        policy::{Policy, Space, Tripped},
        run::{self, End, Progress, Report},
    },
    journal::Journal,
    keep::{Keep, KeepError},
    record::{Mode, Record, Recorder, Step},
};

/// The journal, for the ticks and for the collection beside them.
#[derive(Debug, Clone)]
pub(super) struct SharedJournal(Arc<Mutex<Journal>>);

impl SharedJournal {
    pub(super) fn new(journal: Journal) -> Self {
        Self(Arc::new(Mutex::new(journal)))
    }

    pub(super) fn flush(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .flush();
    }

    pub(super) fn take_up(&self, run_dir: &Path) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_up(run_dir);
    }
}

impl Recorder for SharedJournal {
    fn record(&mut self, record: Record) {
        let mut journal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        journal.record(record);
    }
}

/// A collection that was begun, as far as it must be known to go on with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub(super) struct Unended {
    pub(super) incident: String,
    /// What ran short at its beginning. It may be over its trigger again, and short of its target.
    pub(super) tripped: Tripped,
    /// The alert that asked for it.
    pub(super) alert: Option<String>,
}

/// As it may be on disk: by the incident alone until 0.1.0.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Incident(String),
    Whole {
        incident: String,
        tripped: Tripped,
        #[serde(default)]
        alert: Option<String>,
    },
}

impl From<Stored> for Unended {
    fn from(stored: Stored) -> Self {
        let (incident, tripped, alert) = match stored {
            Stored::Incident(incident) => (incident, Tripped::default(), None),
            Stored::Whole {
                incident,
                tripped,
                alert,
            } => (incident, tripped, alert),
        };
        Self {
            incident,
            tripped,
            alert,
        }
    }
}

/// The collection that has begun and not ended, on disk.
#[derive(Debug, Clone)]
pub(super) struct Begun(Arc<Mutex<Keep>>);

impl Begun {
    pub(super) fn new(keep: Keep) -> Self {
        Self(Arc::new(Mutex::new(keep)))
    }

    fn save(&self, unended: Option<&Unended>) -> Result<(), KeepError> {
        let mut keep = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keep.save(&unended)
    }

    pub(super) fn clear(&self) -> Result<(), KeepError> {
        self.save(None)
    }
}

/// What a collection is begun with.
pub(super) struct Begin {
    /// The alert that asks for it; none if it goes on after it was cut short.
    pub(super) alert: Option<String>,
    pub(super) unended: Unended,
    /// The refusal of this incident that was told last.
    pub(super) told: Option<Reason>,
    pub(super) policy: Policy,
    pub(super) now_ms: i64,
    /// Nothing is collected: the boot menu alone is written, which an earlier one left old.
    pub(super) only_menu: bool,
}

/// How it ended.
pub(super) struct Ended {
    pub(super) alert: Option<String>,
    pub(super) unended: Unended,
    pub(super) report: Report,
}

enum News {
    Told(Record),
    Progress(Progress),
}

/// A collection that goes on.
pub(super) struct Running {
    begin: (Option<String>, Unended),
    /// Ends it between two paths.
    pub(super) stop: Stop,
    news: mpsc::Receiver<News>,
    thread: JoinHandle<Report>,
    progress: Progress,
    began_ms: i64,
}

impl Running {
    pub(super) fn begin(
        begin: Begin,
        mut host: RealHost,
        stop: Stop,
        alone: Alone,
        (begun, journal): (Begun, SharedJournal),
    ) -> io::Result<Self> {
        let (sender, news) = mpsc::channel();
        let progress = sender.clone();
        host.watcher = Box::new(move |now| {
            // Nobody hears it once the watchdog ends.
            let _ = progress.send(News::Progress(now));
        });
        let names = (begin.alert.clone(), begin.unended.clone());
        let began_ms = begin.now_ms;
        let asked = stop.clone();
        let work = move || {
            let _alone = alone;
            let incident = begin.unended.incident.clone();
            let mut recorder = Teller {
                told: begin.told,
                has_begun: begin.alert.is_none() && !begin.only_menu,
                unended: begin.unended,
                begun,
                journal,
                news: sender,
            };
            if begin.only_menu {
                run::mend_boot_menu(&mut host, &begin.policy, &incident, &mut recorder);
                return nothing_collected();
            }
            let is_resumed = begin.alert.is_none();
            let report = run::collect(&mut host, &begin.policy, &incident, &mut recorder);
            let was_stopped = asked.is_asked() && report.end == End::Short("stopped");
            if recorder.has_begun
                && !was_stopped
                && !(is_resumed && passes(&report.end))
                && let Err(error) = recorder.begun.clear()
            {
                warn!(%error, "the collection would be gone on with after a restart");
            }
            report
        };
        let thread = thread::Builder::new().name("gc".to_owned()).spawn(work)?;
        Ok(Self {
            begin: names,
            stop,
            news,
            thread,
            progress: Progress::default(),
            began_ms,
        })
    }

    pub(super) fn incident(&self) -> &str {
        &self.begin.1.incident
    }

    /// Takes note of what it has said since.
    pub(super) fn hear(&mut self, counters: &mut Counters) {
        for news in self.news.try_iter() {
            match news {
                News::Told(record) => counters.note(&record),
                News::Progress(progress) => self.progress = progress,
            }
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end, but no longer than this. Whether it has ended.
    pub(super) fn wait(&mut self, most: Duration, counters: &mut Counters) -> bool {
        let begun = Instant::now();
        while !self.is_ended() && begun.elapsed() < most {
            self.hear(counters);
            thread::sleep(Duration::from_millis(20));
        }
        self.is_ended()
    }

    /// What became of it. To be called once it has ended.
    pub(super) fn end(mut self, counters: &mut Counters) -> Ended {
        self.hear(counters);
        let (alert, unended) = self.begin;
        let report = self.thread.join().unwrap_or_else(|_| {
            error!(
                unended.incident,
                "the collection ended by a fault of its own"
            );
            Report {
                end: End::Short("fault"),
                promised: Space::NONE,
                freed: Space::NONE,
                detail: String::new(),
            }
        });
        Ended {
            alert,
            unended,
            report,
        }
    }
}

/// Whether a collection did nothing for something that passes by itself. What an earlier one left is
/// still to be done then, and no alert need ask for it any more.
pub(super) fn passes(end: &End) -> bool {
    let End::Refused(refusal) = end else {
        return false;
    };
    matches!(
        refusal.reason,
        Reason::Blind | Reason::RootsUnreadable | Reason::Collecting | Reason::DatabaseBusy
    )
}

/// The report of work that was no collection.
fn nothing_collected() -> Report {
    let detail = "no collection was asked for".to_owned();
    Report {
        end: End::Refused(Refusal {
            reason: Reason::NotNeeded,
            detail: detail.clone(),
        }),
        promised: Space::NONE,
        freed: Space::NONE,
        detail,
    }
}

/// What is published about a collection that goes on, or that none does.
pub(super) fn families(running: Option<&Running>) -> Vec<Family> {
    let progress = running.map(|running| running.progress).unwrap_or_default();
    let mut families = vec![Family::gauge(
        "snowguard_gc_running",
        "1 while a collection goes on",
        flag(running.is_some()),
    )];
    if let Some(running) = running {
        families.push(Family::gauge(
            "snowguard_gc_started_timestamp_seconds",
            "When the collection that goes on began, as seconds since 1970; absent without one",
            Duration::from_millis(u64::try_from(running.began_ms).unwrap_or(0)).as_secs_f64(),
        ));
    }
    families.extend([
        Family::gauge(
            "snowguard_gc_progress_deleted_paths",
            "Paths that the collection that goes on has deleted; 0 without one",
            count(progress.deleted_paths),
        ),
        Family::gauge(
            "snowguard_gc_progress_freed_bytes",
            "Bytes that the collection that goes on has freed, by statvfs; 0 without one",
            count(progress.freed.bytes),
        ),
        Family::gauge(
            "snowguard_gc_progress_remaining_bytes",
            "Bytes that the collection that goes on still has to free; 0 without one",
            count(progress.remaining.bytes),
        ),
    ]);
    families
}

/// Writes everything to the journal but a refusal for the reason that was told already, and keeps
/// on disk that a collection has begun, before its first act.
struct Teller {
    told: Option<Reason>,
    has_begun: bool,
    unended: Unended,
    begun: Begun,
    journal: SharedJournal,
    news: mpsc::Sender<News>,
}

impl Recorder for Teller {
    fn record(&mut self, record: Record) {
        if record.step == Step::Plan && record.mode == Mode::Act && !self.has_begun {
            // Not kept, it is only not gone on with after a kill.
            if let Err(error) = self.begun.save(Some(&self.unended)) {
                warn!(%error, "a kill in mid-collection would end it");
            }
            self.has_begun = true;
        }
        let again = record.step == Step::Refused
            && self
                .told
                .is_some_and(|reason| reason.name() == record.reason);
        if !again {
            self.journal.record(record.clone());
            let _ = self.news.send(News::Told(record));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_on_with_waits_for_what_passes_and_for_nothing_else() {
        let refused = |reason| {
            passes(&End::Refused(Refusal {
                reason,
                detail: String::new(),
            }))
        };
        assert!(refused(Reason::Collecting) && refused(Reason::RootsUnreadable));
        assert!(!refused(Reason::NotNeeded) && !refused(Reason::CannotHelp));
        assert!(!passes(&End::Reached) && !passes(&End::Short("stopped")));
    }

    #[test]
    fn what_ran_short_and_who_asked_is_known_after_a_kill() {
        let unended = Unended {
            incident: "gc-Low-7".to_owned(),
            tripped: Tripped {
                bytes: true,
                files: false,
            },
            alert: Some("Low".to_owned()),
        };
        let kept = serde_json::to_string(&Some(&unended)).unwrap();
        let read: Option<Unended> = serde_json::from_str(&kept).unwrap();
        assert_eq!(read, Some(unended));
        // As it was kept before.
        let before = r#"{"incident":"gc-Low-7","tripped":{"bytes":true,"files":false}}"#;
        let read: Option<Unended> = serde_json::from_str(before).unwrap();
        assert!(read.is_some_and(|read| read.tripped.bytes && read.alert.is_none()));
        let read: Option<Unended> = serde_json::from_str("\"gc-Low-7\"").unwrap();
        assert_eq!(read.unwrap().incident, "gc-Low-7");
    }
}
