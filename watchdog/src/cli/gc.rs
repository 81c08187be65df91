//! `snowguard gc`: a collection by hand, with the same plan, the same limits and the same journal
//! as the watchdog's. It asks first, and shows how far it is.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use snowguard_exporter::units::{Amount, ByteSize};
use snowguard_host::store::FileSystem;
use snowguard_watchdog::{
    act::{ballast::Ballast, stop::Stop},
    clock,
    config::Settings,
    gc::{
        alone::Alone,
        hold,
        policy::Policy,
        run::{End, Progress, Report, collect},
    },
    journal::Journal,
    record::Mode,
    watch::{RUN_DIR, collected_host},
};

use super::{Host, arguments, failure::Failure, page::Page, plan, text};

/// Below the run directory: where its lines wait that the journal does not take.
pub(super) const BY_HAND: &str = "by-hand";
/// How often the bar is drawn.
const DRAWN: Duration = Duration::from_millis(200);
const BAR: u64 = 30;
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
    if let Some(refusal) = hold::standing(&state_dir) {
        return Err(Failure::Refused(refusal));
    }
    // Let go of while the question stands: an emergency would not wait for the answer.
    let ballast = Ballast::of(&host.layout, settings.gc.ballast.0);
    let alone = || {
        let alone = Alone::take_giving_way(&run_dir, &ballast);
        alone.map_err(|error| Failure::Refused(error.refusal()))
    };
    drop(alone()?);
    if !asked.plan.facts.json {
        plan::run(host, &asked.plan, page)?;
        page.line("")?;
    }
    if !asked.yes && !agreed(page)? {
        return page.line("Nothing was done");
    }
    page.flush()?;
    let _alone = alone()?;
    let stop = Stop::new();
    heed_signals(&stop)?;
    heed_hold(&stop, state_dir.clone());
    let mut real = collected_host(&host.layout, &settings, plan::good(host, &settings)?, stop);
    let mut bar = Bar::new();
    if io::stderr().is_terminal() {
        real.watcher = Box::new(move |progress| bar.draw(progress));
    }
    let policy = policy(&settings, asked.plan.free, &FileSystem::read(&host.layout)?);
    let incident = format!("gc-by-hand-{}", clock::now_ms());
    // Lines that the disk does not take wait apart from those of the watchdog.
    let mut journal = Journal::at(&state_dir, &run_dir.join(BY_HAND)).rotated(settings.journal);
    let report = collect(&mut real, &policy, &incident, &mut journal);
    journal.flush();
    if io::stderr().is_terminal() {
        let _ = writeln!(io::stderr(), "\r\u{1b}[K");
    }
    conclude(report, &incident, asked.plan.facts.json, page)
}

/// To act is what was asked for; the limits are those of the configuration.
fn policy(settings: &Settings, free: Option<ByteSize>, now: &FileSystem) -> Policy {
    let mut policy = settings.gc.clone();
    policy.mode = Mode::Act;
    if let Some(free) = free {
        let target = now.avail_bytes.saturating_add(free.0);
        policy.target = Amount::Bytes(ByteSize(target));
        policy.target_files_percent = 0;
    }
    policy
}

fn agreed(page: &mut Page<'_>) -> Result<bool, Failure> {
    page.line("Do this now? [y/N]")?;
    page.flush()?;
    let mut answer = String::new();
    // No answer is a no.
    let _ = io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The first SIGINT or SIGTERM ends the collection between two paths.
fn heed_signals(stop: &Stop) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|source| Failure::Io {
        attempt: "listen for signals",
        path: "/proc/self".into(),
        source,
        cure: "",
    })?;
    let stop = stop.clone();
    thread::spawn(move || {
        for _ in signals.forever() {
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

/// How far it is, in one line of the terminal.
struct Bar {
    drawn: Option<Instant>,
}

impl Bar {
    const fn new() -> Self {
        Self { drawn: None }
    }

    fn draw(&mut self, progress: Progress) {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < DRAWN) {
            return;
        }
        self.drawn = Some(Instant::now());
        // A terminal that is gone takes nothing away from the collection.
        let _ = write!(io::stderr(), "\r\u{1b}[K{}", line(progress));
        let _ = io::stderr().flush();
    }
}

fn line(progress: Progress) -> String {
    let (freed, left) = (progress.freed.bytes, progress.remaining.bytes);
    let whole = freed.saturating_add(left).max(1);
    let done = usize::try_from(freed.saturating_mul(BAR) / whole).unwrap_or(0);
    let width = usize::try_from(BAR).unwrap_or(0);
    format!(
        "[{:<width$}] {} freed, {} to go, {} deleted",
        "#".repeat(done.min(width)),
        text::size(freed),
        text::size(left),
        text::number(
            usize::try_from(progress.deleted_paths).unwrap_or(usize::MAX),
            "path",
            "paths"
        ),
    )
}

#[cfg(test)]
mod tests {
    use snowguard_watchdog::gc::policy::Space;

    use super::*;

    #[test]
    fn the_bar_is_as_full_as_the_target_is_near() {
        let bytes = |bytes| Space { bytes, files: 0 };
        let half = line(Progress {
            deleted_paths: 1,
            freed: bytes(5 << 30),
            remaining: bytes(5 << 30),
        });
        assert_eq!(half.matches('#').count(), 15, "{half}");
        assert!(half.contains("5.0 GiB to go, 1 path deleted"), "{half}");
        assert!(line(Progress::default()).starts_with("[  "));
        let over = line(Progress {
            deleted_paths: 9,
            freed: bytes(u64::MAX),
            remaining: bytes(0),
        });
        assert!(over.matches('#').count() <= 30, "{over}");
    }
}
