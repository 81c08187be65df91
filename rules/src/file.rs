//! Prometheus rule files, read strictly (`model/rulefmt/rulefmt.go`, Prometheus 3.5).

use std::collections::BTreeSet;

use serde_saphyr::Location;

use crate::LoadError;
use crate::rule::{Group, Terms};

mod document;
mod inside;
mod labels;
pub(crate) mod lint;
mod owner;
pub(crate) mod raw;
mod rule;

/// Reads the text of one rule file. An empty one has no rules, as in Prometheus.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Group>, LoadError> {
    let raw = raw::read(text).map_err(|reason| LoadError::Yaml {
        file: file.to_owned(),
        reason,
    })?;
    let mut names = BTreeSet::new();
    raw.into_groups()
        .map(|raw| group(file, text, raw, &mut names))
        .collect::<Result<_, _>>()
}

fn group(
    file: &str,
    text: &str,
    mut raw: raw::Group,
    names: &mut BTreeSet<String>,
) -> Result<Group, LoadError> {
    let rules = raw.take_rules();
    let at = place(raw.name.defined);
    let name = raw.name.value;
    let refuse = |Refused { reason, cure }| LoadError::Group {
        file: file.to_owned(),
        place: at.clone(),
        group: name.clone(),
        reason,
        cure,
    };
    if name.is_empty() {
        return Err(refuse(refused("the group has no name", "give it one")));
    }
    if !names.insert(name.clone()) {
        return Err(refuse(refused(
            "two groups of this name are in the file",
            "rename one of them",
        )));
    }
    let shared = raw::texts(raw.labels);
    labels::check("label", &shared).map_err(refuse)?;
    let positive = |ms: i64| (ms > 0).then_some(ms);
    let terms = Terms {
        interval_ms: positive(raw.interval.map_or(0, |given| given.0)),
        limit: raw
            .limit
            .and_then(|raw::Limit(limit)| usize::try_from(limit).ok()),
        query_offset_ms: raw.query_offset.map_or(0, |given| given.0),
    };
    let terms = Terms {
        limit: terms.limit.filter(|limit| *limit > 0),
        ..terms
    };
    let rules = rules.enumerate();
    let rules = rules.map(|(index, raw)| rule::rule(file, text, &name, index, &shared, raw));
    let rules = rules.collect::<Result<_, _>>()?;
    Ok(Group { name, terms, rules })
}

/// Why something is refused, and what to do about it.
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

/// `:LINE:COLUMN`, as it follows the name of a file; nothing where the place is not known.
fn place(at: Location) -> String {
    if at == Location::UNKNOWN {
        String::new()
    } else {
        format!(":{}:{}", at.line(), at.column())
    }
}

#[cfg(test)]
mod tests;
