//! `snowguard store why`: what keeps a path.

use serde::Serialize;
use snowguard_host::store::{Chain, Edge, Why, lookup};

use super::{
    kept::{Kept, RootView},
    messages,
};
use crate::cli::{Host, arguments, failure::Failure, page::Page, table::Table, text, warn};

/// Said after the names of roots that could not be read.
const LOWER_BOUND: &str = "not every root could be read: more of them may keep this path; run as \
                           root for all of them";

#[derive(Debug, Serialize)]
struct Report {
    store_path: String,
    alive: bool,
    /// A shortest chain; `null` for a dead path.
    chain: Option<ChainView>,
    /// All roots that reach the path.
    roots: Vec<RootView>,
    /// False if a root could not be read, so that a path that is called dead may be alive.
    complete: bool,
    unreadable: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ChainView {
    root: RootView,
    steps: Vec<StepView>,
}

#[derive(Debug, Serialize)]
struct StepView {
    /// How the one before keeps it; `null` for what the root points at.
    by: Option<Edge>,
    store_path: String,
}

pub(super) fn run(
    host: &Host,
    asked: &arguments::Why,
    json: bool,
    page: &mut Page<'_>,
) -> Result<(), Failure> {
    let kept = Kept::read(&host.layout)?;
    let path = lookup(&host.layout, &kept.graph, &asked.path)?;
    let why = Why::of(&kept.graph, kept.keep, &kept.roots, path);
    warn(&kept.roots.unreadable, LOWER_BOUND);
    let view = |place: &usize| RootView::of(&kept.roots.found[*place], &kept.graph);
    if json {
        let chain = why.chain.as_ref();
        return page.json(&Report {
            store_path: kept.graph.store_path(path),
            alive: chain.is_some(),
            chain: chain.map(|chain| ChainView {
                root: view(&chain.root),
                steps: steps(&kept, chain),
            }),
            roots: why.roots.iter().map(view).collect(),
            complete: kept.roots.unreadable.is_empty(),
            unreadable: messages(&kept.roots.unreadable),
        });
    }
    let Some(chain) = &why.chain else {
        let path = kept.graph.store_path(path);
        return page.line(&if kept.roots.unreadable.is_empty() {
            format!("nothing keeps {path}: it is dead, and a collection deletes it")
        } else {
            format!("no root that could be read keeps {path}: it is dead if no other does")
        });
    };
    let root = &kept.roots.found[chain.root];
    page.line(&format!(
        "{} ({})",
        text::path(&root.link),
        root.origin().word()
    ))?;
    let mut table = Table::plain();
    for step in steps(&kept, chain) {
        let by = match step.by {
            None => "points at",
            Some(Edge::Reference) => "refers to",
            Some(Edge::Deriver) => "was built by",
            Some(Edge::Output) => "has the output",
        };
        table.pair(by, step.store_path);
    }
    page.table(&table, 2)?;
    let reach = text::number(why.roots.len(), "root reaches", "roots reach");
    if asked.all {
        page.line(&format!("{reach} it:"))?;
        let mut table = Table::plain();
        for place in &why.roots {
            let root = &kept.roots.found[*place];
            table.row([
                root.origin().word().to_owned(),
                text::lossless(&root.link),
                kept.graph.store_path(root.path),
            ]);
        }
        return page.table(&table, 2);
    }
    let hint = if why.roots.len() > 1 {
        "; --all lists them"
    } else {
        ""
    };
    page.line(&format!("{reach} it{hint}"))
}

fn steps(kept: &Kept, chain: &Chain) -> Vec<StepView> {
    let steps = chain.steps.iter().map(|step| StepView {
        by: step.by,
        store_path: kept.graph.store_path(step.path),
    });
    steps.collect()
}
