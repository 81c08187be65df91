//! One line of the journal: a decision, an act or a refusal, with its reason.

use serde::{Deserialize, Serialize};

/// The remedies that exist. A rule asks for one by its label `remedy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Remedy {
    /// Emergency garbage collection.
    Gc,
    /// Going back to the last known good system generation.
    Rollback,
}

impl Remedy {
    /// The name as rules, metrics and the journal write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gc => "gc",
            Self::Rollback => "rollback",
        }
    }
}

/// How far a remedy may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The alert is evaluated, the remedy is not.
    Off,
    /// Everything but the act.
    #[default]
    Observe,
    /// The act, too.
    Act,
}

impl Mode {
    /// The word as metrics, logs and the journal write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Act => "act",
        }
    }
}

/// What kind of line it is. The order is that of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// An alert asks for the remedy.
    Trip,
    /// What will be done, and what it frees or restores.
    Plan,
    /// The remedy was not carried out; the reason says why.
    Refused,
    /// A verb was carried out on the host (or would have been, in observe mode).
    Act,
    /// The host was read again after an act.
    Verify,
    /// The remedy reached what it promised.
    Done,
    /// The remedy ended without reaching it.
    Failed,
    /// A change of state worth remembering: an activation seen, a trial settled.
    State,
}

impl Step {
    /// The word as logs and the journal write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trip => "trip",
            Self::Plan => "plan",
            Self::Refused => "refused",
            Self::Act => "act",
            Self::Verify => "verify",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::State => "state",
        }
    }
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When, milliseconds since the epoch.
    pub at_ms: i64,
    /// Which incident the line belongs to; all lines of one story share it.
    pub incident: String,
    /// For which remedy.
    pub remedy: Remedy,
    /// In which mode.
    pub mode: Mode,
    /// What kind of line.
    pub step: Step,
    /// A stable word for machines: the reason of a refusal, the verb of an act.
    pub reason: String,
    /// One sentence for people.
    pub message: String,
    /// Numbers and names behind the sentence.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub facts: serde_json::Value,
}

/// Where records go. The journal is one; tests have others.
pub trait Recorder {
    /// Keeps a record. Never fails and never blocks a remedy: a journal that cannot be written
    /// says so by itself.
    fn record(&mut self, record: Record);
}

impl Recorder for Vec<Record> {
    fn record(&mut self, record: Record) {
        self.push(record);
    }
}
