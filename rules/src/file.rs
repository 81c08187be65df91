//! Prometheus rule files, read strictly (`model/rulefmt/rulefmt.go`, Prometheus 3.5).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::labels::{METRIC_NAME, is_label_name, is_metric_name};
use crate::rule::{Alerting, Kind, Remedy, Rule};
use crate::template::{self, Template};
use crate::{LoadError, RuleId, check, duration, millis};

/// The label by which a rule asks for healing.
const REMEDY_LABEL: &str = "remedy";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    groups: Vec<RawGroup>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    name: String,
    rules: Vec<RawRule>,
    interval: Option<IgnoredAny>,
    limit: Option<IgnoredAny>,
    query_offset: Option<IgnoredAny>,
    labels: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    record: Option<String>,
    alert: Option<String>,
    expr: String,
    #[serde(rename = "for")]
    hold: Option<String>,
    keep_firing_for: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Reads the text of one rule file.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Rule>, LoadError> {
    let raw = serde_saphyr::from_str::<RawFile>(text).map_err(|error| LoadError::Yaml {
        file: file.to_owned(),
        reason: error.without_snippet().to_string(),
    })?;
    let mut names = BTreeSet::new();
    let mut rules = Vec::new();
    for group in raw.groups {
        check_group(file, &group, &mut names)?;
        for (index, rule) in group.rules.into_iter().enumerate() {
            rules.push(self::rule(file, &group.name, index, rule)?);
        }
    }
    Ok(rules)
}

fn check_group(
    file: &str,
    group: &RawGroup,
    names: &mut BTreeSet<String>,
) -> Result<(), LoadError> {
    let refused = |reason: &str, cure: &str| LoadError::Group {
        file: file.to_owned(),
        group: group.name.clone(),
        reason: reason.to_owned(),
        cure: cure.to_owned(),
    };
    if group.name.is_empty() {
        return Err(refused("the group has no name", "give it one"));
    }
    if !names.insert(group.name.clone()) {
        return Err(refused(
            "two groups of this name are in the file",
            "rename one of them",
        ));
    }
    let unsupported = [
        (
            &group.interval,
            "`interval` is not supported",
            "remove it: the watchdog evaluates every group each time it collects",
        ),
        (&group.limit, "`limit` is not supported", "remove it"),
        (
            &group.query_offset,
            "`query_offset` is not supported",
            "remove it, or write `offset` in the expressions",
        ),
        (
            &group.labels,
            "`labels` of a group are not supported",
            "write them in each rule",
        ),
    ];
    match unsupported.iter().find(|(field, ..)| field.is_some()) {
        Some((_, reason, cure)) => Err(refused(reason, cure)),
        None => Ok(()),
    }
}

/// Why a rule is refused, and what to do about it.
struct Refused {
    reason: String,
    cure: String,
}

fn refused(reason: impl Into<String>, cure: impl Into<String>) -> Refused {
    Refused {
        reason: reason.into(),
        cure: cure.into(),
    }
}

fn rule(file: &str, group: &str, index: usize, raw: RawRule) -> Result<Rule, LoadError> {
    let name = raw.alert.as_ref().or(raw.record.as_ref());
    let id = RuleId {
        file: file.to_owned(),
        group: group.to_owned(),
        name: name.map_or_else(|| format!("#{}", index + 1), Clone::clone),
    };
    checked(&id, raw).map_err(|Refused { reason, cure }| LoadError::Rule {
        rule: id,
        reason,
        cure,
    })
}

fn checked(id: &RuleId, raw: RawRule) -> Result<Rule, Refused> {
    let expr = check::parse(&raw.expr).map_err(|check::Unsupported(reason)| {
        refused(format!("`expr`: {reason}"), check::SUPPORTED)
    })?;
    let kind = match (&raw.alert, &raw.record) {
        (Some(alert), None) => alerting(alert, &raw)?,
        (None, Some(record)) => recording(record, &raw)?,
        (Some(_), Some(_)) => {
            return Err(refused(
                "both `alert` and `record` are there",
                "make two rules of it",
            ));
        }
        (None, None) => {
            let reason = "neither `alert` nor `record` is there";
            return Err(refused(reason, "name the alert or the recorded metric"));
        }
    };
    let labels = templates("label", &raw.labels)?;
    if labels.contains_key(METRIC_NAME) {
        let cure = "take the label away";
        return Err(refused("`__name__` cannot be set by a label", cure));
    }
    Ok(Rule {
        id: id.clone(),
        expr,
        labels,
        kind,
    })
}

fn alerting(alert: &str, raw: &RawRule) -> Result<Kind, Refused> {
    if alert.is_empty() {
        return Err(refused("`alert` is empty", "name the alert"));
    }
    Ok(Kind::Alerting(Alerting {
        hold_ms: duration_ms("for", raw.hold.as_deref())?,
        keep_firing_ms: duration_ms("keep_firing_for", raw.keep_firing_for.as_deref())?,
        annotations: templates("annotation", &raw.annotations)?,
        remedy: remedy(raw)?,
    }))
}

fn recording(record: &str, raw: &RawRule) -> Result<Kind, Refused> {
    if !is_metric_name(record) {
        let reason = format!("`{record}` is no name for a metric");
        return Err(refused(reason, "use letters, digits, `_` and `:`"));
    }
    let only_alerts = [
        ("for", raw.hold.is_some()),
        ("keep_firing_for", raw.keep_firing_for.is_some()),
        ("annotations", !raw.annotations.is_empty()),
        ("labels: remedy", raw.labels.contains_key(REMEDY_LABEL)),
    ];
    match only_alerts.iter().find(|(_, there)| *there) {
        Some((field, _)) => Err(refused(
            format!("a recording rule has no `{field}`"),
            "remove it, or make an alert of the rule",
        )),
        None => Ok(Kind::Recording),
    }
}

/// An empty label is no label, as in Prometheus: it takes away what the result has.
fn remedy(raw: &RawRule) -> Result<Option<Remedy>, Refused> {
    let Some(label) = raw
        .labels
        .get(REMEDY_LABEL)
        .filter(|label| !label.is_empty())
    else {
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

fn duration_ms(field: &str, text: Option<&str>) -> Result<i64, Refused> {
    let Some(text) = text else {
        return Ok(0);
    };
    duration::parse(text).map(millis).ok_or_else(|| {
        refused(
            format!("`{field}: {text}` is no duration"),
            "write it like 30s, 5m or 1h30m",
        )
    })
}

fn templates(
    what: &str,
    raw: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Template>, Refused> {
    let mut templates = BTreeMap::new();
    for (name, text) in raw {
        if !is_label_name(name) {
            let reason = format!("`{name}` is no name for a {what}");
            return Err(refused(reason, "use letters, digits and `_`"));
        }
        let template = Template::parse(text).map_err(|action| {
            refused(
                format!("the template `{action}` of the {what} `{name}` is not supported"),
                template::SUPPORTED,
            )
        })?;
        templates.insert(name.clone(), template);
    }
    Ok(templates)
}

#[cfg(test)]
mod tests;
