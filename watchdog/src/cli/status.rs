//! `snowguard status`: how the host is and what the remedies are at, what needs a human first.
//!
//! Each part is read on its own: a store that cannot be read must not hide a latched remedy.

mod remedies;
mod watchdog;

use std::{io, path::Path, time::SystemTime};

use serde::{Serialize, de::DeserializeOwned};
use snowguard_exporter::state_file::{self, StateFile};
use snowguard_host::{FactError, Layout, Profiles, System};
use snowguard_watchdog::{
    config::Settings,
    gc::restraint::{self, History},
    keep::{Keep, KeepError},
    record::Record,
    rollback::machine::Machine,
    watch::RUN_DIR,
};

use super::{
    Host,
    failure::Failure,
    history::Journal,
    page::Page,
    say,
    store::{self, Summary},
    system::{LinkView, SystemView},
    table::Table,
    text,
};
use remedies::{GcView, Latch, ProfileView, RollbackView};
use watchdog::WatchdogView;

/// How many lines of the journal are shown.
const LAST: usize = 5;

#[derive(Debug, Serialize)]
struct Report {
    latched: Vec<Latch>,
    /// True if an operator holds collections by the file `hold` in the state directory.
    held: Option<bool>,
    system: Option<SystemView>,
    store: Option<Summary>,
    gc: GcView,
    rollback: RollbackView,
    /// Profiles that are no system and are rolled back as one.
    profiles: Vec<ProfileView>,
    watchdog: WatchdogView,
    journal: Option<Vec<Record>>,
    /// What could not be read; its part is null or incomplete.
    unreadable: Vec<String>,
}

/// Collects what can be read, and why the rest cannot.
struct Look {
    unreadable: Vec<String>,
    /// True if a whole part could not be read.
    blind: bool,
}

pub(super) fn run(host: &Host, json: bool, page: &mut Page<'_>) -> Result<(), Failure> {
    let settings = host.settings()?;
    let mut look = Look {
        unreadable: Vec::new(),
        blind: false,
    };
    let report = look.at(host, &settings, SystemTime::now());
    for error in &report.unreadable {
        say(&format!("snowguard: warning: {error}"));
    }
    if json {
        page.json(&report)?;
    } else {
        for_people(&report, page)?;
    }
    if look.blind {
        return Err(Failure::Incomplete);
    }
    Ok(())
}

/// The state machine of the rollback remedy as the watchdog kept it; `None` if it never did.
pub(super) fn machine(layout: &Layout, settings: &Settings) -> Result<Option<Machine>, KeepError> {
    kept(layout, settings, "rollback")
}

/// Those of profiles that are no system, by name.
pub(super) fn profiles(
    layout: &Layout,
    settings: &Settings,
) -> Result<Vec<(String, Option<Machine>)>, KeepError> {
    let kept = |name: &String| {
        let machine = kept(layout, settings, &format!("rollback-profile-{name}"))?;
        Ok((name.clone(), machine))
    };
    settings.profiles.keys().map(kept).collect()
}

/// What was done by collections before; `None` if the watchdog never kept it.
pub(super) fn gc_history(
    layout: &Layout,
    settings: &Settings,
) -> Result<Option<History>, KeepError> {
    kept(layout, settings, restraint::KEPT)
}

fn kept<T: DeserializeOwned>(
    layout: &Layout,
    settings: &Settings,
    name: &str,
) -> Result<Option<T>, KeepError> {
    let state_dir = layout.inside(&settings.state_dir);
    Keep::new(name, &state_dir, &layout.inside(RUN_DIR)).load()
}

impl Look {
    fn at(&mut self, host: &Host, settings: &Settings, now: SystemTime) -> Report {
        let layout = &host.layout;
        let machine = self.part(machine(layout, settings));
        let profiles = self.part(profiles(layout, settings)).unwrap_or_default();
        let history = self.part(gc_history(layout, settings));
        let published = match StateFile::read(&layout.inside(state_file::PATH)) {
            Err(error) if error.is_missing() => None,
            outcome => self.part(outcome),
        };
        let system = self.system(layout);
        let store = self.store(layout);
        let hold = layout.inside(&settings.state_dir).join("hold");
        let held = self.part(is_there(&hold));
        let journal = self.part(Journal::read(host)).map(|journal| {
            let skipped = journal.records.len().saturating_sub(LAST);
            journal.records.into_iter().skip(skipped).collect()
        });
        let file_system = store.as_ref().map(|store| &store.file_system);
        let known = machine.as_ref().and_then(Option::as_ref);
        Report {
            latched: remedies::latched(known, &profiles, published.as_ref()),
            profiles: ProfileView::all(settings, profiles),
            held,
            gc: GcView::of(&settings.gc, file_system, history),
            rollback: RollbackView::of(&settings.rollback, machine, published.as_ref()),
            watchdog: WatchdogView::of(published.as_ref(), now),
            system,
            store,
            journal,
            unreadable: std::mem::take(&mut self.unreadable),
        }
    }

    fn system(&mut self, layout: &Layout) -> Option<SystemView> {
        let read = Profiles::read(layout).and_then(|profiles| {
            let view = SystemView::of(System::read(layout, &profiles)?);
            Ok((view, profiles.unreadable))
        });
        let ((view, boot_error), unreadable) = self.part(read)?;
        self.also(boot_error.iter().chain(&unreadable));
        Some(view)
    }

    fn store(&mut self, layout: &Layout) -> Option<Summary> {
        let (file_system, analysis) = self.part(store::read(layout))?;
        self.also(&analysis.roots.unreadable);
        Some(Summary::of(file_system, &analysis))
    }

    /// Notes what is missing from a part that could be read.
    fn also<'a>(&mut self, errors: impl IntoIterator<Item = &'a FactError>) {
        let errors = errors.into_iter().map(ToString::to_string);
        self.unreadable.extend(errors);
    }

    /// The part, or a note of why it cannot be read.
    fn part<T, E: ToString>(&mut self, outcome: Result<T, E>) -> Option<T> {
        outcome
            .map_err(|error| {
                self.blind = true;
                self.unreadable.push(error.to_string());
            })
            .ok()
    }
}

/// Whether an operator holds collections. Whatever lies there, they put it there.
fn is_there(hold: &Path) -> Result<bool, Failure> {
    match hold.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Failure::Io {
            attempt: "look whether collections are held",
            path: hold.to_owned(),
            source,
            cure: "run as root",
        }),
    }
}

fn for_people(report: &Report, page: &mut Page<'_>) -> Result<(), Failure> {
    for latch in &report.latched {
        page.heading(&latch.sentence())?;
    }
    if report.held == Some(true) {
        page.heading("HELD by an operator: no collection is begun")?;
    }
    if let Some(sentence) = report.gc.breaker() {
        page.heading(&sentence)?;
    }
    let profiles = report.profiles.iter().map(|profile| &profile.rollback);
    for closure in std::iter::once(&report.rollback)
        .chain(profiles)
        .filter_map(|rollback| rollback.updater_held.as_ref())
    {
        page.heading(&format!(
            "HELD: the updater may not deploy {closure} again; it may once another system is good, \
             or after `snowguard release`"
        ))?;
    }
    page.heading("System")?;
    let mut table = Table::plain();
    match &report.system {
        Some(system) => {
            for (name, link) in system.links() {
                let sentence = link.map_or_else(
                    || match name {
                        "boot-default" => "cannot be told".to_owned(),
                        _ => "none".to_owned(),
                    },
                    LinkView::sentence,
                );
                table.pair(name, sentence);
            }
            if system.reboot_required == Some(true) {
                table.pair(
                    "reboot",
                    "required: kernel or ramdisk differ from what was booted",
                );
            }
        }
        None => table.pair("links", "could not be read"),
    }
    page.table(&table, 2)?;

    page.heading("Store")?;
    let mut table = Table::plain();
    match &report.store {
        Some(store) => {
            table.pair("disk", store::file_system(&store.file_system));
            let bound = if store.complete { "" } else { "at most " };
            table.pair(
                "paths",
                format!(
                    "{} valid ({}), {bound}{} dead ({})",
                    store.paths,
                    text::size(store.nar_bytes),
                    store.dead_paths,
                    text::size(store.dead_nar_bytes)
                ),
            );
        }
        None => table.pair("store", "could not be read"),
    }
    page.table(&table, 2)?;

    page.heading("Remedies")?;
    let mut table = Table::plain();
    table.row([
        "gc".to_owned(),
        report.gc.mode.to_owned(),
        report.gc.sentence(),
    ]);
    let rollback = &report.rollback;
    table.row([
        "rollback".to_owned(),
        rollback.mode.to_owned(),
        rollback.sentence.clone(),
    ]);
    for profile in &report.profiles {
        table.row([
            format!("rollback of profile {}", profile.name),
            profile.rollback.mode.to_owned(),
            profile.rollback.sentence.clone(),
        ]);
    }
    page.table(&table, 2)?;

    page.heading("Watchdog")?;
    for line in report.watchdog.lines() {
        page.line(&format!("  {line}"))?;
    }

    page.heading("Journal")?;
    let mut table = Table::plain();
    match report.journal.as_deref() {
        None => table.pair("could not be read", ""),
        Some([]) => table.pair("nothing was decided yet", ""),
        Some(records) => {
            for record in records {
                table.row([
                    text::time_ms(record.at_ms),
                    record.remedy.name().to_owned(),
                    record.step.name().to_owned(),
                    record.message.clone(),
                ]);
            }
        }
    }
    page.table(&table, 2)
}
