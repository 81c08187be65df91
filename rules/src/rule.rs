//! A rule that was checked at load, and sets of rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::expr::{Expr, Reach};
use crate::template::Template;
use crate::window::LOOKBACK_MS;
use crate::{LoadError, RuleId};

/// What a rule file's name ends in, when its directory is named.
const SUFFIX: &str = ".rules.yaml";

/// How large a rule file may be, in bytes.
/// The most bytes that a rule file may have.
pub const LARGEST_FILE: u64 = 16 << 20;

/// What the watchdog can do about an alert: the value of its rule's label `remedy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Remedy {
    /// `gc`: free just enough of the store.
    Gc,
    /// `rollback`: undo the last deploy.
    Rollback,
}

impl Remedy {
    /// Every remedy there is.
    pub const ALL: [Self; 2] = [Self::Gc, Self::Rollback];

    /// The remedy as rule files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gc => "gc",
            Self::Rollback => "rollback",
        }
    }
}

impl std::fmt::Display for Remedy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Rules that are evaluated one after the other, on the terms of their group.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) terms: Terms,
    pub(crate) rules: Vec<Rule>,
}

/// What a group says of how its rules are evaluated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// At most one evaluation in each span of so many milliseconds; `None` is each tick.
    pub(crate) interval_ms: Option<i64>,
    /// The most alerts or series that one rule may give; `None` is any number.
    pub(crate) limit: Option<usize>,
    /// How far before the tick the rules are evaluated.
    pub(crate) query_offset_ms: i64,
}

impl Terms {
    /// Whether the group is due at `at_ms`, having been evaluated at `last_ms`.
    ///
    /// As in Prometheus (rules/group.go `EvalTimestamp`, 3.5), spans are counted from the epoch: a
    /// tick that comes a moment early or late does not cost a whole one.
    pub(crate) fn due(self, last_ms: Option<i64>, at_ms: i64) -> bool {
        match (self.interval_ms, last_ms) {
            (Some(interval_ms), Some(last_ms)) => {
                last_ms > at_ms || at_ms.div_euclid(interval_ms) != last_ms.div_euclid(interval_ms)
            }
            _ => true,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    pub(crate) expr: Expr,
    pub(crate) labels: BTreeMap<String, Template>,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Recording,
    Alerting(Alerting),
}

#[derive(Debug, Clone)]
pub(crate) struct Alerting {
    pub(crate) hold_ms: i64,
    pub(crate) keep_firing_ms: i64,
    pub(crate) annotations: BTreeMap<String, Template>,
    pub(crate) remedy: Option<Remedy>,
}

impl Rule {
    pub(crate) fn reach(&self) -> Reach {
        self.expr.reach()
    }
}

/// The rules of one or more files, all of which can be evaluated.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// In the order of evaluation: files as loaded, then groups and rules as written.
    groups: Vec<Group>,
}

impl RuleSet {
    /// Loads rule files; of a directory, every `*.rules.yaml` in name order.
    ///
    /// # Errors
    /// If a file cannot be read or is loaded twice, a directory has no rule file, or any rule is
    /// outside of what can be evaluated: then no rule is loaded at all.
    pub fn load(paths: &[PathBuf]) -> Result<Self, LoadError> {
        let mut files = Vec::new();
        for path in paths {
            files.extend(files_of(path)?);
        }
        let mut seen = BTreeSet::new();
        let mut set = Self::default();
        for path in files {
            let file = path.display().to_string();
            let read = read_steady(&path, text_of);
            let text = read.map_err(|source| LoadError::Read {
                path: path.clone(),
                source,
            })?;
            if !seen.insert(path) {
                return Err(LoadError::FileTwice { file });
            }
            set.groups.extend(Self::parse(&file, &text)?.groups);
        }
        Ok(set)
    }

    /// Reads the text of one rule file; `file` is its name in messages and in [`RuleId`].
    ///
    /// # Errors
    /// If the text is no rule file, or any rule is outside of what can be evaluated.
    pub fn parse(file: &str, text: &str) -> Result<Self, LoadError> {
        crate::file::parse(file, text).map(|groups| Self { groups })
    }

    /// The rules in the text of one file that have the name and the labels of another one there,
    /// as `name{label="value"}`: allowed, but most likely a slip.
    pub fn duplicates(text: &str) -> BTreeSet<String> {
        crate::file::lint::duplicates(text)
    }

    /// Whether the text of a file has more than one YAML document: as in Prometheus, only the first
    /// is read.
    pub fn leaves_documents_out(text: &str) -> bool {
        crate::file::raw::leaves_documents_out(text)
    }

    /// Reads the texts of several rule files, each with its name.
    ///
    /// # Errors
    /// As [`RuleSet::parse`], for the first of them that cannot be used.
    pub fn parse_all<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, LoadError> {
        let mut set = Self::default();
        for (file, text) in files {
            set.groups.extend(Self::parse(file, text)?.groups);
        }
        Ok(set)
    }

    /// For how long samples must be kept so that every rule can be evaluated: the longest range
    /// with its offset, and the five minutes that an instant selector looks back.
    pub fn needed_window(&self) -> Duration {
        let longest = self.needs().map(|(_, needed)| needed).max();
        longest.unwrap_or(span(LOOKBACK_MS))
    }

    /// The same rules, if none of them needs samples of a longer time than `allowed`.
    ///
    /// # Errors
    /// The first rule that does.
    pub fn within(self, allowed: Duration) -> Result<Self, LoadError> {
        let too_far = self.needs().find(|(_, needed)| *needed > allowed);
        let error = too_far.map(|(rule, needed)| LoadError::LooksTooFarBack {
            rule: Box::new(rule.id.clone()),
            needed_seconds: needed.as_secs(),
            allowed_seconds: allowed.as_secs(),
        });
        error.map_or(Ok(self), Err)
    }

    /// The same rules, if they are no more than `most`.
    ///
    /// # Errors
    /// If they are more, with the first that is too many.
    pub fn at_most(self, most: usize) -> Result<Self, LoadError> {
        let rules = self.len();
        if rules <= most {
            return Ok(self);
        }
        let first = self.rules().nth(most).map(|rule| rule.id.to_string());
        Err(LoadError::TooMany {
            first: first.unwrap_or_default(),
            rules,
            most,
        })
    }

    /// For how long each rule needs samples.
    fn needs(&self) -> impl Iterator<Item = (&Rule, Duration)> {
        self.groups.iter().flat_map(|group| {
            group.rules.iter().map(|rule| {
                let Reach { needed_ms, read_ms } = rule.reach();
                let longest = needed_ms.saturating_add(LOOKBACK_MS).max(read_ms);
                (
                    rule,
                    span(longest.saturating_add(group.terms.query_offset_ms)),
                )
            })
        })
    }

    /// Every alerting rule with the remedy that it asks for, in the order of evaluation.
    pub fn alerting(&self) -> impl Iterator<Item = (&RuleId, Option<Remedy>)> {
        self.rules().filter_map(|rule| match &rule.kind {
            Kind::Recording => None,
            Kind::Alerting(alerting) => Some((&rule.id, alerting.remedy)),
        })
    }

    /// How many rules there are, recording rules too.
    pub fn len(&self) -> usize {
        self.rules().count()
    }

    /// Whether there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.groups.iter().flat_map(|group| &group.rules)
    }

    /// The groups in another order: by their names' places in `order`, as `group_eval_order` of a
    /// unit test asks; those that are not in it have the place of the first one.
    pub(crate) fn ordered_by(mut self, order: &[String]) -> Self {
        let place = |group: &Group| {
            let place = order.iter().position(|name| *name == group.name);
            place.unwrap_or_default()
        };
        self.groups.sort_by_key(place);
        self
    }

    pub(crate) fn into_groups(self) -> Vec<Group> {
        self.groups
    }
}

/// Reads a regular file that stays as it is meanwhile: half of one version and half of another may
/// be rules that nobody wrote, and a FIFO or a device may hold a reload up for ever.
fn read_steady(
    path: &Path,
    read: impl FnOnce(&mut File) -> io::Result<String>,
) -> io::Result<String> {
    // Opening a FIFO waits for whoever writes to it, so it is looked at before that too.
    readable(&fs::metadata(path)?)?;
    let mut file = File::open(path)?;
    readable(&file.metadata()?)?;
    let stamp = |file: &File| {
        file.metadata()
            .map(|meta| (meta.len(), meta.modified().ok()))
    };
    let before = stamp(&file)?;
    let text = read(&mut file)?;
    if stamp(&file)? == before {
        Ok(text)
    } else {
        Err(io::Error::other(
            "it changed while it was read; load it again",
        ))
    }
}

fn readable(meta: &fs::Metadata) -> io::Result<()> {
    if !meta.is_file() {
        return Err(io::Error::other(
            "it is not a regular file; put a file, or a link to one, in its place",
        ));
    }
    if meta.len() > LARGEST_FILE {
        return Err(io::Error::other(format!(
            "it has {} bytes, and a rule file may have {LARGEST_FILE}; split it into several",
            meta.len()
        )));
    }
    Ok(())
}

/// Reads no more than a rule file may have, should it grow meanwhile.
fn text_of(file: &mut File) -> io::Result<String> {
    io::read_to_string(file.take(LARGEST_FILE + 1))
}

fn span(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let read_error = |source: io::Error| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    if !fs::metadata(path).map_err(read_error)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(read_error)? {
        let entry = entry.map_err(read_error)?;
        if entry.file_name().to_string_lossy().ends_with(SUFFIX) {
            files.push(entry.path());
        }
    }
    if files.is_empty() {
        return Err(LoadError::NoRules {
            path: path.to_owned(),
        });
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
