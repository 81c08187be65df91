//! Promise: the alert that pages is the alert that heals, so an expression has the value that
//! Prometheus's own acceptance suite for PromQL asks for.
//!
//! The suite is not in this repository: `PROMQLTEST_DIR` names where it is.

#[path = "../examples/promqltest/refused.rs"]
mod refused;
#[path = "../examples/promqltest/script.rs"]
mod script;
#[path = "../examples/promqltest/suite.rs"]
mod suite;

#[test]
fn everything_in_the_acceptance_suite_of_prometheus_passes_or_is_listed_as_refused() {
    let verdict = suite::run(suite::named()).unwrap();
    println!("{}", verdict.report);
    assert!(verdict.good, "{}", verdict.report);
}

#[test]
fn a_suite_that_is_named_and_is_not_there_fails_and_is_not_skipped() {
    let nowhere = tempfile::tempdir().unwrap().path().join("nowhere");
    let error = suite::run(Some(nowhere)).err().unwrap().to_string();
    assert!(error.contains("no acceptance suite"), "{error}");
    assert!(error.contains("nowhere"), "{error}");
}
