//! The gc remedy: free just enough, most valuable space first, and never what must stay.
//!
//! [`facts`] is what a plan is made from, [`plan`](mod@plan) makes it without touching anything,
//! [`run`] carries it out rung by rung and reads the host again after each.

pub mod alone;
pub mod facts;
pub mod hold;
pub mod host;
pub mod ladder;
#[cfg(test)]
mod model;
pub mod old_menu;
pub mod plan;
pub mod policy;
pub mod restraint;
pub mod run;
