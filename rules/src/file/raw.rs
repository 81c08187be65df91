//! A rule file as it is written: YAML, each field of the kind that it must be, no other field.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_saphyr::Spanned;

use super::{document, owner};
use crate::{duration, millis};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with `groups`")]
pub(super) struct File {
    groups: Option<Vec<Option<Group>>>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a group, which is a mapping with `name` and `rules`"
)]
pub(super) struct Group {
    pub(super) name: Spanned<String>,
    rules: Option<Vec<Option<Rule>>>,
    pub(super) interval: Option<Span>,
    pub(super) limit: Option<Limit>,
    pub(super) query_offset: Option<Span>,
    pub(super) labels: Option<Texts>,
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
    pub(super) labels: Option<Texts>,
    pub(super) annotations: Option<Texts>,
}

impl File {
    /// An item of a list that is nothing is no item, as in Prometheus.
    pub(super) fn into_groups(self) -> impl Iterator<Item = Group> {
        self.groups.into_iter().flatten().flatten()
    }
}

impl Group {
    pub(super) fn take_rules(&mut self) -> impl Iterator<Item = Rule> + use<> {
        self.rules.take().into_iter().flatten().flatten()
    }
}

/// The texts of labels or annotations. As in Prometheus, nothing at all is the empty text, a name
/// that is nothing counts for nothing, and names are the same that are written the same.
#[derive(Default)]
pub(super) struct Texts(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = self::Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of names to texts")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<self::Texts, M::Error> {
                let mut texts = BTreeMap::new();
                while let Some(name) = map.next_key::<Option<String>>()? {
                    let text = map.next_value::<Option<String>>()?.unwrap_or_default();
                    let Some(name) = name else { continue };
                    if texts.contains_key(&name) {
                        return Err(M::Error::custom(format!("`{name}` is there twice")));
                    }
                    texts.insert(name, text);
                }
                Ok(self::Texts(texts))
            }
        }
        deserializer.deserialize_map(Texts)
    }
}

/// The texts of labels or annotations.
pub(super) fn texts(raw: Option<Texts>) -> BTreeMap<String, String> {
    raw.unwrap_or_default().0
}

/// A count as go-yaml reads one into an `int`: of a number with a fraction the whole part, and of
/// a text in quotes nothing.
pub(super) struct Limit(pub(super) i64);

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Count;
        impl Visitor<'_> for Count {
            type Value = Limit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E: Error>(self, count: i64) -> Result<Limit, E> {
                Ok(Limit(count))
            }

            fn visit_u64<E: Error>(self, count: u64) -> Result<Limit, E> {
                let count = i64::try_from(count).map_err(|_| E::custom("is too large a number"))?;
                Ok(Limit(count))
            }

            fn visit_f64<E: Error>(self, count: f64) -> Result<Limit, E> {
                if count.is_finite() && count.abs() < 1e18 {
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "of a fraction, as in Go"
                    )]
                    return Ok(Limit(count as i64));
                }
                Err(E::custom("is no whole number"))
            }
        }
        deserializer.deserialize_any(Count)
    }
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
    let text = document::first(text)?;
    of_document(text).map_err(|error| {
        let owner = error.location().map(|at| owner::of(text, at));
        owner.unwrap_or_default() + &plain(&error)
    })
}

/// Whether a text has more YAML documents than the one that is read.
pub(crate) fn leaves_documents_out(text: &str) -> bool {
    document::others(text)
}

/// Reads the first YAML document into anything; an empty text is what `T` is by default.
pub(crate) fn yaml<T: serde::de::DeserializeOwned + Default>(text: &str) -> Result<T, String> {
    of_document(document::first(text)?).map_err(|error| plain(&error))
}

fn of_document<T>(text: &str) -> Result<T, serde_saphyr::Error>
where
    T: serde::de::DeserializeOwned + Default,
{
    let of_comments = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(of_comments) {
        return Ok(T::default());
    }
    // To go-yaml `010` is eight.
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options::<Option<T>>(text, options).map(Option::unwrap_or_default)
}

/// The words of the deserializer in one line.
fn plain(error: &serde_saphyr::Error) -> String {
    error.without_snippet().to_string().replace('\n', " ")
}
