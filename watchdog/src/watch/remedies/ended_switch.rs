//! A switch of ours that ended when nobody looked: it took longer than it was waited for, or the
//! watchdog was stopped in the middle. Its unit stays and keeps everybody else from switching, and
//! whoever repairs the host by hand must be able to.

use snowguard_host::FactError;
use tracing::warn;

use super::{RUN_DIR, Remedies};
use crate::{gc::alone::Alone, rollback::state::State, watch::means::switch};

/// Whether there may be one.
pub(super) struct EndedSwitch {
    /// One that was begun before a restart is as good as any.
    possible: bool,
    /// The state of the rollback at the last look.
    state: &'static str,
}

impl Default for EndedSwitch {
    fn default() -> Self {
        Self {
            possible: true,
            state: "",
        }
    }
}

impl EndedSwitch {
    /// Lets go of it, unless a rollback waits for it. After each change of the state, since a rollback
    /// may begin and fail within one look; then until nothing is left.
    fn look(&mut self, state: &State, let_go: impl FnOnce() -> Result<bool, FactError>) {
        self.possible |= state.name() != self.state;
        self.state = state.name();
        if !self.possible || matches!(state, State::RollingBack { .. }) {
            return;
        }
        match let_go() {
            Ok(nothing_left) => self.possible = !nothing_left,
            Err(error) => {
                warn!(%error, "a switch that ended unseen may keep others from switching")
            }
        }
    }
}

impl Remedies {
    pub(super) fn let_ended_switch_go(&mut self) {
        // A collection waits for the boot menu, which it writes in a unit of the same name.
        if self.running.is_some() {
            return;
        }
        let (layout, ending) = (&self.layout, &self.ending);
        self.ended_switch.look(self.machine.state(), || {
            let Ok(_alone) = Alone::take(&layout.inside(RUN_DIR)) else {
                return Ok(false);
            };
            switch(layout, ending.clone()).let_ended_go()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(mut fields: serde_json::Value, is: &str) -> State {
        let deploy = json!({"generation": null, "store_path": "/s"});
        let bad = json!({
            "deploy": deploy, "since_ms": 0, "alert": "a",
            "before": {"armed_since_ms": 0, "failing": []},
        });
        fields["is"] = is.into();
        fields["bad"] = bad;
        fields["target"] = json!({"number": 1, "store_path": "/t", "linked_at_ms": 0});
        serde_json::from_value(fields).expect("state")
    }

    fn failed() -> State {
        state(
            json!({"failure": {"reason": "switch_unfinished", "why": ""}}),
            "failed",
        )
    }

    fn rolling_back() -> State {
        let fields = json!({"from": 2, "phase": "profile_set", "attempts": 1});
        state(fields, "rolling_back")
    }

    /// Whether a look at each of these asks for it, which is answered with what goes with it.
    fn asked(looks: &[(State, bool)]) -> Vec<bool> {
        let mut ended = EndedSwitch::default();
        let look = |(state, nothing_left): &(State, bool)| {
            let mut asked = false;
            ended.look(state, || {
                asked = true;
                Ok(*nothing_left)
            });
            asked
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_latched_remedy_lets_go_of_its_switch_when_that_ends_and_then_asks_no_more() {
        let looks = [
            (State::Unknown {}, true),
            (State::Unknown {}, true),
            // Begun and failed within one look; it goes on, and ends after the release.
            (failed(), false),
            (failed(), false),
            (State::Unknown {}, false),
            (State::Unknown {}, true),
            (State::Unknown {}, true),
        ];
        assert_eq!(asked(&looks), [true, false, true, true, true, true, false]);
    }

    #[test]
    fn after_a_start_a_switch_that_a_rollback_waits_for_is_left_to_it() {
        let looks = [
            (rolling_back(), true),
            (rolling_back(), true),
            (failed(), true),
        ];
        assert_eq!(asked(&looks), [false, false, true]);
        assert_eq!(asked(&[(failed(), true), (failed(), true)]), [true, false]);
    }

    #[test]
    fn it_is_asked_again_if_systemd_did_not_answer() {
        let mut ended = EndedSwitch::default();
        let silent = || Err(FactError::malformed("ask", "/systemctl", "nothing", ""));
        ended.look(&failed(), silent);
        let mut asked = false;
        ended.look(&failed(), || {
            asked = true;
            Ok(true)
        });
        assert!(asked);
    }
}
