//! One collection at a time: those who ask while one runs share its result, and so do those who
//! ask so soon after it that another would take more of the time than collections may.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::{sync::watch, task::spawn_blocking};

use crate::{
    collect::{Registry, Snapshot},
    weigh::Share,
};

/// However long a collection took, its result is not given for longer than this: less than any
/// usual interval between two scrapes.
const AT_MOST: Duration = Duration::from_secs(5);

type Landing = watch::Receiver<Option<Arc<Snapshot>>>;

/// What is to be made of the registry.
pub(super) type Change = Box<dyn FnOnce(&mut Registry) + Send>;

/// The registry and the collection that is under way.
pub(super) struct Flight {
    registry: Arc<Mutex<Registry>>,
    /// Changes that wait for the collection under way: nobody here waits for that.
    changes: Arc<Mutex<Vec<Change>>>,
    under_way: Arc<Mutex<Option<Landing>>>,
    landed: Arc<Mutex<Option<Landed>>>,
    share: Mutex<Share>,
}

/// The collection that ended last.
#[derive(Debug)]
struct Landed {
    snapshot: Arc<Snapshot>,
    ended: Instant,
    took: Duration,
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flight")
            .field("registry", &self.registry)
            .field("share", &self.share)
            .finish_non_exhaustive()
    }
}

impl Flight {
    pub(super) fn new(registry: Registry, share: Share) -> Self {
        Self {
            registry: Arc::new(Mutex::new(registry)),
            changes: Arc::default(),
            under_way: Arc::default(),
            landed: Arc::default(),
            share: Mutex::new(share),
        }
    }

    /// Changes the registry before the next collection.
    pub(super) fn change(&self, change: Change) {
        lock(&self.changes).push(change);
        *lock(&self.landed) = None;
    }

    pub(super) fn hold_to(&self, share: Share) {
        *lock(&self.share) = share;
    }

    /// The result of the collection under way, of the last one if it ended just now, or of one
    /// that begins now. `None` if it was abandoned because the program ends.
    pub(super) async fn snapshot(&self) -> Option<Arc<Snapshot>> {
        if let Some(snapshot) = self.fresh() {
            return Some(snapshot);
        }
        let mut landing = {
            let mut under_way = lock(&self.under_way);
            match under_way.as_ref() {
                // A sender that is gone without a result broke down; begin anew.
                Some(landing) if landing.has_changed().is_ok() => landing.clone(),
                _ => under_way.insert(self.start()).clone(),
            }
        };
        let landed = landing.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }

    fn fresh(&self) -> Option<Arc<Snapshot>> {
        let share = *lock(&self.share);
        let landed = lock(&self.landed);
        let last = landed.as_ref()?;
        (last.ended.elapsed() < rest(last.took, share)).then(|| Arc::clone(&last.snapshot))
    }

    fn start(&self) -> Landing {
        let (sender, landing) = watch::channel(None);
        let (registry, changes) = (Arc::clone(&self.registry), Arc::clone(&self.changes));
        let (under_way, landed) = (Arc::clone(&self.under_way), Arc::clone(&self.landed));
        // Reading the host blocks, on a dead network file system for long.
        spawn_blocking(move || {
            let begun = Instant::now();
            let mut registry = lock(&registry);
            for change in std::mem::take(&mut *lock(&changes)) {
                change(&mut registry);
            }
            let snapshot = Arc::new(registry.collect(SystemTime::now()));
            // If all is to be different by now, it is of use only to those who wait for it.
            let changes = lock(&changes);
            if changes.is_empty() {
                *lock(&landed) = Some(Landed {
                    snapshot: Arc::clone(&snapshot),
                    ended: Instant::now(),
                    took: begun.elapsed(),
                });
            }
            drop(changes);
            // Before it is sent, so that who asks from now on does not wait for this one.
            *lock(&under_way) = None;
            sender.send_replace(Some(snapshot));
        });
        landing
    }
}

/// How long to rest after a collection that took so long.
fn rest(took: Duration, share: Share) -> Duration {
    (took * (100 - share.get()) / share.get()).min(AT_MOST)
}

/// The registry catches what its collectors do, and nothing else is done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, channel},
    };

    use snowguard_host::Layout;

    use super::{Arc, Duration, Flight, Instant, Share, lock, rest};
    use crate::{
        collect::{CollectError, Collector, Context, Names, Registry},
        sample::Family,
    };

    /// Counts its collections and holds each until the sender of its gate is gone.
    struct Slow {
        collections: Arc<AtomicUsize>,
        gate: Receiver<()>,
    }

    impl Collector for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }

        fn families(&self) -> &'static [&'static str] {
            &[]
        }

        fn collect(&mut self, _: &Context<'_>) -> Result<Vec<Family>, CollectError> {
            self.collections.fetch_add(1, Ordering::SeqCst);
            let _ = self.gate.recv();
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn those_who_ask_at_once_share_one_collection_and_the_next_gets_a_new_one() {
        let collections = Arc::new(AtomicUsize::new(0));
        let (closed, gate) = channel();
        let slow = Slow {
            collections: Arc::clone(&collections),
            gate,
        };
        let registry = Registry::new(Layout::new("/nonexistent"), &Names::none());
        let whole = Share::percent(100).unwrap();
        let flight = Arc::new(Flight::new(registry.with(Box::new(slow)), whole));
        let asking: Vec<_> = (0..5)
            .map(|_| {
                let flight = Arc::clone(&flight);
                tokio::spawn(async move { flight.snapshot().await })
            })
            .collect();
        // All five have asked before the collection may end: they run before this task again.
        tokio::task::yield_now().await;
        drop(closed);
        for one in asking {
            assert!(one.await.unwrap().is_some());
        }
        assert_eq!(collections.load(Ordering::SeqCst), 1);
        assert!(flight.snapshot().await.is_some());
        assert_eq!(collections.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn who_asks_without_pause_gets_the_last_result_until_the_share_of_the_time_allows_another()
     {
        let collections = Arc::new(AtomicUsize::new(0));
        let (closed, gate) = channel();
        let slow = Slow {
            collections: Arc::clone(&collections),
            gate,
        };
        let registry = Registry::new(Layout::new("/nonexistent"), &Names::none());
        let flight = Flight::new(registry.with(Box::new(slow)), Share::percent(3).unwrap());
        drop(closed);
        let first = flight.snapshot().await.unwrap();
        let took = Duration::from_millis(36);
        let ended_ago = |ago: Duration| {
            let mut landed = lock(&flight.landed);
            let last = landed.as_mut().unwrap();
            (last.took, last.ended) = (took, Instant::now().checked_sub(ago).unwrap());
        };
        ended_ago(Duration::ZERO);
        let again = flight.snapshot().await.unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        // 36 ms are 3 % of 1200 ms.
        ended_ago(Duration::from_millis(1164));
        let next = flight.snapshot().await.unwrap();
        assert!(!Arc::ptr_eq(&first, &next));
        ended_ago(Duration::ZERO);
        flight.change(Box::new(|registry| {
            *registry = Registry::new(Layout::new("/nonexistent"), &Names::none());
        }));
        assert!(!Arc::ptr_eq(&next, &flight.snapshot().await.unwrap()));
        assert_eq!(collections.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn no_result_is_given_for_longer_than_until_the_next_usual_scrape() {
        let three = Share::percent(3).unwrap();
        assert_eq!(rest(Duration::from_secs(20), three), Duration::from_secs(5));
        assert_eq!(
            rest(Duration::from_secs(20), Share::percent(100).unwrap()),
            Duration::ZERO
        );
    }
}
