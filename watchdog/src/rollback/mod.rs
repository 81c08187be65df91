//! The rollback remedy: a deploy that broke the host is undone, once.
//!
//! [`machine`] is the state machine, pure and persisted; [`target`] chooses what to go back to;
//! [`run`] carries a rollback out, resumably; [`reboot`] says which rollback needs a reboot;
//! [`confirmation`] is how somebody says that a deploy is well; [`families`] shows it all as samples.

pub mod confirmation;
pub mod decision;
pub mod facts;
pub mod families;
pub mod fleet_lock;
pub mod machine;
pub mod policy;
pub mod profile;
pub mod reboot;
pub mod run;
mod soak;
pub mod state;
pub mod target;
pub mod turn;

#[cfg(test)]
mod simulation;
