//! The second rung: what builds left behind, one after the other, with a look at what it brought.

use serde_json::json;
use snowguard_host::{FactError, LeftOver, LeftOverKind};

use super::{Run, acts::Ended};
use crate::{
    gc::{
        ladder::{LeftBehind, frees, room},
        policy::Space,
    },
    record::Step,
};

/// So many logs go between two looks: they are small and many.
const LOGS: usize = 256;

impl Run<'_> {
    /// Removes what builds left, until the target is reached. What cannot be removed is left out
    /// of further plans.
    pub(super) fn remove_left_overs(&mut self, rung: &LeftBehind, need: Space) -> Option<Ended> {
        let before = self.look();
        let mut failed = 0;
        let mut enough = false;
        let chosen = &rung.chosen;
        let batches = chosen.chunk_by(|a, b| a.kind == b.kind).flat_map(|same| {
            let most = match same[0].kind {
                LeftOverKind::BuildDirectory => 1,
                LeftOverKind::Log => LOGS,
            };
            same.chunks(most)
        });
        for batch in batches {
            let mut gone = Vec::new();
            let (mut error, mut ended) = (None, None);
            for left in batch {
                ended = self.is_over();
                if ended.is_some() {
                    break;
                }
                // Without a look nothing goes; the round ends with another one.
                match self.host.file_system() {
                    Ok(now) if !self.policy.is_reached(&now) => {}
                    _ => {
                        enough = true;
                        break;
                    }
                }
                match self.host.remove_left_over(left) {
                    Ok(()) => gone.push(left),
                    Err(why) => {
                        failed += 1;
                        self.stuck.insert(left.path.clone());
                        error = Some(why);
                    }
                }
            }
            self.tell_removed(&gone, error);
            let need_now = self.need_now();
            self.tell_progress(need_now.unwrap_or(need));
            if ended.is_some() || enough {
                return ended;
            }
        }
        // As under a snapshot: no generation is given up where removing frees nothing.
        self.host.settle();
        let gained = !before.covers(self.look());
        (!gained && failed < chosen.len()).then_some(("no_progress", "a round freed nothing"))
    }

    /// Makes room for Nix, which fails on a disk that is hard full, by what needs no Nix to go.
    /// Whether that is worth another try; once in a collection.
    pub(super) fn make_room_without_nix(&mut self) -> bool {
        if std::mem::replace(&mut self.room_was_made, true) || !self.is_hard_full() {
            return false;
        }
        let Ok(facts) = self.host.facts() else {
            return false;
        };
        let rung = room(&facts, self.policy, &self.within());
        let need = self.policy.need(&facts.file_system);
        !rung.chosen.is_empty() && self.remove_left_overs(&rung, need).is_none()
    }

    pub(super) fn look(&mut self) -> Space {
        self.host
            .file_system()
            .map_or(Space::NONE, |now| Space::free(&now))
    }

    fn need_now(&mut self) -> Option<Space> {
        self.host
            .file_system()
            .ok()
            .map(|now| self.policy.need(&now))
    }

    fn tell_removed(&mut self, gone: &[&LeftOver], error: Option<FactError>) {
        if let Some(first) = gone.first() {
            let freed = gone.iter().map(|left| frees(left));
            let freed = freed.fold(Space::NONE, Space::plus);
            let facts = json!({"path": first.path, "removed": gone.len(), "frees": freed});
            let (reason, message) = match first.kind {
                LeftOverKind::BuildDirectory => (
                    "remove_build_directory",
                    format!(
                        "removed {:?}, which a build left, and which frees {freed}",
                        first.path
                    ),
                ),
                LeftOverKind::Log => (
                    "remove_build_log",
                    format!("removed {} old build logs, which frees {freed}", gone.len()),
                ),
            };
            self.record(Step::Act, reason, message, facts);
        }
        if let Some(error) = error {
            self.record(
                Step::Failed,
                "remove_left_over",
                error.to_string(),
                json!(null),
            );
        }
    }
}
