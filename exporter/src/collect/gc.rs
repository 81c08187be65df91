//! Whether somebody holds the lock of the garbage collector, and since when.

use std::time::SystemTime;

use snowguard_host::{Locks, gc_lock_holder};

use super::{CollectError, Collector, Context, Name};
use crate::sample::{Family, flag, seconds};

/// Who held the lock at the last collection, and when that was first seen.
#[derive(Debug, Default)]
pub(super) struct Gc {
    held: Option<(u32, SystemTime)>,
}

impl Gc {
    /// When this holder, or nobody, was first seen as what it is now.
    fn since(&mut self, holder: Option<u32>, now: SystemTime) -> Option<SystemTime> {
        self.held = holder.map(|pid| match self.held {
            // A clock that went back would make it younger than nothing.
            Some((before, since)) if before == pid && since <= now => (pid, since),
            _ => (pid, now),
        });
        self.held.map(|(_, since)| since)
    }
}

impl Collector for Gc {
    fn name(&self) -> &'static str {
        Name::Gc.as_str()
    }

    fn families(&self) -> &'static [&'static str] {
        &[
            "nix_gc_lock_held",
            "nix_gc_lock_held_since_timestamp_seconds",
        ]
    }

    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        let holder = gc_lock_holder(cx.layout(), &Locks::read(cx.layout())?)?;
        let since = self.since(holder, cx.now());
        let mut families = vec![Family::gauge(
            "nix_gc_lock_held",
            "1 while a process holds the lock of the garbage collector (gc.lock), by the kernel's table of locks; a collection, or a listing of what is dead",
            flag(holder.is_some()),
        )];
        if let Some(since) = since {
            families.push(Family::gauge(
                "nix_gc_lock_held_since_timestamp_seconds",
                "When this program first saw the process hold it that holds the lock of the garbage collector now, as seconds since 1970; absent while nobody does",
                seconds(since),
            ));
        }
        Ok(families)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_lock_is_held_since_its_holder_was_first_seen_and_another_holder_begins_anew() {
        let mut gc = Gc::default();
        assert_eq!(gc.since(None, at(10)), None);
        assert_eq!(gc.since(Some(7), at(20)), Some(at(20)));
        assert_eq!(gc.since(Some(7), at(30)), Some(at(20)));
        assert_eq!(gc.since(Some(8), at(40)), Some(at(40)));
        assert_eq!(gc.since(None, at(50)), None);
        assert_eq!(gc.since(Some(8), at(60)), Some(at(60)));
        assert_eq!(
            gc.since(Some(8), at(55)),
            Some(at(55)),
            "the clock went back"
        );
    }
}
