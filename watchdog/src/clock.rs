//! The time of day, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now.
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Milliseconds since the epoch; 0 for a clock before it.
pub fn now_ms() -> i64 {
    millis(now())
}

/// A time as milliseconds since the epoch; 0 for one before it.
pub fn millis(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}
