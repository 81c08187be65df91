//! The functions of templates: those of Go's `text/template` and those that Prometheus adds.

/// A function that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    And,
    Or,
    Not,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Len,
    Index,
    Print,
    Println,
    Printf,
    Args,
    Humanize,
    Humanize1024,
    HumanizeDuration,
    HumanizePercentage,
    HumanizeTimestamp,
    Title,
    ToUpper,
    ToLower,
    Match,
    ReReplaceAll,
    SafeHtml,
    StripPort,
    StripDomain,
    GraphLink,
    TableLink,
    ParseDuration,
    ToTime,
}

use Function as F;

/// Each function by its name, with the fewest and the most arguments that it takes.
const ALL: [(&str, Function, usize, usize); 32] = [
    ("and", F::And, 1, usize::MAX),
    ("or", F::Or, 1, usize::MAX),
    ("not", F::Not, 1, 1),
    ("eq", F::Equal, 2, usize::MAX),
    ("ne", F::NotEqual, 2, 2),
    ("lt", F::Less, 2, 2),
    ("le", F::LessOrEqual, 2, 2),
    ("gt", F::Greater, 2, 2),
    ("ge", F::GreaterOrEqual, 2, 2),
    ("len", F::Len, 1, 1),
    ("index", F::Index, 2, 2),
    ("print", F::Print, 0, usize::MAX),
    ("println", F::Println, 0, usize::MAX),
    ("printf", F::Printf, 1, usize::MAX),
    ("args", F::Args, 0, usize::MAX),
    ("humanize", F::Humanize, 1, 1),
    ("humanize1024", F::Humanize1024, 1, 1),
    ("humanizeDuration", F::HumanizeDuration, 1, 1),
    ("humanizePercentage", F::HumanizePercentage, 1, 1),
    ("humanizeTimestamp", F::HumanizeTimestamp, 1, 1),
    ("title", F::Title, 1, 1),
    ("toUpper", F::ToUpper, 1, 1),
    ("toLower", F::ToLower, 1, 1),
    ("match", F::Match, 2, 2),
    ("reReplaceAll", F::ReReplaceAll, 3, 3),
    ("safeHtml", F::SafeHtml, 1, 1),
    ("stripPort", F::StripPort, 1, 1),
    ("stripDomain", F::StripDomain, 1, 1),
    ("graphLink", F::GraphLink, 1, 1),
    ("tableLink", F::TableLink, 1, 1),
    ("parseDuration", F::ParseDuration, 1, 1),
    ("toTime", F::ToTime, 1, 1),
];

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        let found = ALL.iter().find(|(known, ..)| *known == name);
        found.map(|(_, function, ..)| *function)
    }

    /// Whether it takes so many arguments.
    pub(super) fn takes(self, arguments: usize) -> bool {
        ALL.iter().any(|(_, function, fewest, most)| {
            *function == self && (*fewest..=*most).contains(&arguments)
        })
    }

    pub(super) fn name(self) -> &'static str {
        let found = ALL.iter().find(|(_, function, ..)| *function == self);
        found.map_or("", |(name, ..)| *name)
    }
}

/// Why a function of Go or of Prometheus is not there.
pub(super) fn why_not(name: &str) -> &'static str {
    match name {
        "query" | "first" | "value" | "label" | "strvalue" | "sortByLabel" => {
            "a template makes no query of its own here"
        }
        "externalURL" | "pathPrefix" => "the watchdog has no address of its own",
        "define" | "template" | "block" | "tmpl" => "a template stands alone",
        "now" | "toDuration" => "Prometheus 3.5 does not have it",
        "break" | "continue" | "call" | "html" | "js" | "slice" | "urlquery" | "urlQueryEscape" => {
            "it is not supported"
        }
        _ => "there is no such function",
    }
}
