//! What `promql_expr_test` expects.

use super::format::{ExpressionCase, time};
use super::{query, series};
use crate::{Labels, Window};

type Samples = Vec<(Labels, f64)>;

/// `step_ms` is the step of subqueries that name none.
pub(super) fn check(
    case: &ExpressionCase,
    window: &Window,
    step_ms: i64,
    fuzzy: bool,
) -> Result<(), String> {
    let at_ms = case.eval_time.map_or(0, |span| span.0);
    let expr = case.expr.as_deref().unwrap_or_default();
    let failed = |what: String| format!("`{expr}` at {}: {what}", time(at_ms));
    let mut got: Samples = query(expr, window, at_ms, step_ms)
        .map_err(failed)?
        .into_iter()
        .map(|element| (element.labels, element.value))
        .collect();
    let mut expected = Samples::new();
    for sample in case.exp_samples.iter().flatten() {
        if sample
            .histogram
            .as_deref()
            .is_some_and(|given| !given.is_empty())
        {
            return Err(failed("native histograms are not supported".to_owned()));
        }
        // No labels at all are those of a scalar.
        let text = sample.labels.as_deref().filter(|text| !text.is_empty());
        let text = text.unwrap_or("{}");
        let labels = series::labels(text)
            .map_err(|error| failed(format!("the labels {text:?}: {error}")))?;
        expected.push((labels, sample.value.unwrap_or_default()));
    }
    let by_labels = |a: &(Labels, f64), b: &(Labels, f64)| a.0.cmp(&b.0);
    got.sort_by(by_labels);
    expected.sort_by(by_labels);
    let same = |((of, a), (other, b)): (&(Labels, f64), &(Labels, f64))| {
        of == other && equal(*a, *b, fuzzy)
    };
    if got.len() == expected.len() && got.iter().zip(&expected).all(same) {
        return Ok(());
    }
    Err(failed(format!(
        "\n  expected: {}\n  got:      {}",
        shown(&expected),
        shown(&got)
    )))
}

/// Equal, or, if asked to be fuzzy, next to it. NaN is equal to nothing, as in promtool.
fn equal(a: f64, b: f64, fuzzy: bool) -> bool {
    a == b || (fuzzy && (a.next_up() == b || a.next_down() == b))
}

fn shown(samples: &Samples) -> String {
    if samples.is_empty() {
        return "no sample".to_owned();
    }
    let shown = samples
        .iter()
        .map(|(labels, value)| format!("{labels} {value:?}"));
    shown.collect::<Vec<_>>().join(", ")
}
