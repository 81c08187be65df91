//! Selectors, their matchers, ranges, offsets and `@`.

use std::time::{Duration, SystemTime};

use promql_parser::label::{self, MatchOp};
use promql_parser::parser as ast;
use regex::Regex;

use super::{Checked, Checker, Unsupported};
use crate::expr::{At, Matcher, Range, RangeOf, Selector, Test, When};
use crate::labels::{Labels, METRIC_NAME};
use crate::millis;

/// More evaluations for one sample hold a tick up; Prometheus has the same limit for the points
/// of a graph.
const MOST_STEPS: i64 = 11_000;

/// The step of a subquery that names none, where Prometheus has no other setting.
pub(super) const DEFAULT_STEP_MS: i64 = 60_000;

impl Checker {
    pub(super) fn selector(self, plain: &ast::VectorSelector) -> Checked<Selector> {
        if !plain.matchers.or_matchers.is_empty() {
            return Err(Unsupported::new("`or` between matchers is not supported"));
        }
        let name = plain.name.iter().map(|name| Matcher {
            label: METRIC_NAME.to_owned(),
            test: Test::Equal(name.clone()),
        });
        let mut matchers = name.collect::<Vec<_>>();
        for matcher in &plain.matchers.matchers {
            matchers.push(self::matcher(matcher)?);
        }
        Ok(Selector {
            matchers,
            when: self.when(plain.at.as_ref(), plain.offset.as_ref())?,
        })
    }

    pub(super) fn matrix(self, matrix: &ast::MatrixSelector) -> Checked<Range> {
        Ok(Range {
            of: RangeOf::Samples(self.selector(&matrix.vs)?),
            range_ms: positive_ms(matrix.range)?,
        })
    }

    pub(super) fn subquery(self, subquery: &ast::SubqueryExpr) -> Checked<Range> {
        let range_ms = positive_ms(subquery.range)?;
        let step_ms = match subquery.step {
            Some(step) => positive_ms(step)?,
            None if self.rule => {
                return Err(Unsupported::new(
                    "a subquery without a step takes the evaluation interval of the server, which \
                     only the server knows: write the step, as in [1h:1m]",
                ));
            }
            None => self.default_step_ms,
        };
        let inner = self.within(range_ms / step_ms)?;
        Ok(Range {
            of: RangeOf::Subquery {
                of: inner.vector(&subquery.expr)?,
                step_ms,
                when: self.when(subquery.at.as_ref(), subquery.offset.as_ref())?,
            },
            range_ms,
        })
    }

    /// For what is evaluated that many times.
    fn within(self, steps: i64) -> Checked<Self> {
        let steps = self.steps.saturating_mul(steps.saturating_add(1));
        if steps > MOST_STEPS {
            return Err(Unsupported(format!(
                "a subquery of more than {MOST_STEPS} steps is not supported"
            )));
        }
        Ok(Self { steps, ..self })
    }

    fn when(self, at: Option<&ast::AtModifier>, offset: Option<&ast::Offset>) -> Checked<When> {
        let at = match at {
            None => At::Now,
            Some(ast::AtModifier::Start) => At::Start,
            Some(ast::AtModifier::End) => At::End,
            Some(ast::AtModifier::At(_)) if self.rule => {
                return Err(Unsupported::new(
                    "`@` with a fixed time is not supported: no window of samples reaches back to \
                     it for ever; `@ start()` and `@ end()` are supported",
                ));
            }
            Some(ast::AtModifier::At(time)) => At::Fixed(epoch_ms(*time)),
        };
        let offset_ms = match offset {
            None => 0,
            Some(ast::Offset::Pos(back)) => millis(*back),
            Some(ast::Offset::Neg(ahead)) => -millis(*ahead),
        };
        Ok(When { at, offset_ms })
    }
}

/// The labels of what `absent(selector)` gives: those that the selector fixes with one `=`
/// (`createLabelsForAbsentFunction`, promql/functions.go, Prometheus 3.5).
///
/// With another matcher beside the `=`, Prometheus keeps or drops the label depending on how its
/// storage sorted the matchers (`PostingsForMatchers`, tsdb/querier.go): such a label is refused.
pub(super) fn labels_if_absent(plain: &ast::VectorSelector) -> Checked<Labels> {
    let mut labels = Labels::default();
    for matcher in &plain.matchers.matchers {
        let of_label = || {
            let all = plain.matchers.matchers.iter();
            all.filter(|other| other.name == matcher.name)
        };
        let equal = |matcher: &&label::Matcher| matches!(matcher.op, MatchOp::Equal);
        let fixed = of_label().filter(equal).count() == 1;
        if matcher.name == METRIC_NAME || !equal(&matcher) || !fixed {
            continue;
        }
        if of_label().count() > 1 {
            return Err(Unsupported(format!(
                "absent() of a selector with `=` and another matcher for `{}` has no certain \
                 labels; keep the `=` alone",
                matcher.name
            )));
        }
        labels.set(&matcher.name, &matcher.value);
    }
    Ok(labels)
}

fn positive_ms(duration: Duration) -> Checked<i64> {
    match millis(duration) {
        0 => Err(Unsupported::new(
            "a range and a step must be at least a millisecond",
        )),
        ms => Ok(ms),
    }
}

fn epoch_ms(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => millis(after),
        Err(before) => -millis(before.duration()),
    }
}

fn matcher(matcher: &label::Matcher) -> Checked<Matcher> {
    let value = || matcher.value.clone();
    let test = match matcher.op {
        MatchOp::Equal => Test::Equal(value()),
        MatchOp::NotEqual => Test::NotEqual(value()),
        MatchOp::Re(_) => Test::Match(regex(&matcher.value)?),
        MatchOp::NotRe(_) => Test::NoMatch(regex(&matcher.value)?),
    };
    Ok(Matcher {
        label: matcher.name.clone(),
        test,
    })
}

/// The parser's own is not that of Prometheus, and guesses at braces that Go would take literally.
fn regex(pattern: &str) -> Checked<Regex> {
    crate::pattern::whole(pattern).map_err(Unsupported)
}
