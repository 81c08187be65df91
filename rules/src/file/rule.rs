//! One rule: from what the file says to what can be evaluated, or a refusal.

use std::collections::BTreeMap;

use serde_saphyr::Spanned;

use super::{Refused, inside, labels, place, raw, refused};
use crate::rule::{Alerting, Kind, Remedy, Rule};
use crate::{LoadError, RuleId, check};

/// The label by which a rule asks for healing.
const REMEDY_LABEL: &str = "remedy";

pub(super) fn rule(
    file: &str,
    text: &str,
    group: &str,
    index: usize,
    shared: &BTreeMap<String, String>,
    raw: raw::Rule,
) -> Result<Rule, LoadError> {
    let name = |name: Option<Spanned<String>>| name.filter(|name| !name.value.is_empty());
    let (alert, record) = (name(raw.alert), name(raw.record));
    let named = alert.as_ref().or(record.as_ref());
    let at = named.map_or(raw.expr.defined, |name| name.defined);
    let id = RuleId {
        file: file.to_owned(),
        group: group.to_owned(),
        name: named.map_or_else(|| format!("#{}", index + 1), |name| name.value.clone()),
    };
    let refuse = |place: String| {
        let rule = Box::new(id.clone());
        move |Refused { reason, cure }| LoadError::Rule {
            rule,
            place,
            reason,
            cure,
        }
    };
    let expr = expression(&raw.expr.value).map_err(|(refused, offset)| {
        let inside = offset.and_then(|offset| part(text, &raw.expr, offset));
        refuse(inside.unwrap_or_else(|| place(raw.expr.defined)))(refused)
    })?;
    let fields = Fields {
        own: raw::texts(raw.labels),
        annotations: raw::texts(raw.annotations),
        hold_ms: raw.hold.map_or(0, |span| span.0),
        keep_firing_ms: raw.keep_firing_for.map_or(0, |span| span.0),
    };
    let (labels, kind) = match (alert, record) {
        (Some(_), None) => fields.alerting(shared),
        (None, Some(record)) => fields.recording(&record.value, shared),
        (Some(_), Some(_)) => Err(refused(
            "both `alert` and `record` are there",
            "make two rules of it",
        )),
        (None, None) => Err(refused(
            "neither `alert` nor `record` is there",
            "name the alert or the recorded metric",
        )),
    }
    .map_err(refuse(place(at)))?;
    Ok(Rule {
        id,
        expr,
        labels,
        kind,
    })
}

/// Reads an expression; of one that is refused also how many bytes into it that begins for which it
/// is, if that is certain.
fn expression(text: &str) -> Result<crate::expr::Expr, (Refused, Option<usize>)> {
    if text.is_empty() {
        return Err((refused("`expr` is empty", "write an expression"), None));
    }
    check::parse(text).map_err(|unsupported| {
        let place = check::place(text, &unsupported);
        let reason = format!("`expr`: {}", unsupported.0);
        (refused(reason, unsupported.cure()), place)
    })
}

/// `:LINE:COLUMN` of that part of an expression which begins so many bytes into it.
fn part(text: &str, expr: &Spanned<String>, offset: usize) -> Option<String> {
    let span = expr.defined.span();
    let begin = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    let source = text.get(begin..begin.checked_add(length)?)?;
    let before = &text[..begin + inside::find(source, &expr.value, offset)?];
    let line = before.rsplit('\n').next().unwrap_or_default();
    Some(format!(
        ":{}:{}",
        before.matches('\n').count() + 1,
        line.chars().count() + 1
    ))
}

/// What a rule has beside its name and its expression.
struct Fields {
    own: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    hold_ms: i64,
    keep_firing_ms: i64,
}

type Checked = Result<(BTreeMap<String, crate::template::Template>, Kind), Refused>;

impl Fields {
    fn alerting(&self, shared: &BTreeMap<String, String>) -> Checked {
        labels::check("label", &self.own)?;
        labels::check("annotation", &self.annotations)?;
        let all = self.with(shared);
        let kind = Kind::Alerting(Alerting {
            hold_ms: self.hold_ms,
            keep_firing_ms: self.keep_firing_ms,
            annotations: labels::templates("annotation", &self.annotations)?,
            remedy: remedy(&all)?,
        });
        Ok((labels::templates("label", &all)?, kind))
    }

    fn recording(&self, record: &str, shared: &BTreeMap<String, String>) -> Checked {
        if record.contains(['{', '}']) {
            let reason = format!("`{record}` has braces, and is no name for a metric");
            return Err(refused(reason, "write the expression in `expr`"));
        }
        let only_alerts = [
            ("for", self.hold_ms != 0),
            ("keep_firing_for", self.keep_firing_ms != 0),
            ("annotations", !self.annotations.is_empty()),
            ("labels: remedy", self.own.contains_key(REMEDY_LABEL)),
        ];
        if let Some((field, _)) = only_alerts.iter().find(|(_, there)| *there) {
            return Err(refused(
                format!("a recording rule has no `{field}`"),
                "remove it, or make an alert of the rule",
            ));
        }
        labels::check("label", &self.own)?;
        Ok((labels::literal(&self.with(shared)), Kind::Recording))
    }

    /// The labels of the group, and over them those of the rule.
    fn with(&self, shared: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let all = shared.iter().chain(&self.own);
        all.map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// An empty label is no label, as in Prometheus: it takes away what the result has.
fn remedy(labels: &BTreeMap<String, String>) -> Result<Option<Remedy>, Refused> {
    let Some(label) = labels.get(REMEDY_LABEL).filter(|label| !label.is_empty()) else {
        return Ok(None);
    };
    let known = Remedy::ALL
        .into_iter()
        .find(|known| known.as_str() == label);
    known.map(Some).ok_or_else(|| {
        let known = Remedy::ALL.map(Remedy::as_str).join("` and `");
        refused(
            format!("the remedy `{label}` is not known"),
            format!("known are `{known}`; without the label the alert only pages"),
        )
    })
}
