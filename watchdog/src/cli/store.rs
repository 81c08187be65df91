//! `snowguard store`: what the store holds, what of it is dead, and what deleting that frees.

pub(super) mod kept;
mod roots;
mod why;

use std::{collections::BTreeMap, os::unix::ffi::OsStrExt};

use serde::Serialize;
use snowguard_host::{
    FactError, Layout, NixConf,
    store::{Analysis, FileSystem, RootKind, reclaimable},
};

use super::{Host, arguments, failure::Failure, page::Page, table::Table, text, warn};

/// Said after the names of roots that could not be read.
const UPPER_BOUND: &str = "not every root could be read: some of what is called dead here may be \
                           alive. Nix checks again before it deletes; run as root for the exact set";

/// The numbers of a store.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) file_system: FileSystem,
    /// Valid paths, and the sum of their NAR sizes.
    pub(super) paths: usize,
    pub(super) nar_bytes: u64,
    /// Valid paths whose NAR size the database does not have; they are not in the sums.
    unsized_paths: usize,
    alive_paths: usize,
    /// What `nix-store --gc --print-dead` lists, unknown entries of the directory among it.
    pub(super) dead_paths: usize,
    pub(super) dead_nar_bytes: u64,
    roots: BTreeMap<RootKind, usize>,
    /// False if a root could not be read, so that the dead set is an upper bound.
    pub(super) complete: bool,
    unreadable: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    summary: Summary,
    reclaimable: Reclaimable,
}

/// What deleting all that is dead frees on the disk.
#[derive(Debug, Serialize)]
struct Reclaimable {
    bytes: u64,
    files: u64,
    /// False if a dead entry could not be measured: it frees at least this.
    complete: bool,
}

#[derive(Debug, Serialize)]
struct DeadReport {
    complete: bool,
    unreadable: Vec<String>,
    dead: Vec<String>,
}

pub(super) fn run(
    host: &Host,
    asked: &arguments::Store,
    page: &mut Page<'_>,
) -> Result<(), Failure> {
    match &asked.what {
        Some(_) if asked.dead => {
            return Err(Failure::Usage(
                "--dead asks for the dead paths alone".into(),
            ));
        }
        Some(arguments::Pins::Roots(facts)) => {
            return roots::run(host, asked.facts.json || facts.json, page);
        }
        Some(arguments::Pins::Why(why)) => {
            return why::run(host, why, asked.facts.json || why.facts.json, page);
        }
        None => {}
    }
    let layout = &host.layout;
    let (file_system, analysis) = read(layout)?;
    warn(&analysis.roots.unreadable, UPPER_BOUND);
    if asked.dead {
        return dead(&analysis, asked.facts.json, page);
    }
    let sum = reclaimable(layout, &analysis);
    warn(
        &sum.unread,
        "what these would free is not in the sum: at least so much is freed",
    );
    let report = Report {
        summary: Summary::of(file_system, &analysis),
        reclaimable: Reclaimable {
            bytes: sum.bytes,
            files: sum.files,
            complete: sum.unread.is_empty(),
        },
    };
    if asked.facts.json {
        return page.json(&report);
    }
    page.table(&table(&report), 0)
}

/// Reads a store and its file system.
pub(super) fn read(layout: &Layout) -> Result<(FileSystem, Analysis), FactError> {
    let file_system = FileSystem::read(layout)?;
    let conf = NixConf::read(layout)?;
    Ok((file_system, Analysis::read(layout, &conf)?))
}

impl Summary {
    pub(super) fn of(file_system: FileSystem, analysis: &Analysis) -> Self {
        let mut roots = BTreeMap::new();
        for root in &analysis.roots.found {
            *roots.entry(root.kind).or_default() += 1;
        }
        Self {
            file_system,
            paths: analysis.graph.len(),
            nar_bytes: analysis.nar_bytes(),
            unsized_paths: analysis.graph.unsized_paths(),
            alive_paths: analysis.alive.count(),
            dead_paths: analysis.dead.len() + analysis.strays.len(),
            dead_nar_bytes: analysis.dead_nar_bytes(),
            roots,
            complete: analysis.is_complete(),
            unreadable: messages(&analysis.roots.unreadable),
        }
    }
}

fn messages(errors: &[FactError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn dead(analysis: &Analysis, json: bool, page: &mut Page<'_>) -> Result<(), Failure> {
    let paths = analysis.dead_paths();
    if json {
        return page.json(&DeadReport {
            complete: analysis.is_complete(),
            unreadable: messages(&analysis.roots.unreadable),
            dead: paths.map(|path| text::lossless(&path)).collect(),
        });
    }
    for path in paths {
        page.raw(path.as_bytes())?;
    }
    Ok(())
}

fn table(report: &Report) -> Table {
    let summary = &report.summary;
    let mut table = Table::plain();
    table.pair("File system", file_system(&summary.file_system));
    table.pair("Inodes", inodes(&summary.file_system));
    table.pair(
        "Valid paths",
        format!(
            "{}, {} of NARs",
            summary.paths,
            text::size(summary.nar_bytes)
        ),
    );
    if summary.unsized_paths > 0 {
        table.pair(
            "  of no known size",
            format!("{}, not in the sum", summary.unsized_paths),
        );
    }
    let bound = if summary.complete { "" } else { "at most " };
    table.pair(
        "Dead paths",
        format!(
            "{bound}{}, {} of NARs",
            summary.dead_paths,
            text::size(summary.dead_nar_bytes)
        ),
    );
    let free = &report.reclaimable;
    let bound = match (free.complete, summary.complete) {
        (true, true) => "",
        (true, false) => "at most ",
        (false, true) => "at least ",
        (false, false) => "about ",
    };
    table.pair(
        "Deleting them frees",
        format!(
            "{bound}{} on disk, inodes: {}",
            text::size(free.bytes),
            free.files
        ),
    );
    table.pair("Roots", roots(&summary.roots));
    table
}

/// Size and what is free of it.
pub(super) fn file_system(file_system: &FileSystem) -> String {
    format!(
        "{}, {} available{}",
        text::size(file_system.size_bytes),
        text::size(file_system.avail_bytes),
        share(file_system.avail_bytes, file_system.size_bytes)
    )
}

fn inodes(file_system: &FileSystem) -> String {
    if file_system.files == 0 {
        return "made as needed".to_owned();
    }
    format!(
        "{}, {} free{}",
        file_system.files,
        file_system.files_free,
        share(file_system.files_free, file_system.files)
    )
}

fn share(part: u64, whole: u64) -> String {
    match (u128::from(part) * 100).checked_div(whole.into()) {
        Some(percent) => format!(" ({percent}%)"),
        None => String::new(),
    }
}

fn roots(roots: &BTreeMap<RootKind, usize>) -> String {
    let each: Vec<String> = roots
        .iter()
        .map(|(kind, count)| {
            let kind = kind_words(*kind);
            format!("{count} {kind}")
        })
        .collect();
    if each.is_empty() {
        "none: every path is dead".to_owned()
    } else {
        each.join(", ")
    }
}

/// What the roots of a kind are, after their number.
fn kind_words(kind: RootKind) -> &'static str {
    match kind {
        RootKind::Profile => "of profiles",
        RootKind::Permanent => "permanent",
        RootKind::Indirect => "links such as result",
        RootKind::Runtime => "of running processes",
        RootKind::Temporary => "of builds in flight",
    }
}
