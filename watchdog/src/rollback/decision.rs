//! What the state machine decided, worded for the journal.

use serde_json::{Value, json};

use super::{
    facts::{Deploy, GenerationId},
    state::{Bad, incident},
};
use crate::record::{Mode, Record, Remedy, Step};

/// A decision, to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Which incident it belongs to: `rollback-` and when the activation began, in milliseconds.
    pub incident: String,
    /// What kind of line it is.
    pub step: Step,
    /// A stable word.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
    /// What is behind it.
    pub facts: Value,
}

impl Decision {
    /// The decision as a line of the journal.
    pub fn into_record(self, mode: Mode, at_ms: i64) -> Record {
        Record {
            at_ms,
            incident: self.incident,
            remedy: Remedy::Rollback,
            mode,
            step: self.step,
            reason: self.reason.to_owned(),
            message: self.message,
            facts: self.facts,
        }
    }

    pub(super) fn about(
        bad: &Bad,
        step: Step,
        reason: &'static str,
        message: String,
        target: Option<&GenerationId>,
    ) -> Self {
        Self {
            incident: bad.incident(),
            step,
            reason,
            message,
            facts: json!({ "bad": bad.deploy, "alert": bad.alert, "target": target }),
        }
    }

    pub(super) fn of_updater(
        incident: &str,
        closure: &str,
        step: Step,
        reason: &'static str,
        message: String,
    ) -> Self {
        Self {
            incident: incident.to_owned(),
            step,
            reason,
            message,
            facts: json!({ "closure": closure }),
        }
    }

    pub(super) fn of_fleet(now: i64, step: Step, reason: &'static str, message: String) -> Self {
        Self {
            incident: incident(now),
            step,
            reason,
            message,
            facts: Value::Null,
        }
    }

    pub(super) fn of_deploy(
        deploy: &Deploy,
        since_ms: i64,
        reason: &'static str,
        message: String,
    ) -> Self {
        Self {
            incident: incident(since_ms),
            step: Step::State,
            reason,
            message,
            facts: json!({ "deploy": deploy }),
        }
    }
}

/// How people are told of a deploy.
pub(super) fn name(deploy: &Deploy) -> String {
    match &deploy.generation {
        Some(generation) => name_of(generation),
        None => format!("{:?} (no generation)", deploy.store_path),
    }
}

/// How people are told of a generation.
pub(super) fn name_of(generation: &GenerationId) -> String {
    if !generation.has_link() {
        return format!("{:?} (no generation)", generation.store_path);
    }
    format!(
        "generation {} ({:?})",
        generation.number, generation.store_path
    )
}
