//! What is true of a Nix host: facts, read exactly, no opinion.
//!
//! Every path, clock and root directory is a parameter, so that the same code reads the live
//! host, a chroot store and a fixture tree. A fact that cannot be read is an error with path,
//! cause and cure, never a zero.

mod boot_space;
mod build_users;
mod collectors;
mod daemon;
mod database_lock;
mod error;
mod flake_lock;
mod gc_lock;
mod generations;
mod layout;
mod left_overs;
mod locks;
mod nix_conf;
mod processes;
pub mod provenance;
mod resolve;
pub mod store;

pub use boot_space::BootFileSystem;
pub use build_users::{ActiveBuild, BuildUsers, Builds, Holder};
pub use collectors::{Collector, Sign};
pub use daemon::{DaemonCgroup, Greeting, Pressure, Resource};
pub use database_lock::database_writer;
pub use error::{FactError, Kind, Result};
pub use flake_lock::{FlakeInputs, flake_inputs};
pub use gc_lock::gc_lock_holder;
pub use generations::{
    BootDefault, Generation, GenerationId, Outlook, Profile, Profiles, System, SystemLink,
};
pub use layout::{Layout, STORE_DIR};
pub use left_overs::{Ages, LeftOver, LeftOverKind, LeftOvers};
pub use locks::Locks;
pub use nix_conf::{NixConf, UidRange};
