//! Alerts to plan to act to verify to journal.

pub mod act;
pub mod probe;
pub mod record;
pub mod rollback;
