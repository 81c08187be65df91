//! Paths of the store, and which of them nothing keeps.

use snowguard_host::{FactError, store::Graph};
use tracing::info;

use super::{CollectError, Collector, Context, Name, Names, Options};
use crate::{
    sample::{Family, count, flag, seconds},
    state_file::{self, StateFile},
    weigh::{Answer, Weigher},
};

const RECLAIMABLE: &str = "nix_store_reclaimable_bytes";

/// Remembers what it has logged, and what the dead weigh.
#[derive(Debug)]
pub(super) struct Store {
    incomplete: bool,
    deletions: Deletions,
    weigher: Weigher,
    /// Whether what the watchdog says of the dead will take the place of what is found here.
    heeds_watchdog: bool,
}

/// Counts what was deleted since the first look. Every path that was registered is either valid or
/// was deleted, so what matters is one number of one graph, and nothing that happens between two
/// looks is missed: not what came and went in between, nor what went while the program did not look.
#[derive(Debug, Default)]
struct Deletions {
    before: Option<u64>,
}

impl Deletions {
    fn since_the_first_look(&mut self, graph: &Graph) -> u64 {
        let valid = u64::try_from(graph.len()).unwrap_or(u64::MAX);
        self.since(graph.registrations().saturating_sub(valid))
    }

    /// Of how many were ever deleted in this database. That falls only if the database is another
    /// one: the counter then begins anew, as after a restart of the program.
    fn since(&mut self, ever: u64) -> u64 {
        let before = self.before.filter(|before| *before <= ever);
        ever - *self.before.insert(before.unwrap_or(ever))
    }
}

impl Collector for Store {
    fn name(&self) -> &'static str {
        Name::Store.as_str()
    }

    fn heed(&mut self, names: &Names, options: &Options) {
        self.weigher.hold_to(options.weighing);
        self.heeds_watchdog = names.has(Name::Watchdog);
    }

    fn families(&self) -> &'static [&'static str] {
        &[
            "nix_store_paths",
            "nix_store_nar_bytes",
            "nix_store_unsized_paths",
            "nix_store_paths_deleted_total",
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
                "nix_store_unsized_paths",
                "Valid paths of no known size, as very old Nix registered them; they count as nothing in every sum of NAR sizes",
                size(store.graph.unsized_paths()),
            ),
            Family::counter(
                "nix_store_paths_deleted_total",
                "Paths that were deleted from the store, by a garbage collection or by hand, counted from the first look on",
                count(self.deletions.since_the_first_look(&store.graph)),
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
                "Sources of GC roots (links, processes, files of temporary roots) and of settings (files of Nix's configuration) that could not be read",
                size(store.roots.unreadable.len()),
            ),
        ];
        families.extend(answer.iter().flat_map(reclaimable));
        Ok(families)
    }
}

impl Store {
    pub(super) fn new(names: &Names, options: &Options) -> Self {
        Self {
            incomplete: false,
            deletions: Deletions::default(),
            weigher: Weigher::new(options.weighing),
            heeds_watchdog: names.has(Name::Watchdog),
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

#[cfg(test)]
mod tests {
    use super::Deletions;

    #[test]
    fn a_database_that_is_another_one_begins_the_count_of_the_deleted_anew() {
        let mut deletions = Deletions::default();
        let counts = [7, 7, 9, 2, 5].map(|ever| deletions.since(ever));
        assert_eq!(counts, [0, 0, 2, 0, 3]);
    }
}
