//! One collection at a time: those who ask while one runs share its result.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio::{sync::watch, task::spawn_blocking};

use crate::collect::{Registry, Snapshot};

type Landing = watch::Receiver<Option<Arc<Snapshot>>>;

/// The registry and the collection that is under way.
#[derive(Debug)]
pub(super) struct Flight {
    registry: Arc<Mutex<Arc<Mutex<Registry>>>>,
    under_way: Arc<Mutex<Option<Landing>>>,
}

impl Flight {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            registry: Arc::new(Mutex::new(Arc::new(Mutex::new(registry)))),
            under_way: Arc::default(),
        }
    }

    pub(super) fn replace(&self, registry: Registry) {
        *lock(&self.registry) = Arc::new(Mutex::new(registry));
    }

    /// The result of the collection under way, or of one that begins now. `None` if it was
    /// abandoned because the program ends.
    pub(super) async fn snapshot(&self) -> Option<Arc<Snapshot>> {
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

    fn start(&self) -> Landing {
        let (sender, landing) = watch::channel(None);
        let registry = Arc::clone(&lock(&self.registry));
        let under_way = Arc::clone(&self.under_way);
        // Reading the host blocks, on a dead network file system for long.
        spawn_blocking(move || {
            let snapshot = lock(&registry).collect(SystemTime::now());
            // First this, so that who asks from now on begins a new one.
            *lock(&under_way) = None;
            sender.send_replace(Some(Arc::new(snapshot)));
        });
        landing
    }
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

    use super::{Arc, Flight};
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
        let flight = Arc::new(Flight::new(registry.with(Box::new(slow))));
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
}
