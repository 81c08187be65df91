//! A label set: what tells one series from another.

use std::collections::BTreeMap;
use std::fmt;

/// The label that carries the metric's name.
pub(crate) const METRIC_NAME: &str = "__name__";
/// The label that carries the alert's name.
pub(crate) const ALERT_NAME: &str = "alertname";
/// The metric that tells of the alerts that are pending or firing (rules/alerting.go).
pub(crate) const ALERTS: &str = "ALERTS";
/// The metric that tells since when they are.
pub(crate) const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// A label set in name order, the metric's name among it as `__name__`.
///
/// A label with an empty value is the same as no label, as in Prometheus, and is not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// The label set of a metric without labels of its own.
    pub fn metric(name: impl Into<String>) -> Self {
        Self::default().with(METRIC_NAME, name)
    }

    /// The same set with one label set to `value`, or taken away if `value` is empty.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    /// The value of a label; the empty string if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The metric's name; the empty string if there is none.
    pub fn name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// Every label, in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        if value.is_empty() {
            self.0.remove(&name);
        } else {
            self.0.insert(name, value);
        }
    }

    pub(crate) fn without_name(&self) -> Self {
        self.without(&[])
    }

    /// Without what tells which quantity it is: the metric's name, type and unit
    /// (`IsMetadataLabel`, schema/labels.go, Prometheus 3.5).
    pub(crate) fn without_metadata(mut self) -> Self {
        for name in [METRIC_NAME, "__type__", "__unit__"] {
            self.0.remove(name);
        }
        self
    }

    /// The labels of the list; the metric's name only if the list has it.
    pub(crate) fn only(&self, names: &[String]) -> Self {
        names
            .iter()
            .map(|name| (name.as_str(), self.get(name)))
            .collect()
    }

    /// All labels but those of the list and the metric's name.
    pub(crate) fn without(&self, names: &[String]) -> Self {
        self.iter()
            .filter(|(name, _)| *name != METRIC_NAME && !names.iter().any(|n| n == name))
            .collect()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut labels = Self::default();
        for (name, value) in pairs {
            labels.set(name, value);
        }
        labels
    }
}

/// As PromQL writes a series: `name{a="1", b="2"}`; a name that needs quotes has them.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A metric's name may have colons, and then stands before the brace too.
        let before_brace = needs_no_quotes(self.name(), |c| c == ':');
        let name = if before_brace { self.name() } else { "" };
        f.write_str(name)?;
        let mut labels = self
            .iter()
            .filter(|(name, _)| !before_brace || *name != METRIC_NAME)
            .peekable();
        if labels.peek().is_none() && !name.is_empty() {
            return Ok(());
        }
        f.write_str("{")?;
        for (index, (name, value)) in labels.enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let quote = if needs_no_quotes(name, |_| false) {
                ""
            } else {
                "\""
            };
            let (name, value) = (escaped(name), escaped(value));
            write!(f, "{comma}{quote}{name}{quote}=\"{value}\"")?;
        }
        f.write_str("}")
    }
}

/// Whether a name is one of those that Prometheus had before it took any UTF-8
/// (`IsValidLegacy`, prometheus/common).
fn needs_no_quotes(name: &str, also: fn(char) -> bool) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || also(c))
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_with_an_empty_value_is_no_label() {
        let labels = Labels::metric("up").with("job", "nix").with("job", "");
        assert_eq!(labels, Labels::metric("up"));
        assert_eq!(labels.get("job"), "");
    }

    #[test]
    fn a_label_set_is_shown_as_promql_writes_it() {
        let labels = Labels::metric("m")
            .with("b", "a \"quoted\"\nline")
            .with("a", "1");
        assert_eq!(labels.to_string(), r#"m{a="1", b="a \"quoted\"\nline"}"#);
        assert_eq!(Labels::metric("m").to_string(), "m");
        assert_eq!(Labels::default().to_string(), "{}");
        let odd = Labels::metric("a metric").with("é.x", "1");
        assert_eq!(odd.to_string(), r#"{__name__="a metric", "é.x"="1"}"#);
    }

    #[test]
    fn the_metric_name_stays_only_where_it_is_asked_for() {
        let labels = Labels::metric("m").with("a", "1").with("b", "2");
        assert_eq!(
            labels.only(&["a".to_owned()]),
            Labels::default().with("a", "1")
        );
        assert_eq!(
            labels.without(&["a".to_owned()]),
            Labels::default().with("b", "2")
        );
        assert_eq!(labels.only(&[METRIC_NAME.to_owned()]), Labels::metric("m"));
    }
}
