//! Rules that are there twice (cmd/promtool/main.go `checkDuplicates`, Prometheus 3.5).

use std::collections::{BTreeMap, BTreeSet};

use super::raw;

/// The rules of one file that have the name and the labels of another one, each once, as
/// `name{label="value"}`. Of a text that is no rule file, none.
pub(crate) fn duplicates(text: &str) -> BTreeSet<String> {
    let Ok(file) = raw::read(text) else {
        return BTreeSet::new();
    };
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for rule in file.into_groups().flat_map(|mut group| group.take_rules()) {
        let name = |name: Option<serde_saphyr::Spanned<String>>| {
            name.map(|name| name.value).filter(|name| !name.is_empty())
        };
        let name = name(rule.alert).or(name(rule.record)).unwrap_or_default();
        let key = (name, raw::texts(rule.labels));
        if !seen.insert(key.clone()) {
            twice.insert(shown(&key));
        }
    }
    twice
}

fn shown((name, labels): &(String, BTreeMap<String, String>)) -> String {
    let labels = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"));
    format!("{name}{{{}}}", labels.collect::<Vec<_>>().join(", "))
}
