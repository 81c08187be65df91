//! `snowguard gc`: a collection by hand, with the same plan, the same limits and the same journal
//! as the watchdog's. It asks first, and shows how far it is.

mod bar;

use std::{
    io::{self, BufRead as _, BufWriter, IsTerminal as _},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use serde_json::json;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};
use snowguard_exporter::logging;
use snowguard_host::store::FileSystem;
use snowguard_watchdog::{
    act::{ballast::Ballast, stop::Stop},
    clock,
    config::Settings,
    gc::{
        alone::Alone,
        hold,
        host::RealHost,
        plan::Refusal,
        policy::{Policy, Space},
        run::{End, Report, collect_agreed, wait_for_others},
    },
    journal::Journal,
    record::{Mode, Record, Recorder as _, Remedy, Step},
    watch::{BY_HAND, RUN_DIR, collected_host},
};

use self::bar::Bar;
use super::{Host, arguments, failure::Failure, page::Page, plan, text};

/// How often a hold is looked for.
const HELD: Duration = Duration::from_millis(200);

pub(super) fn run(host: &Host, asked: &arguments::Gc, page: &mut Page<'_>) -> Result<(), Failure> {
    if asked.dry_run {
        return plan::run(host, &asked.plan, page);
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::NotRoot("collect garbage"));
    }
    if !asked.yes && !io::stdin().is_terminal() {
        return Err(Failure::NobodyToAsk);
    }
    let settings = host.settings()?;
    let state_dir = host.layout.inside(&settings.state_dir);
    let run_dir = host.layout.inside(RUN_DIR);
    let by_hand = ByHand {
        host,
        asked,
        state_dir: state_dir.clone(),
        run_dir: run_dir.clone(),
        incident: format!("gc-by-hand-{}", clock::now_ms()),
        settings: &settings,
    };
    // Lines that the disk does not take wait apart from those of the watchdog.
    let mut journal = Journal::at(&state_dir, &run_dir.join(BY_HAND))
        .rotated(settings.journal)
        .taken_up();
    let outcome = by_hand.collect(page, &mut journal);
    journal.flush();
    logging::draw("");
    let report = match outcome {
        Ok(Some(report)) => report,
        Ok(None) if asked.plan.facts.json => return declined(&by_hand.incident, page),
        Ok(None) => return page.line("Nothing was done"),
        Err(Failure::Refused(refusal)) => refused(refusal),
        Err(failure) => return Err(failure),
    };
    conclude(report, &by_hand.incident, asked.plan.facts.json, page)
}

/// One collection that somebody asks for.
struct ByHand<'a> {
    host: &'a Host,
    asked: &'a arguments::Gc,
    settings: &'a Settings,
    state_dir: PathBuf,
    run_dir: PathBuf,
    incident: String,
}

impl ByHand<'_> {
    /// `None` if it is not agreed to. Each refusal is in the journal.
    fn collect(
        &self,
        page: &mut Page<'_>,
        journal: &mut Journal,
    ) -> Result<Option<Report>, Failure> {
        let (made, stop) = match self.prepare(page, journal) {
            Ok(Some(shown)) => shown,
            Err(Failure::Refused(refusal)) => return Err(self.refuse(journal, refusal)),
            Ok(None) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let _alone = match self.alone() {
            Ok(alone) => alone,
            Err(refusal) => return Err(self.refuse(journal, refusal)),
        };
        let mut real = self.real(stop)?;
        if let Some(mut bar) = Bar::on_terminal() {
            real.watcher = Box::new(move |progress| bar.draw(progress));
        }
        let policy = self.policy()?;
        let agreed = &made.agreed;
        let report = collect_agreed(&mut real, &policy, &self.incident, journal, agreed);
        Ok(Some(report))
    }

    /// Waits for others, makes the plan, shows it, and asks. `None` if the answer is no.
    fn prepare(
        &self,
        page: &mut Page<'_>,
        journal: &mut Journal,
    ) -> Result<Option<(plan::Made, Stop)>, Failure> {
        if let Some(refusal) = hold::standing(&self.state_dir) {
            return Err(Failure::Refused(refusal));
        }
        // Let go of while the question stands: an emergency would not wait for the answer.
        drop(self.alone().map_err(Failure::Refused)?);
        let stop = Stop::new();
        let is_asking = Arc::new(AtomicBool::new(false));
        heed_signals(&stop, is_asking.clone())?;
        heed_hold(&stop, self.state_dir.clone());
        let (mut real, policy) = (self.real(stop.clone())?, self.policy()?);
        wait_for_others(&mut real, &policy, &self.incident, journal).map_err(Failure::Refused)?;
        let made = plan::make(self.host, self.settings, self.asked.plan.free)?;
        is_asking.store(true, Relaxed);
        let agreed = self.is_agreed(&made, page)?;
        is_asking.store(false, Relaxed);
        Ok(agreed.then_some((made, stop)))
    }

    /// Shows the plan and asks, where somebody is to be asked. Standard output is for the answer
    /// alone where that is JSON.
    fn is_agreed(&self, made: &plan::Made, page: &mut Page<'_>) -> Result<bool, Failure> {
        if !self.asked.plan.facts.json {
            made.show(page)?;
            page.line("")?;
            let agreed = self.asked.yes || agreed(page)?;
            page.flush()?;
            return Ok(agreed);
        }
        if self.asked.yes {
            return Ok(true);
        }
        let mut out = BufWriter::new(io::stderr());
        let mut page = Page::new(&mut out, false);
        made.show(&mut page)?;
        page.line("")?;
        agreed(&mut page)
    }

    fn alone(&self) -> Result<Alone, Refusal> {
        let ballast = Ballast::of(&self.host.layout, self.settings.gc.ballast.0);
        Alone::take_giving_way(&self.run_dir, &ballast).map_err(|error| error.refusal())
    }

    fn real(&self, stop: Stop) -> Result<RealHost, Failure> {
        let good = plan::good(self.host, self.settings)?;
        Ok(collected_host(&self.host.layout, self.settings, good, stop))
    }

    /// To act is what was asked for.
    fn policy(&self) -> Result<Policy, Failure> {
        let now = FileSystem::read(&self.host.layout)?;
        Ok(Policy {
            mode: Mode::Act,
            ..plan::policy(self.settings, self.asked.plan.free, &now)
        })
    }

    fn refuse(&self, journal: &mut Journal, refusal: Refusal) -> Failure {
        journal.record(Record {
            at_ms: clock::now_ms(),
            incident: self.incident.clone(),
            remedy: Remedy::Gc,
            mode: Mode::Act,
            step: Step::Refused,
            reason: refusal.reason.name().to_owned(),
            message: refusal.detail.clone(),
            facts: json!(null),
        });
        Failure::Refused(refusal)
    }
}

fn declined(incident: &str, page: &mut Page<'_>) -> Result<(), Failure> {
    page.json(&json!({
        "incident": incident,
        "end": "declined",
        "detail": "nothing was done",
        "promised": Space::NONE,
        "freed": Space::NONE,
    }))
}

fn refused(refusal: Refusal) -> Report {
    Report {
        detail: refusal.detail.clone(),
        end: End::Refused(refusal),
        promised: Space::NONE,
        freed: Space::NONE,
    }
}

fn agreed(page: &mut Page<'_>) -> Result<bool, Failure> {
    page.line("Do this now? [y/N]")?;
    page.flush()?;
    let mut answer = String::new();
    // No answer is a no.
    let _ = io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The first SIGINT, SIGTERM or SIGHUP (the terminal is gone) ends the collection between two
/// paths. While the question stands nothing goes on that would have to end.
fn heed_signals(stop: &Stop, is_asking: Arc<AtomicBool>) -> Result<(), Failure> {
    let listening = Signals::new([SIGINT, SIGTERM, SIGHUP]);
    let mut signals = listening.map_err(|source| Failure::Io {
        attempt: "listen for signals",
        path: "/proc/self".into(),
        source,
        cure: "",
    })?;
    let stop = stop.clone();
    thread::spawn(move || {
        for signal in signals.forever() {
            if is_asking.load(Relaxed) {
                // Not done, the question stands; its answer is then heeded with the signal.
                let _ = emulate_default_handler(signal);
            }
            stop.ask();
        }
    });
    Ok(())
}

/// An operator's hold ends it, too.
fn heed_hold(stop: &Stop, state_dir: PathBuf) {
    let stop = stop.clone();
    thread::spawn(move || {
        while hold::standing(&state_dir).is_none() {
            thread::sleep(HELD);
        }
        stop.ask();
    });
}

fn conclude(
    report: Report,
    incident: &str,
    as_json: bool,
    page: &mut Page<'_>,
) -> Result<(), Failure> {
    if as_json {
        let end = match &report.end {
            End::Short(reason) => reason,
            End::Refused(refusal) => refusal.reason.name(),
            other => other.name(),
        };
        page.json(&json!({
            "incident": incident,
            "end": end,
            "detail": report.detail,
            "promised": report.promised,
            "freed": report.freed,
        }))?;
    }
    let freed = text::size(report.freed.bytes);
    match report.end {
        End::Reached | End::Observed if as_json => Ok(()),
        End::Reached | End::Observed => page.line(&format!(
            "Freed {freed}; `snowguard history --incident {incident}` tells how"
        )),
        End::Refused(refusal) => Err(Failure::Refused(refusal)),
        End::Short(reason) => Err(Failure::Short {
            freed,
            reason,
            detail: report.detail,
        }),
    }
}
