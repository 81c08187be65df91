//! What a collection tells the journal: the plan, each act, and how it ended.

use serde_json::json;
use snowguard_host::{FactError, LeftOverKind, store::FileSystem};

use super::{End, Plan, Refusal, Report, Run};
use crate::{
    gc::{
        ladder::{StaleRoot, Victim},
        policy::Space,
    },
    record::{Record, Remedy, Step},
};

impl Run<'_> {
    pub(super) fn announce(&mut self, plan: &Plan, round: usize) {
        let generation =
            |victim: &Victim| format!("{} of {}", victim.id.number, victim.profile.display());
        let root = |root: &StaleRoot| root.link.display().to_string();
        let directories = plan.left_overs.count(LeftOverKind::BuildDirectory);
        let logs = plan.left_overs.count(LeftOverKind::Log);
        // Each step with what it frees after those before it.
        let mut steps = vec![format!(
            "delete {} dead entries, which frees {}",
            plan.dead_entries(),
            plan.dead.frees
        )];
        if directories + logs > 0 {
            steps.push(format!(
                "remove {directories} left-over build directories and {logs} old build logs ({})",
                plan.left_overs.frees
            ));
        }
        let bytes = crate::text::bytes;
        steps.extend(plan.victims.iter().map(|victim| {
            let frees = bytes(victim.frees.bytes);
            format!("give up generation {} ({frees})", generation(victim))
        }));
        steps.extend(plan.roots.iter().map(|stale| {
            let frees = bytes(stale.frees.bytes);
            format!("give up the root {} ({frees})", root(stale))
        }));
        let reach = if plan.reaches_target() {
            ""
        } else {
            "; this does not reach the target"
        };
        let message = format!(
            "{} are missing to the target: {}; {} in all{reach}. Never touched: {}",
            plan.missing(),
            steps.join(", then "),
            plan.promised,
            plan.kept,
        );
        let generations: Vec<String> = plan.victims.iter().map(generation).collect();
        let roots: Vec<String> = plan.roots.iter().map(root).collect();
        self.record(
            Step::Plan,
            if round == 0 { "plan" } else { "plan_again" },
            message,
            json!({
                "need": plan.missing(),
                "promised": plan.promised,
                "dead_entries": plan.dead_entries(),
                "dead_frees": plan.dead.frees,
                "build_directories": directories,
                "logs": logs,
                "left_overs_free": plan.left_overs.frees,
                "generations": generations,
                "roots": roots,
                "reaches_target": plan.reaches_target(),
                "unmeasured": plan.dead.unmeasured,
                "unreadable": plan.left_overs.unreadable,
            }),
        );
    }

    pub(super) fn would(&mut self, plan: &Plan) {
        if !plan.dead.groups.is_empty() {
            let message = format!(
                "would delete {} dead entries through Nix",
                plan.dead_entries()
            );
            self.record(Step::Act, "would_delete_paths", message, json!(null));
        }
        if !plan.left_overs.chosen.is_empty() {
            let message = format!(
                "would remove {} left-over build directories and {} old build logs, which frees {}",
                plan.left_overs.count(LeftOverKind::BuildDirectory),
                plan.left_overs.count(LeftOverKind::Log),
                plan.left_overs.frees
            );
            self.record(Step::Act, "would_remove_left_overs", message, json!(null));
        }
        for root in &plan.roots {
            let message = format!("would give up the root {:?} of {:?}", root.auto, root.link);
            self.record(Step::Act, "would_remove_root", message, json!(null));
        }
        for victim in &plan.victims {
            let message = format!(
                "would give up generation {} of {:?}",
                victim.id.number, victim.profile
            );
            self.record(Step::Act, "would_remove_generation", message, json!(null));
        }
    }

    /// `after` is the file system as it was read for the report.
    pub(super) fn conclude(&mut self, report: &Report, after: Result<FileSystem, FactError>) {
        let numbers = json!({"promised": report.promised, "freed": report.freed});
        match &report.end {
            End::Reached => {
                let missing = (after.as_ref()).map_or(Space::NONE, |now| self.policy.need(now));
                let verified = match after {
                    Ok(now) => format!("read again: {} are free", Space::free(&now)),
                    Err(error) => error.to_string(),
                };
                self.record(
                    Step::Verify,
                    "file_system_read",
                    verified,
                    serde_json::Value::Null,
                );
                let crumb = match missing {
                    Space::NONE => String::new(),
                    missing => format!(" but for {missing}, for which nothing more goes"),
                };
                let message = format!("the target is reached{crumb}: {} freed", report.freed);
                self.record(Step::Done, "reached", message, numbers);
            }
            End::Observed => {}
            End::Refused(refusal) => self.refuse(refusal),
            End::Short(reason) => {
                let message = format!(
                    "{} freed, and no more: {reason}; {}",
                    report.freed, report.detail
                );
                self.record(Step::Failed, reason, message, numbers);
            }
        }
    }

    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        let (reason, detail) = (refusal.reason.name(), refusal.detail.clone());
        self.record(Step::Refused, reason, detail, json!(null));
    }

    pub(super) fn record(
        &mut self,
        step: Step,
        reason: &str,
        message: String,
        facts: serde_json::Value,
    ) {
        self.recorder.record(Record {
            at_ms: self.host.now_ms(),
            incident: self.incident.to_owned(),
            remedy: Remedy::Gc,
            mode: self.policy.mode,
            step,
            reason: reason.to_owned(),
            message,
            facts,
        });
    }
}
