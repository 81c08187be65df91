//! Runs the collectors; one that fails, or even breaks down, takes nothing but its own families
//! with it.

use std::{
    any::Any,
    collections::{BTreeSet, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Instant, SystemTime},
};

use snowguard_host::{Layout, store::Resident};
use tracing::{debug, info, warn};

use super::{
    CollectError, Collector, Context, Name, Names, Options, boot, build_users, daemon, database,
    filesystem, flake, gc, generations, memory, pressure, reclaimable, store, substituter_probes,
    substituters, system, watchdog,
};
use crate::{
    sample::{Family, Kind, flag},
    weigh::Weighing,
};

const DURATION: &str = "snowguard_scrape_collector_duration_seconds";
const SUCCESS: &str = "snowguard_scrape_collector_success";
const BUILD: &str = "snowguard_build_info";

/// What was true of the host at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The families, each name once.
    pub families: Vec<Family>,
    /// The collectors that failed, with why; their families are absent.
    pub failed: Vec<(&'static str, CollectError)>,
    /// Names of the families that the failed collectors may give. That they are absent says
    /// nothing.
    pub unseen: BTreeSet<String>,
    /// When the collection began.
    pub taken_at: SystemTime,
}

/// The collectors of one host.
pub struct Registry {
    layout: Layout,
    collectors: Vec<Entry>,
    /// The store's graph, between two collections.
    kept: Option<Resident>,
}

struct Entry {
    collector: Box<dyn Collector>,
    failing: bool,
    /// What it gave when it last worked.
    gave: BTreeSet<String>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.collectors.iter().map(|e| e.collector.name()).collect();
        f.debug_struct("Registry")
            .field("layout", &self.layout)
            .field("collectors", &names)
            .finish()
    }
}

impl Registry {
    /// A registry of these collectors, for this host. What the dead weigh is not found out.
    pub fn new(layout: Layout, names: &Names) -> Self {
        Self::with_options(layout, names, &Options::default())
    }

    /// The same, and the dead are weighed in this way.
    pub fn weighing(layout: Layout, names: &Names, weighing: Weighing) -> Self {
        let options = Options {
            weighing,
            ..Options::default()
        };
        Self::with_options(layout, names, &options)
    }

    /// The same with these settings of collectors.
    pub fn with_options(layout: Layout, names: &Names, options: &Options) -> Self {
        let mut registry = Self {
            layout,
            collectors: Vec::new(),
            kept: None,
        };
        registry.heed(names, options);
        registry
    }

    /// Has these collectors with these settings from now on. Those that it has already keep what
    /// they count and know, and so does the registry.
    pub fn heed(&mut self, names: &Names, options: &Options) {
        let mut before = std::mem::take(&mut self.collectors);
        for name in names.iter() {
            let kept = (before.iter()).position(|old| old.collector.name() == name.as_str());
            let mut entry = match kept {
                Some(at) => before.swap_remove(at),
                None => Entry::of(make(name, names, options)),
            };
            entry.collector.heed(names, options);
            self.collectors.push(entry);
        }
    }

    /// The registry with one more collector, which runs after the others.
    #[must_use]
    pub fn with(mut self, collector: Box<dyn Collector>) -> Self {
        self.collectors.push(Entry::of(collector));
        self
    }

    /// Runs every collector once. It cannot fail: a collector that does is named in the snapshot,
    /// in `snowguard_scrape_collector_success`, and, when that begins and when it ends, in the
    /// log.
    pub fn collect(&mut self, now: SystemTime) -> Snapshot {
        let cx = Context::resuming(&self.layout, now, self.kept.take());
        let mut durations = Family::of(
            Kind::Gauge,
            DURATION,
            "Seconds that the collector took in this collection",
        );
        let mut successes = Family::of(
            Kind::Gauge,
            SUCCESS,
            "1 if the collector read all of its facts in this collection, 0 if not (the log says why)",
        );
        let mut page = Page::default();
        let mut failed = Vec::new();
        let mut unseen = BTreeSet::new();
        for entry in &mut self.collectors {
            let name = entry.collector.name();
            let begun = Instant::now();
            let error = match run(entry.collector.as_mut(), &cx) {
                Ok(families) => {
                    entry.gave = families.iter().map(|f| f.name.to_string()).collect();
                    page.add(entry.collector.as_ref(), families).err()
                }
                Err(error) => {
                    unseen.extend(entry.gave.iter().cloned());
                    // One that has failed since the program began gave nothing yet.
                    let may_give = entry.collector.families().iter();
                    unseen.extend(may_give.map(|name| (*name).to_owned()));
                    Some(error)
                }
            };
            let label = || vec![("collector", name.to_owned())];
            durations.push(label(), begun.elapsed().as_secs_f64());
            successes.push(label(), flag(error.is_none()));
            entry.log(error.as_ref());
            failed.extend(error.map(|error| (name, error)));
        }
        self.kept = cx.keep();
        let mut families = page.families;
        families.extend([durations, successes, build_info()]);
        Snapshot {
            families,
            failed,
            unseen,
            taken_at: now,
        }
    }
}

fn make(name: Name, names: &Names, options: &Options) -> Box<dyn Collector> {
    match name {
        Name::Filesystem => Box::new(filesystem::Filesystem),
        Name::Store => Box::new(store::Store::new(names, options)),
        Name::Generations => Box::new(generations::Generations),
        Name::Reclaimable => Box::new(reclaimable::Reclaimable),
        Name::System => Box::new(system::System),
        Name::BuildUsers => Box::new(build_users::BuildUsers),
        Name::Substituters => Box::new(substituters::Substituters::default()),
        Name::SubstituterProbes => {
            let heeds_watchdog = names.has(Name::Watchdog);
            Box::new(substituter_probes::SubstituterProbes::new(
                options,
                heeds_watchdog,
            ))
        }
        Name::Database => Box::new(database::Database),
        Name::Gc => Box::new(gc::Gc::default()),
        Name::Daemon => Box::new(daemon::Daemon::default()),
        Name::Pressure => Box::new(pressure::DaemonPressure),
        Name::Boot => Box::new(boot::Boot),
        Name::Flake => Box::new(flake::Flake::new(options)),
        Name::Memory => Box::new(memory::Memory),
        Name::Watchdog => Box::new(watchdog::Watchdog),
    }
}

impl Entry {
    fn of(collector: Box<dyn Collector>) -> Self {
        Self {
            collector,
            failing: false,
            gave: BTreeSet::new(),
        }
    }

    fn log(&mut self, error: Option<&CollectError>) {
        let collector = self.collector.name();
        match (self.failing, error) {
            (false, Some(error)) => warn!(collector, %error, "collector fails"),
            (true, Some(error)) => debug!(collector, %error, "collector still fails"),
            (true, None) => info!(collector, "collector works again"),
            (false, None) => {}
        }
        self.failing = error.is_some();
    }
}

/// The families so far, and who holds which name.
struct Page {
    families: Vec<Family>,
    holders: HashMap<String, &'static str>,
}

impl Default for Page {
    fn default() -> Self {
        // The registry's own are written last but taken first.
        let holders = [DURATION, SUCCESS, "snowguard_build"]
            .map(|name| (name.to_owned(), "registry"))
            .into();
        Self {
            families: Vec::new(),
            holders,
        }
    }
}

impl Page {
    /// Adds the collector's families, but for those whose name is taken; unless the collector
    /// knows better.
    fn add(
        &mut self,
        collector: &dyn Collector,
        families: Vec<Family>,
    ) -> Result<(), CollectError> {
        let mut clash = Ok(());
        for family in families {
            match self.holders.get(family.base_name()) {
                None => {
                    self.holders
                        .insert(family.base_name().to_owned(), collector.name());
                    self.families.push(family);
                }
                Some(_) if collector.knows_better(&family.name) => {
                    self.families
                        .retain(|other| other.base_name() != family.base_name());
                    self.families.push(family);
                }
                Some(holder) => {
                    clash = Err(CollectError::Clash {
                        family: family.name.into_owned(),
                        holder,
                    });
                }
            }
        }
        clash
    }
}

fn run(collector: &mut dyn Collector, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
    // What a collector keeps between collections is only ever replaced as a whole.
    catch_unwind(AssertUnwindSafe(|| collector.collect(cx)))
        .unwrap_or_else(|panic| Err(CollectError::Panicked(message_of(panic.as_ref()))))
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

fn build_info() -> Family {
    Family::of(
        Kind::Info,
        BUILD,
        "The version of the program that took these samples",
    )
    .with(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0)
}
