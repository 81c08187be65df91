//! `snowguard plan gc`: what a collection would do now. Nothing is touched and no lock is taken.

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::Serialize;
use serde_json::json;
use snowguard_exporter::units::ByteSize;
use snowguard_host::{
    Ages, FactError, Layout, LeftOverKind, LeftOvers, STORE_DIR,
    store::{FileSystem, Footprint},
};
use snowguard_watchdog::{
    clock,
    config::Settings,
    gc::{
        facts::{Facts, Scales},
        ladder::{LeftBehind, Tier},
        old_menu::OldMenuKept,
        plan::{Plan, plan},
        policy::{Policy, Space},
        run::Agreed,
    },
    watch::RUN_DIR,
};

use super::{
    Host, arguments,
    failure::Failure,
    page::Page,
    say,
    status::{machine, profiles},
    table::Table,
    text,
};

/// How many of the largest entries are named.
const LARGEST: usize = 10;

/// The host's own scales, with a memory: what was weighed for the plan can be named by size.
struct Remembering<'a> {
    layout: &'a Layout,
    bytes: RefCell<HashMap<OsString, u64>>,
}

impl Scales for Remembering<'_> {
    fn weigh(&self, name: &OsStr) -> Result<Footprint, FactError> {
        let footprint = self.layout.weigh(name)?;
        let bytes = footprint.bytes();
        self.bytes.borrow_mut().insert(name.to_owned(), bytes);
        Ok(footprint)
    }

    fn arrived(&self, name: &OsStr) -> Result<Option<SystemTime>, FactError> {
        self.layout.arrived(name)
    }

    fn left_overs(&self, ages: Ages, now: SystemTime) -> LeftOvers {
        self.layout.left_overs(ages, now)
    }

    fn made(&self, link: &Path) -> Result<Option<SystemTime>, FactError> {
        self.layout.made(link)
    }

    fn may_go(&self, link: &Path, profile: Option<&Path>) -> bool {
        self.layout.may_go(link, profile)
    }
}

#[derive(Debug, Serialize)]
struct Report {
    mode: &'static str,
    file_system: FileSystem,
    need: Space,
    promised: Space,
    reaches_target: bool,
    dead: DeadView,
    left_overs: LeftOversView,
    /// What goes before all else where Nix has no room to work.
    room: LeftOversView,
    generations: Vec<VictimView>,
    roots: Vec<RootView>,
    kept: String,
}

#[derive(Debug, Serialize)]
struct DeadView {
    entries: usize,
    frees: Space,
    /// How many of them are missed how much once they are gone.
    missed: BTreeMap<Tier, usize>,
    /// Dead, but they stay, because they came only now.
    recent: usize,
    largest: Vec<Entry>,
    /// All of them, in the order of deletion.
    paths: Vec<String>,
    /// Dead, but they stay, because they could not be measured.
    unmeasured: Vec<String>,
}

#[derive(Debug, Serialize)]
struct LeftOversView {
    frees: Space,
    /// In the order of removal.
    build_directories: Vec<Entry>,
    logs: Vec<Entry>,
    /// Why there may be more.
    unreadable: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RootView {
    /// The link below `gcroots/auto`, which goes.
    root: String,
    /// The link that it names, which stays.
    link: String,
    made: String,
    store_path: String,
    /// After all that is given up before it.
    frees: Space,
}

#[derive(Debug, Serialize)]
struct Entry {
    /// Bytes on disk; of a file with further links, its share.
    bytes: u64,
    path: String,
}

#[derive(Debug, Serialize)]
struct VictimView {
    profile: String,
    number: u64,
    created: String,
    store_path: String,
    /// After all that is given up before it.
    frees: Space,
}

pub(super) fn run(
    host: &Host,
    asked: &arguments::PlanGc,
    page: &mut Page<'_>,
) -> Result<(), Failure> {
    let settings = host.settings()?;
    let made = match make(host, &settings, asked.free) {
        Err(Failure::Refused(refusal)) if asked.facts.json => {
            let (reason, detail) = (refusal.reason.name(), &refusal.detail);
            page.json(&json!({"refused": {"reason": reason, "detail": detail}}))?;
            return Err(Failure::Refused(refusal));
        }
        other => other?,
    };
    if asked.facts.json {
        return page.json(&made.report);
    }
    made.show(page)
}

/// A plan as it was made, to be shown.
pub(super) struct Made {
    report: Report,
    is_asked: bool,
    /// All that it gives up, for who agrees to it.
    pub(super) agreed: Agreed,
}

impl Made {
    /// Shows it to people.
    pub(super) fn show(&self, page: &mut Page<'_>) -> Result<(), Failure> {
        for_people(&self.report, self.is_asked, page)
    }
}

/// Makes the plan, and says on standard error what could not be looked at for it.
pub(super) fn make(
    host: &Host,
    settings: &Settings,
    free: Option<ByteSize>,
) -> Result<Made, Failure> {
    let good = good(host, settings)?;
    let mut facts = Facts::read(&host.layout, &good, clock::now())?;
    let state_dir = host.layout.inside(&settings.state_dir);
    let mut menu = OldMenuKept::at(&state_dir, &host.layout.inside(RUN_DIR));
    if facts.boot_menu_stays.is_some() {
        // Otherwise it is written before anything goes.
        facts.named_by_menu = menu.load()?.named;
    }
    let scales = Remembering {
        layout: &host.layout,
        bytes: RefCell::default(),
    };
    let policy = policy(settings, free, &facts.file_system);
    let plan = plan(&facts, &policy, &scales).map_err(Failure::Refused)?;
    for error in &plan.dead.unmeasured {
        say(&format!("snowguard: warning: {error}; it stays"));
    }
    for error in &plan.left_overs.unreadable {
        say(&format!("snowguard: warning: {error}; it stays"));
    }
    for error in &plan.dead.unordered {
        say(&format!(
            "snowguard: warning: {error}; the order is worse for it"
        ));
    }
    let agreed = Agreed::to(&plan);
    let bytes = scales.bytes.into_inner();
    Ok(Made {
        report: report(settings, facts.file_system, plan, &bytes),
        is_asked: free.is_some(),
        agreed,
    })
}

/// The limits are those of the configuration; so much is to be freed, if somebody says how much.
pub(super) fn policy(settings: &Settings, free: Option<ByteSize>, now: &FileSystem) -> Policy {
    free.map_or_else(
        || settings.gc.aimed_at(settings.gc.tripped(now)),
        |free| settings.gc.to_free(free, now),
    )
}

/// Systems that are known good: the same two that the watchdog keeps, the last one and what it
/// would roll back to.
pub(super) fn good(host: &Host, settings: &Settings) -> Result<Vec<PathBuf>, Failure> {
    let system = machine(&host.layout, settings)?;
    let profiles = profiles(&host.layout, settings)?;
    let machines = system
        .into_iter()
        .chain(profiles.into_iter().filter_map(|(_, machine)| machine));
    let mut good = Vec::new();
    for machine in machines {
        let newest = machine.good().iter().rev().take(2);
        good.extend(newest.map(|good| PathBuf::from(&good.store_path)));
    }
    Ok(good)
}

fn report(
    settings: &Settings,
    file_system: FileSystem,
    plan: Plan,
    bytes: &HashMap<OsString, u64>,
) -> Report {
    let path = |name: &OsString| format!("{STORE_DIR}/{}", text::lossless(name));
    let mut by_size: Vec<(u64, &OsString)> = (plan.dead.groups.iter().flatten())
        .map(|name| (bytes.get(name).copied().unwrap_or(0), name))
        .collect();
    by_size.sort_by_key(|(bytes, name)| (Reverse(*bytes), *name));
    let largest = by_size.iter().take(LARGEST).map(|(bytes, name)| Entry {
        bytes: *bytes,
        path: path(name),
    });
    let (left_overs, room) = (
        left_overs_view(&plan.left_overs),
        left_overs_view(&plan.room),
    );
    Report {
        mode: text::mode(settings.gc.mode),
        file_system,
        need: plan.missing(),
        promised: plan.promised,
        reaches_target: plan.reaches_target(),
        dead: DeadView {
            entries: plan.dead_entries(),
            frees: plan.dead.frees,
            missed: plan.dead.tiers,
            recent: plan.dead.recent,
            largest: largest.collect(),
            paths: plan.dead.groups.iter().flatten().map(path).collect(),
            unmeasured: plan.dead.unmeasured,
        },
        left_overs,
        room,
        roots: (plan.roots.iter())
            .map(|root| RootView {
                root: text::lossless(&root.auto),
                link: text::lossless(&root.link),
                made: text::time(root.made),
                store_path: format!("{STORE_DIR}/{}", root.keeps),
                frees: root.frees,
            })
            .collect(),
        generations: (plan.victims.into_iter())
            .map(|victim| VictimView {
                profile: text::lossless(&victim.profile),
                number: victim.id.number,
                created: text::time(victim.id.created),
                store_path: text::lossless(&victim.id.target),
                frees: victim.frees,
            })
            .collect(),
        kept: plan.kept,
    }
}

fn left_overs_view(left: &LeftBehind) -> LeftOversView {
    let of_kind = |kind: LeftOverKind| {
        let chosen = left.chosen.iter();
        let entries = chosen.filter(|left| left.kind == kind).map(|left| Entry {
            bytes: left.bytes,
            path: text::lossless(&left.path),
        });
        entries.collect()
    };
    LeftOversView {
        frees: left.frees,
        build_directories: of_kind(LeftOverKind::BuildDirectory),
        logs: of_kind(LeftOverKind::Log),
        unreadable: left.unreadable.clone(),
    }
}

fn for_people(report: &Report, is_asked: bool, page: &mut Page<'_>) -> Result<(), Failure> {
    let mut head = Table::plain();
    let why = if is_asked {
        "as asked for"
    } else {
        "missing to the target"
    };
    head.pair("Needed", format!("{}, {why}", space(report.need)));
    let missing = report.need.minus(report.promised);
    let verdict = if report.reaches_target {
        match missing {
            Space::NONE => "covers it".to_owned(),
            crumb => format!("covers it but for {}", space(crumb)),
        }
    } else {
        format!("{} short of it", space(missing))
    };
    head.pair("Promised", format!("{}, {verdict}", space(report.promised)));
    head.pair("Never touched", &*report.kept);
    let mode = match report.mode {
        "act" => "act: the watchdog does this when the alert fires",
        "observe" => "observe: the watchdog plans this when the alert fires, and does nothing",
        _ => "off: the watchdog does not look",
    };
    head.pair("Mode", mode);
    page.table(&head, 0)?;

    page.line("")?;
    if let Some(what) = left_overs_named(&report.room) {
        let frees = space(report.room.frees);
        page.line(&format!(
            "If Nix has no room to work, first remove {what}: frees {frees}"
        ))?;
        page.line("")?;
    }
    let dead = &report.dead;
    let entries = text::number(dead.entries, "dead entry", "dead entries");
    page.heading(&format!("1. Delete {entries}: frees {}", space(dead.frees)))?;
    let mut table = Table::new(&["ON DISK", "PATH"], &[0]);
    for entry in &dead.largest {
        table.row([text::size(entry.bytes), entry.path.clone()]);
    }
    if !dead.largest.is_empty() {
        page.table(&table, 2)?;
    }
    let further = dead.entries.saturating_sub(dead.largest.len());
    if further > 0 {
        page.line(&format!("  and {further} smaller"))?;
    }
    if !dead.missed.is_empty() {
        let missed: Vec<String> = (dead.missed.iter())
            .map(|(tier, count)| format!("{count} {}", missed(*tier)))
            .collect();
        page.line(&format!("  To have them again: {}", missed.join(", ")))?;
    }
    if dead.recent > 0 {
        let entries = text::number(dead.recent, "dead entry stays", "dead entries stay");
        page.line(&format!("  {entries}, too young for `gc.keep_recent`"))?;
    }

    page.line("")?;
    left_overs_for_people(&report.left_overs, page)?;
    page.line("")?;
    generations_for_people(&report.generations, page)?;
    roots_for_people(&report.roots, page)
}

fn left_overs_for_people(left: &LeftOversView, page: &mut Page<'_>) -> Result<(), Failure> {
    let Some(what) = left_overs_named(left) else {
        return page.heading("2. Remove nothing that builds left");
    };
    page.heading(&format!(
        "2. Remove {what}, if that does not suffice: frees {}",
        space(left.frees)
    ))?;
    let directories = &left.build_directories;
    let mut table = Table::new(&["ON DISK", "DIRECTORY"], &[0]);
    for entry in directories.iter().take(LARGEST) {
        table.row([text::size(entry.bytes), entry.path.clone()]);
    }
    if !directories.is_empty() {
        page.table(&table, 2)?;
    }
    Ok(())
}

/// How many there are of what builds left, if there is any.
fn left_overs_named(left: &LeftOversView) -> Option<String> {
    let (directories, logs) = (left.build_directories.len(), left.logs.len());
    let mut what = Vec::new();
    if directories > 0 {
        let (one, many) = ("left-over build directory", "left-over build directories");
        what.push(text::number(directories, one, many));
    }
    if logs > 0 {
        what.push(text::number(logs, "old build log", "old build logs"));
    }
    (!what.is_empty()).then(|| what.join(" and "))
}

/// Said only where it was asked for.
fn roots_for_people(roots: &[RootView], page: &mut Page<'_>) -> Result<(), Failure> {
    if roots.is_empty() {
        return Ok(());
    }
    page.line("")?;
    let count = text::number(roots.len(), "stale automatic root", "stale automatic roots");
    page.heading(&format!("4. Give up {count}, if that does not suffice"))?;
    let mut table = Table::new(&["LINK", "MADE", "FREES"], &[]);
    for root in roots {
        table.row([root.link.clone(), root.made.clone(), space(root.frees)]);
    }
    page.table(&table, 2)
}

fn generations_for_people(given_up: &[VictimView], page: &mut Page<'_>) -> Result<(), Failure> {
    if given_up.is_empty() {
        return page.heading("3. Give up no generation");
    }
    let count = text::number(given_up.len(), "generation", "generations");
    page.heading(&format!("3. Give up {count}, if that does not suffice"))?;
    let mut table = Table::new(&["PROFILE", "GENERATION", "CREATED", "FREES"], &[1]);
    for victim in given_up {
        table.row([
            victim.profile.clone(),
            victim.number.to_string(),
            victim.created.clone(),
            space(victim.frees),
        ]);
    }
    page.table(&table, 2)
}

/// What it would take to have entries of a tier again.
const fn missed(tier: Tier) -> &'static str {
    match tier {
        Tier::Stray => "left over, in no database",
        Tier::Download => "from a substituter",
        Tier::Fetch => "from elsewhere",
        Tier::Build => "by a build",
        Tier::LongBuild => "by a long build",
    }
}

/// Inodes are named where they matter: btrfs has none to count.
fn space(space: Space) -> String {
    match space {
        Space { bytes, files: 0 } => text::size(bytes),
        Space { bytes: 0, files } => inodes(files),
        Space { bytes, files } => format!("{} and {}", text::size(bytes), inodes(files)),
    }
}

fn inodes(files: u64) -> String {
    format!("{files} {}", if files == 1 { "inode" } else { "inodes" })
}
