//! The notation in which Prometheus's tests write series down.

pub mod series;
