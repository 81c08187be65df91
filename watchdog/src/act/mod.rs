//! All that Snowguard can do to a host: one file per verb.

pub mod set_profile;
pub mod switch;
