//! Paths of the store, and which of them nothing keeps.

use snowguard_host::FactError;
use tracing::info;

use super::{CollectError, Collector, Context, Name};
use crate::sample::{Family, count, flag};

/// Remembers only what it has logged.
#[derive(Debug, Default)]
pub(super) struct Store {
    incomplete: bool,
}

impl Collector for Store {
    fn name(&self) -> &'static str {
        Name::Store.as_str()
    }

    fn families(&self) -> &'static [&'static str] {
        &[
            "nix_store_paths",
            "nix_store_nar_bytes",
            "nix_store_dead_paths",
            "nix_store_dead_nar_bytes",
            "nix_store_dead_complete",
            "nix_gc_roots_unreadable",
        ]
    }

    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        let store = cx.analysis()?;
        self.log(&store.roots.unreadable);
        let size = |n: usize| count(u64::try_from(n).unwrap_or(u64::MAX));
        Ok(vec![
            Family::gauge(
                "nix_store_paths",
                "Valid paths of the store, by its database",
                size(store.graph.len()),
            ),
            Family::gauge(
                "nix_store_nar_bytes",
                "Sum of the NAR sizes of all valid paths in bytes, by the database; more than their disk space where files are shared",
                count(store.nar_bytes()),
            ),
            Family::gauge(
                "nix_store_dead_paths",
                "Paths that a garbage collection would delete, as nix-store --gc --print-dead lists them, those unknown to the database included; an upper bound where nix_store_dead_complete is 0",
                size(store.dead.len() + store.strays.len()),
            ),
            Family::gauge(
                "nix_store_dead_nar_bytes",
                "Sum of the NAR sizes of the dead valid paths in bytes; an upper bound where nix_store_dead_complete is 0",
                count(store.dead_nar_bytes()),
            ),
            Family::gauge(
                "nix_store_dead_complete",
                "1 if every source of GC roots could be read, so that the dead set is exact; 0 if some could not, as is normal without root's view of other users' processes",
                flag(store.is_complete()),
            ),
            Family::gauge(
                "nix_gc_roots_unreadable",
                "Sources of GC roots (links, processes, files of temporary roots) and of settings (includes of nix.conf) that could not be read",
                size(store.roots.unreadable.len()),
            ),
        ])
    }
}

impl Store {
    /// That roots are unreadable is a fact and no failure, but an operator wants to know which:
    /// said when it begins, as failures are.
    fn log(&mut self, unreadable: &[FactError]) {
        if let (false, Some(first)) = (self.incomplete, unreadable.first()) {
            let sources = unreadable.len();
            info!(sources, %first, "not all GC roots can be read, so the dead set is an upper bound");
        }
        self.incomplete = !unreadable.is_empty();
    }
}
