//! `snowguard store roots`: who pins what, the largest first.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use snowguard_host::store::{Holder, Retained, Root, RootKind, Share, StaleLink, StaleReason};

use super::{kept::Kept, messages};
use crate::cli::{Host, failure::Failure, page::Page, table::Table, text, warn, warn_of_unsized};

/// Said after the names of roots that could not be read.
const UPPER_BOUND: &str = "not every root could be read: what one of those here keeps alone may be \
                           less than is said; run as root for the exact figures";

#[derive(Debug, Serialize)]
struct Report {
    kinds: BTreeMap<RootKind, KindView>,
    roots: Vec<HolderView>,
    stale: Vec<StaleView>,
    /// False if a root could not be read, so that each share is an upper bound.
    complete: bool,
    unreadable: Vec<String>,
    /// Paths of no known size, which count as nothing in every sum.
    unsized_paths: usize,
}

/// All roots of one kind.
#[derive(Debug, Serialize)]
struct KindView {
    /// Links, files and processes.
    roots: u64,
    /// What they keep and no other kind does.
    together: Share,
}

/// A link, a file or a process, with all that it points at.
#[derive(Debug, Serialize)]
struct HolderView {
    root: String,
    /// The link below `gcroots` or `profiles` that leads to it, if that is another one.
    via: Option<String>,
    kind: RootKind,
    origin: &'static str,
    /// When the link was made.
    made: Option<String>,
    store_paths: Vec<String>,
    /// What it keeps and no other root does.
    alone: Share,
}

#[derive(Debug, Serialize)]
struct StaleView {
    link: String,
    target: String,
    kind: RootKind,
    reason: StaleReason,
    made: Option<String>,
}

pub(super) fn run(host: &Host, json: bool, page: &mut Page<'_>) -> Result<(), Failure> {
    let kept = Kept::read(&host.layout)?;
    warn(&kept.roots.unreadable, UPPER_BOUND);
    warn_of_unsized(kept.graph.unsized_paths());
    let report = report(host, &kept);
    if json {
        return page.json(&report);
    }
    for_people(&report, page)
}

fn report(host: &Host, kept: &Kept) -> Report {
    let Kept { graph, keep, roots } = kept;
    let mut by_holder: BTreeMap<(RootKind, PathBuf), Vec<&Root>> = BTreeMap::new();
    for root in &roots.found {
        let key = (root.kind, root.holder(&host.layout));
        by_holder.entry(key).or_default().push(root);
    }
    // The same link can be found as one of two kinds, as a generation that `gcroots` has a link to
    // as well: it is the one that it was found as first.
    let mut first_kind: BTreeMap<&PathBuf, RootKind> = BTreeMap::new();
    for (kind, holder) in by_holder.keys() {
        first_kind.entry(holder).or_insert(*kind);
    }
    let first_kind: BTreeMap<PathBuf, RootKind> = first_kind
        .into_iter()
        .map(|(holder, kind)| (holder.clone(), kind))
        .collect();
    by_holder.retain(|(kind, holder), _| first_kind.get(holder) == Some(kind));

    let holders: Vec<Holder> = by_holder
        .iter()
        .map(|((kind, _), roots)| Holder {
            paths: roots.iter().map(|root| root.path).collect(),
            group: *kind as usize,
        })
        .collect();
    let retained = Retained::of(graph, *keep, [], &holders);
    let together = retained.by_group(graph);
    let mut kinds: BTreeMap<RootKind, KindView> = BTreeMap::new();
    let mut views = Vec::new();
    for (((kind, holder), roots), alone) in by_holder.iter().zip(retained.by_holder(graph)) {
        let of_kind = kinds.entry(*kind).or_insert_with(|| KindView {
            roots: 0,
            together: together.get(*kind as usize).copied().unwrap_or_default(),
        });
        of_kind.roots += 1;
        let mut store_paths: Vec<String> = roots
            .iter()
            .map(|root| graph.store_path(root.path))
            .collect();
        store_paths.sort();
        store_paths.dedup();
        let first = roots.first();
        views.push(HolderView {
            root: text::lossless(holder),
            via: first.and_then(|root| root.via.as_ref()).map(text::lossless),
            kind: *kind,
            origin: first.map_or("", |root| root.origin().word()),
            made: first.and_then(|root| root.made).map(text::time),
            store_paths,
            alone,
        });
    }
    views.sort_by(|a, b| {
        (b.alone.nar_bytes, a.kind, &a.root).cmp(&(a.alone.nar_bytes, b.kind, &b.root))
    });
    Report {
        kinds,
        roots: views,
        stale: roots.stale.iter().map(stale).collect(),
        complete: roots.unreadable.is_empty(),
        unreadable: messages(&roots.unreadable),
        unsized_paths: graph.unsized_paths(),
    }
}

fn stale(link: &StaleLink) -> StaleView {
    StaleView {
        link: text::lossless(&link.link),
        target: text::lossless(&link.target),
        kind: link.kind,
        reason: link.reason,
        made: link.made.map(text::time),
    }
}

fn for_people(report: &Report, page: &mut Page<'_>) -> Result<(), Failure> {
    let bound = if report.complete { "" } else { "<= " };
    let size = |share: &Share| format!("{bound}{}", text::size(share.nar_bytes));
    let mut table = Table::new(&["ALONE (NAR)", "IS", "MADE", "ROOT", "STORE PATH"], &[0]);
    for root in &report.roots {
        let further = match root.store_paths.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        table.row([
            size(&root.alone),
            root.origin.to_owned(),
            root.made.clone().unwrap_or_default(),
            root.root.clone(),
            root.store_paths.first().cloned().unwrap_or_default() + &further,
        ]);
    }
    for link in &report.stale {
        let why = match link.reason {
            StaleReason::TargetGone => "is gone",
            StaleReason::NotValid => "is not valid",
            StaleReason::LeadsElsewhere => "is no link into the store",
        };
        table.row([
            "-".to_owned(),
            "stale".to_owned(),
            link.made.clone().unwrap_or_default(),
            link.link.clone(),
            format!("{} {why}", link.target),
        ]);
    }
    page.table(&table, 0)?;
    if report.roots.is_empty() {
        return page.line("no roots: every path is dead");
    }
    page.line("")?;
    let mut table = Table::new(&["TOGETHER (NAR)", "ROOTS", "KIND"], &[0, 1]);
    for (kind, view) in &report.kinds {
        let name = super::kind_words(*kind).to_owned();
        table.row([size(&view.together), view.roots.to_string(), name]);
    }
    page.table(&table, 0)
}
