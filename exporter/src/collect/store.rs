//! Paths of the store, and which of them nothing keeps.

use snowguard_host::FactError;
use tracing::info;

use super::{CollectError, Collector, Context, Name};
use crate::{
    sample::{Family, count, flag, seconds},
    state_file::{self, StateFile},
    weigh::{Answer, Weigher, Weighing},
};

const RECLAIMABLE: &str = "nix_store_reclaimable_bytes";

/// Remembers what it has logged, and what the dead weigh.
#[derive(Debug)]
pub(super) struct Store {
    incomplete: bool,
    weigher: Weigher,
    /// Whether what the watchdog says of the dead will take the place of what is found here.
    heeds_watchdog: bool,
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
            RECLAIMABLE,
            "nix_store_reclaimable_files",
            "nix_store_reclaimable_complete",
            "nix_store_reclaimable_timestamp_seconds",
        ]
    }

    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        let store = cx.analysis()?;
        self.log(&store.roots.unreadable);
        let answer = if self.heeds_watchdog && watchdog_weighs(cx) {
            // Two walks through one store bring no more than one.
            self.weigher.forget();
            None
        } else {
            self.weigher.look(cx.layout(), store, cx.now())?
        };
        let size = |n: usize| count(u64::try_from(n).unwrap_or(u64::MAX));
        let mut families = vec![
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
        ];
        families.extend(answer.iter().flat_map(reclaimable));
        Ok(families)
    }
}

impl Store {
    pub(super) fn new(weighing: Weighing, heeds_watchdog: bool) -> Self {
        Self {
            incomplete: false,
            weigher: Weigher::new(weighing),
            heeds_watchdog,
        }
    }

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

/// Whether the watchdog publishes what deleting the dead frees.
fn watchdog_weighs(cx: &Context<'_>) -> bool {
    StateFile::read(&cx.layout().inside(state_file::PATH)).is_ok_and(|state| {
        !state.is_stale(cx.now())
            && state
                .families
                .iter()
                .any(|family| family.name == RECLAIMABLE)
    })
}

fn reclaimable(answer: &Answer) -> [Family; 4] {
    [
        Family::gauge(
            RECLAIMABLE,
            "Bytes of disk that deleting everything dead would make available, by inode and blocks, right where files are shared; an upper bound where nix_store_dead_complete is 0, a lower bound where nix_store_reclaimable_complete is 0",
            count(answer.sum.bytes),
        ),
        Family::gauge(
            "nix_store_reclaimable_files",
            "Inodes that deleting everything dead would release; bounds as those of nix_store_reclaimable_bytes",
            count(answer.sum.files),
        ),
        Family::gauge(
            "nix_store_reclaimable_complete",
            "1 if everything dead could be measured, 0 if some of it could not be read and is not in the sum",
            flag(answer.sum.unread.is_empty()),
        ),
        Family::gauge(
            "nix_store_reclaimable_timestamp_seconds",
            "The moment that nix_store_reclaimable_bytes is about, as seconds since 1970: that of the collection whose dead paths were weighed, or the last one at which nothing had changed since",
            seconds(answer.at),
        ),
    ]
}
