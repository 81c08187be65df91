//! Alerts to plan to act to verify to journal.

pub mod record;
