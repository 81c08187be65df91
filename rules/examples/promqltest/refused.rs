//! The list of what is refused of the suite, each with the reason: nothing is refused that is not
//! written there, and nothing is written there that is not refused.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why an evaluation of the suite has no answer of ours, or another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// A native histogram is expected.
    HistogramExpected,
    /// Native histograms are among what the query reads, and they have a part in the answer.
    HistogramData,
    /// A function for native histograms, or one that Prometheus calls experimental.
    Function,
    /// What Prometheus itself answers is a matter of chance.
    Uncertain,
    /// Anything else that is refused by name.
    Other,
}

impl Reason {
    const ALL: [(Self, &str); 5] = [
        (Self::HistogramExpected, "native-histogram-expected"),
        (Self::HistogramData, "native-histogram-data"),
        (Self::Function, "experimental-function"),
        (Self::Uncertain, "uncertain-labels"),
        (Self::Other, "other"),
    ];

    /// Of the words in which a query is refused.
    pub(crate) fn of_refusal(refusal: &str) -> Self {
        if refusal.contains("experimental") || refusal.contains("native histograms") {
            Self::Function
        } else if refusal.contains("no certain") {
            Self::Uncertain
        } else {
            Self::Other
        }
    }

    pub(crate) fn is_about_histograms(self) -> bool {
        matches!(self, Self::HistogramExpected | Self::HistogramData)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::ALL.iter().find(|(reason, _)| reason == self);
        f.write_str(word.map_or("other", |(_, word)| word))
    }
}

/// By file and line.
pub(crate) type Refused = BTreeMap<(String, usize), Reason>;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("acceptance-refused.txt")
}

pub(crate) fn load() -> io::Result<Refused> {
    let text = fs::read_to_string(path())?;
    let lines = text.lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| entry(line).ok_or_else(|| io::Error::other(format!("not an entry: {line}"))))
        .collect()
}

fn entry(line: &str) -> Option<((String, usize), Reason)> {
    let (place, word) = line.split_once(' ')?;
    let (file, line) = place.split_once(':')?;
    let (reason, _) = Reason::ALL.iter().find(|(_, known)| *known == word)?;
    Some(((file.to_owned(), line.parse().ok()?), *reason))
}

/// Writes the list anew, for `SNOWGUARD_BLESS=1`.
pub(crate) fn write(refused: &Refused) -> io::Result<()> {
    let head = "# What is refused of Prometheus 3.5.5's acceptance suite: file, line and reason.\n\
                # Written by `SNOWGUARD_BLESS=1 cargo test -p snowguard-rules --test acceptance`.\n";
    let lines = refused
        .iter()
        .map(|((file, line), reason)| format!("{file}:{line} {reason}\n"));
    fs::write(path(), head.to_owned() + &lines.collect::<String>())
}
