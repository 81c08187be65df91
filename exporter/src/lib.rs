//! Facts to samples to HTTP.

pub mod sample;
