//! What the end-to-end tests share: the real parts of the lab, and stores to try them on.

pub mod lab;
pub mod random_store;
pub mod small_store;
