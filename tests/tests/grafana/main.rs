//! The dashboard: by the rules of the field, and every query of it on a real Prometheus.
//!
//! Promise 6: "Each decision, act or refusal, is in the journal and in a metric, with its reason."
//! Promise 8: "What cannot be read is reported, not assumed": a panel whose query names a sample
//! that nobody publishes would stay empty, and look as if all were well.

mod dashboard;
mod lint;
mod prometheus;
mod queries;
