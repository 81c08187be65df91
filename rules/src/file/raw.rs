//! A rule file as it is written: YAML, each field of the kind that it must be, no other field.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_saphyr::Spanned;

use crate::{duration, millis};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with `groups`")]
pub(super) struct File {
    pub(super) groups: Option<Vec<Group>>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a group, which is a mapping with `name` and `rules`"
)]
pub(super) struct Group {
    pub(super) name: Spanned<String>,
    pub(super) rules: Option<Vec<Rule>>,
    pub(super) interval: Option<Span>,
    pub(super) limit: Option<i64>,
    pub(super) query_offset: Option<Span>,
    pub(super) labels: Option<BTreeMap<String, Text>>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a rule, which is a mapping with `alert` or `record`, and `expr`"
)]
pub(super) struct Rule {
    pub(super) record: Option<Spanned<String>>,
    pub(super) alert: Option<Spanned<String>>,
    pub(super) expr: Spanned<String>,
    #[serde(rename = "for")]
    pub(super) hold: Option<Span>,
    pub(super) keep_firing_for: Option<Span>,
    pub(super) labels: Option<BTreeMap<String, Text>>,
    pub(super) annotations: Option<BTreeMap<String, Text>>,
}

/// A text; nothing at all is the empty one, as in Prometheus.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Text(Option<String>);

/// The texts of labels or annotations.
pub(super) fn texts(raw: Option<BTreeMap<String, Text>>) -> BTreeMap<String, String> {
    let raw = raw.unwrap_or_default().into_iter();
    raw.map(|(name, Text(text))| (name, text.unwrap_or_default()))
        .collect()
}

/// A duration in milliseconds, written as Prometheus does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span(pub(crate) i64);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 30s, 5m or 1h30m")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                let span = duration::parse(text);
                if span.is_some_and(|span| span > duration::LONGEST) {
                    return Err(E::custom(format!(
                        "`{text}` is too long a duration; Prometheus holds at most 292 years"
                    )));
                }
                span.map(|span| Span(millis(span))).ok_or_else(|| {
                    E::custom(format!(
                        "`{text}` is no duration; write it like 30s, 5m or 1h30m"
                    ))
                })
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Reads YAML; the error is one line for people, with the place.
pub(super) fn read(text: &str) -> Result<File, String> {
    yaml(text)
}

/// Reads one YAML document into anything; an empty text is what `T` is by default.
pub(crate) fn yaml<T: serde::de::DeserializeOwned + Default>(text: &str) -> Result<T, String> {
    let of_comments = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(of_comments) {
        return Ok(T::default());
    }
    let first = text.lines().find(|line| !of_comments(line));
    if first.is_some_and(|line| line.starts_with('\t')) {
        return Err("it begins with a tab, which YAML does not allow".to_owned());
    }
    serde_saphyr::from_str::<Option<T>>(text)
        .map(Option::unwrap_or_default)
        .map_err(|error| plain(&error.without_snippet().to_string()))
}

/// The words of the deserializer without those that only a programmer knows.
fn plain(reason: &str) -> String {
    reason.replace('\n', " ")
}
