//! Alerts to plan to act to verify to journal.

pub mod act;
pub mod clock;
pub mod config;
pub mod gc;
mod http;
pub mod journal;
pub mod keep;
pub mod limits;
pub mod probe;
pub mod record;
pub mod rollback;
pub mod text;
pub mod watch;
