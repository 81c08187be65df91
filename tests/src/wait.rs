//! Waiting for what must happen: by looking, never by a guess of how long it takes.

use std::{
    thread,
    time::{Duration, Instant},
};

/// So long at most; what takes longer on a busy machine is taken for broken.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Looks until something is found.
///
/// # Panics
/// If nothing is after a minute, with `what`.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_or(|| format!("waited in vain until {what}"), look)
}

/// Looks until something is found.
///
/// # Panics
/// If nothing is after a minute, with what `complain` says.
pub fn until_or<T>(complain: impl Fn() -> String, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "{}", complain());
        thread::sleep(POLL);
    }
}
