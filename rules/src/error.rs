//! Why rules could not be loaded, or one of them not be evaluated.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Which rule: unique but for two severities of one condition, which share a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleId {
    /// The file, as it was named when it was loaded.
    pub file: String,
    /// The group within the file.
    pub group: String,
    /// The name of the alert, or of the recorded metric.
    pub name: String,
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, group, name } = self;
        write!(f, "{file}: group \"{group}\": rule \"{name}\"")
    }
}

/// Rules that could not be loaded. None of the rules is in force then.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or directory could not be read.
    #[error("cannot read rules from {}: {source}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A directory was named that has no rule file.
    #[error(
        "no rules in {}: no file there is named *.rules.yaml; name the directory of the rule \
         files, or take it out of the configuration",
        path.display()
    )]
    NoRules {
        /// The directory.
        path: PathBuf,
    },
    /// A file is not YAML, or has a field that rule files do not have.
    #[error("{file}: not a Prometheus rule file: {reason}")]
    Yaml {
        /// The file.
        file: String,
        /// Line, column and what is wrong there.
        reason: String,
    },
    /// There are more rules than may be in force.
    #[error(
        "{first}: {rules} rules are more than the {most} that may be in force, and this is the \
         first beyond; take rule files out of `rules.files`, or leave some of the rules to \
         Prometheus"
    )]
    TooMany {
        /// The first rule that is too many.
        first: String,
        /// How many rules there are.
        rules: usize,
        /// How many there may be.
        most: usize,
    },
    /// A rule looks further back than samples may be kept.
    #[error(
        "{rule}: it needs samples of {needed_seconds} s, and they may be kept for at most \
         {allowed_seconds} s; shorten its range, or raise `rules.window`"
    )]
    LooksTooFarBack {
        /// The rule.
        rule: Box<RuleId>,
        /// How far it looks back, with the lookback of its selectors and its group's offset.
        needed_seconds: u64,
        /// How far it may.
        allowed_seconds: u64,
    },
    /// A file is loaded twice.
    #[error("{file}: named twice; every alert of it would be there twice, name it once")]
    FileTwice {
        /// The file.
        file: String,
    },
    /// A group cannot be used as it is.
    #[error("{file}{place}: group \"{group}\": {reason}; {cure}")]
    Group {
        /// The file.
        file: String,
        /// `:LINE:COLUMN` in it; empty if not known.
        place: String,
        /// The group.
        group: String,
        /// What is wrong.
        reason: String,
        /// What to do about it.
        cure: String,
    },
    /// A rule cannot be used as it is.
    #[error(
        "{}{place}: group \"{}\": rule \"{}\": {reason}; {cure}", rule.file, rule.group, rule.name
    )]
    Rule {
        /// The rule; by its place in the group, if it has no name.
        rule: Box<RuleId>,
        /// `:LINE:COLUMN` in the file; empty if not known.
        place: String,
        /// What is wrong.
        reason: String,
        /// What to do about it.
        cure: String,
    },
}

/// Why a rule gave no answer at one evaluation. Its alerts stay as they were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Samples have been collected for a shorter time than the rule looks back.
    #[error(
        "the rule looks back {needed_ms} ms, and samples have been collected for {collected_ms} ms"
    )]
    WindowTooShort {
        /// How far the rule looks back.
        needed_ms: i64,
        /// For how long samples have been collected.
        collected_ms: i64,
    },
    /// A metric that the rule reads could not be collected this time: that it is not there says
    /// nothing.
    #[error("the metric {metric} could not be collected, so the rule is blind")]
    Unseen {
        /// The first such metric.
        metric: String,
    },
    /// The expression has no answer over the samples at hand.
    #[error("cannot evaluate the expression: {0}")]
    Evaluation(String),
    /// Two results would become alerts, or series, that cannot be told apart.
    #[error(
        "two results have the same labels {labels} once the rule's own are set; \
         let the expression give each its own labels"
    )]
    SameLabels {
        /// The labels, as PromQL writes them.
        labels: String,
    },
    /// The rule gave more than its group allows. As in Prometheus, its alerts are gone then.
    #[error("{given} alerts or series exceed the group's `limit` of {limit}")]
    Limit {
        /// How many it gave.
        given: usize,
        /// How many it may give.
        limit: usize,
    },
    /// What a recording rule gave could not be kept.
    #[error("cannot record: {0}")]
    Record(#[from] crate::AppendError),
}
