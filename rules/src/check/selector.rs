//! Selectors, their matchers, ranges and offsets.

use promql_parser::label::{self, MatchOp};
use promql_parser::parser as ast;
use regex::Regex;

use super::{Checked, Unsupported};
use crate::expr::{Matcher, Range, Selector, Test};
use crate::labels::{Labels, METRIC_NAME};
use crate::millis;

pub(super) fn check(plain: &ast::VectorSelector) -> Checked<Selector> {
    if plain.at.is_some() {
        return Err(Unsupported::new("the `@` modifier is not supported"));
    }
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
        offset_ms: offset_ms(plain.offset.as_ref()),
    })
}

pub(super) fn range(matrix: &ast::MatrixSelector) -> Checked<Range> {
    Ok(Range {
        selector: check(&matrix.vs)?,
        range_ms: millis(matrix.range),
    })
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

fn offset_ms(offset: Option<&ast::Offset>) -> i64 {
    match offset {
        None => 0,
        Some(ast::Offset::Pos(back)) => millis(*back),
        Some(ast::Offset::Neg(ahead)) => -millis(*ahead),
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

/// Anchored, and with a dot that matches a newline too (model/labels/regexp.go, Prometheus 3.5);
/// the parser's own is without the latter, and guesses at braces that Go would take literally.
fn regex(pattern: &str) -> Checked<Regex> {
    Regex::new(pattern)
        .and_then(|_| Regex::new(&format!("^(?s:{pattern})$")))
        .map_err(|_| Unsupported(format!("`{pattern}` is not a regular expression here")))
}
