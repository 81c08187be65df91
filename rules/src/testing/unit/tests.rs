//! What a failure of a unit test says. That tests pass and fail as with promtool is shown where
//! both programs run on the same files.

use super::*;

fn failures(test: &str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let rules = "groups: [{name: g, rules: [{alert: A, expr: x > 1}]}]";
    fs::write(directory.path().join("a.rules.yaml"), rules).unwrap();
    let path = directory.path().join("t.test.yaml");
    fs::write(&path, test).unwrap();
    run(&path, &mut |_| ()).unwrap_err()
}

#[test]
fn a_failure_names_test_time_what_was_expected_and_what_is_there() {
    let said = failures(
        "rule_files: [a.rules.yaml]\ntests:\n- name: low\n  input_series: [{series: x, values: 2 2}]\n  \
         alert_rule_test: [{eval_time: 1m, alertname: A}]\n  \
         promql_expr_test: [{expr: x, eval_time: 1m, exp_samples: [{labels: x, value: 3}]}]\n",
    );
    let expected = [
        "test \"low\": alert \"A\" at 1m:\n  expected: no alert\n  got:      {\"alertname\": \"A\"} with {}",
        "test \"low\": `x` at 1m: \n  expected: x 3.0\n  got:      x 2.0",
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_test_that_would_run_for_days_is_refused() {
    let said = failures(
        "rule_files: [a.rules.yaml]\nevaluation_interval: 1ms\ntests: [{alert_rule_test: [{eval_time: 1y, alertname: A}]}]\n",
    );
    assert!(
        said[0].contains("more than 10000000 evaluations"),
        "{said:?}"
    );
}
