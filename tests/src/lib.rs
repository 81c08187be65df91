//! What the end-to-end tests share: the real parts of the lab, stores to try them on, and hosts
//! that the real programs watch.

pub mod build_host;
pub mod daemon;
pub mod host;
pub mod killer;
pub mod lab;
pub mod large_store;
pub mod nix_daemon;
pub mod programs;
pub mod prometheus;
pub mod random_store;
pub mod slow_cache;
pub mod small_store;
pub mod wait;
