//! Which rule has what is wrong in a file that is YAML, but no rule file.

use serde::Deserialize;
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

#[derive(Deserialize)]
struct File {
    groups: Vec<Option<Spanned<Group>>>,
}

#[derive(Deserialize)]
struct Group {
    name: Option<String>,
    #[serde(default)]
    rules: Vec<Option<Spanned<Rule>>>,
}

#[derive(Deserialize)]
struct Rule {
    alert: Option<String>,
    record: Option<String>,
}

/// `group "NAME": rule "NAME": `, as far as a place is in one; otherwise nothing.
pub(super) fn of(text: &str, at: Location) -> String {
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    let Ok(file) = serde_saphyr::from_str_with_options::<File>(text, options) else {
        return String::new();
    };
    let groups = file.groups.into_iter().flatten();
    let Some(group) = last(groups, text, at) else {
        return String::new();
    };
    let name = group.name.unwrap_or_default();
    let rules = group.rules.into_iter().flatten().enumerate();
    let rules = rules.map(|(index, rule)| Spanned {
        value: (index, rule.value),
        referenced: rule.referenced,
        defined: rule.defined,
    });
    let rule = last(rules, text, at).map(|(index, rule)| {
        let named = rule.alert.or(rule.record).filter(|name| !name.is_empty());
        named.unwrap_or_else(|| format!("#{}", index + 1))
    });
    match rule {
        Some(rule) => format!("group {name:?}: rule {rule:?}: "),
        None => format!("group {name:?}: "),
    }
}

/// The last one that begins before the place, if the place is in it.
fn last<T>(all: impl Iterator<Item = Spanned<T>>, text: &str, at: Location) -> Option<T> {
    let offset = |at: Location| usize::try_from(at.span().byte_offset()?).ok();
    let end = offset(at)?;
    let before = |one: &Spanned<T>| offset(one.defined).is_some_and(|begin| begin <= end);
    let one = all.filter(before).last()?;
    let between = text.get(offset(one.defined)?..end)?;
    let inside = if between.starts_with('{') {
        between.matches('{').count() > between.matches('}').count()
    } else {
        at.column() >= one.defined.column()
    };
    inside.then_some(one.value)
}
