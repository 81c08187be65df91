//! The labels and annotations of rules and groups.

use std::collections::BTreeMap;

use super::{Refused, refused};
use crate::labels::METRIC_NAME;
use crate::template::{self, Template};

/// Names are any text but the empty one and `__name__`, as in Prometheus 3.
pub(super) fn check(what: &str, raw: &BTreeMap<String, String>) -> Result<(), Refused> {
    for name in raw.keys() {
        if name.is_empty() {
            let reason = format!("a {what} has no name");
            return Err(refused(reason, "give it one"));
        }
        if name == METRIC_NAME && what == "label" {
            let cure = "take the label away";
            return Err(refused("`__name__` cannot be set by a label", cure));
        }
    }
    Ok(())
}

/// Labels as they are: a recording rule fills nothing in.
pub(super) fn literal(raw: &BTreeMap<String, String>) -> BTreeMap<String, Template> {
    let literal = |(name, text): (&String, &String)| (name.clone(), Template::literal(text));
    raw.iter().map(literal).collect()
}

pub(super) fn templates(
    what: &str,
    raw: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Template>, Refused> {
    let mut templates = BTreeMap::new();
    for (name, text) in raw {
        let template = Template::parse(text).map_err(|reason| {
            refused(
                format!("the template of the {what} `{name}`: {reason}"),
                template::CURE,
            )
        })?;
        templates.insert(name.clone(), template);
    }
    Ok(templates)
}
