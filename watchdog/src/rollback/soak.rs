//! Time that was really seen: a clock that jumps, or a watchdog that was away, adds none.

use std::time::Duration;

/// A duration as milliseconds, as far as they can be counted.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Healthy time in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Soak {
    seen_ms: i64,
    last_ms: i64,
}

impl Soak {
    /// The same after the clock was put forward.
    pub(super) fn later_by(self, forward_ms: i64) -> Self {
        Self {
            last_ms: self.last_ms.saturating_add(forward_ms),
            ..self
        }
    }

    /// When it began.
    pub(super) fn began_ms(self) -> i64 {
        self.last_ms.saturating_sub(self.seen_ms)
    }
}

/// The soak after one more look. An unhealthy look ends it; a gap or a clock set back starts
/// it again.
pub(super) fn look(soak: Option<Soak>, healthy: bool, now_ms: i64, gap: Duration) -> Option<Soak> {
    let seen_ms = match soak {
        _ if !healthy => return None,
        Some(Soak { seen_ms, last_ms }) => match now_ms.saturating_sub(last_ms) {
            pause if (0..=millis(gap)).contains(&pause) => seen_ms.saturating_add(pause),
            _ => 0,
        },
        None => 0,
    };
    Some(Soak {
        seen_ms,
        last_ms: now_ms,
    })
}

/// True if the soak lasted at least so long.
pub(super) fn lasted(soak: Option<Soak>, at_least: Duration) -> bool {
    soak.is_some_and(|soak| soak.seen_ms >= millis(at_least))
}

/// Time spent in a state, gaps left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Elapsed {
    seen_ms: i64,
    last_ms: Option<i64>,
}

impl Elapsed {
    /// The time after one more look.
    #[must_use]
    pub(super) fn look(self, now_ms: i64, gap: Duration) -> Self {
        let pause = self.last_ms.map_or(0, |last| now_ms.saturating_sub(last));
        Self {
            seen_ms: self
                .seen_ms
                .saturating_add(pause.clamp(0, millis(gap).max(0))),
            last_ms: Some(now_ms),
        }
    }

    /// The same after the clock was put forward.
    #[must_use]
    pub(super) fn later_by(self, forward_ms: i64) -> Self {
        Self {
            last_ms: self.last_ms.map(|at| at.saturating_add(forward_ms)),
            ..self
        }
    }

    /// What is missing to this length.
    pub(super) fn left_of(self, whole: Duration) -> Duration {
        let seen = u64::try_from(self.seen_ms).unwrap_or(0);
        whole.saturating_sub(Duration::from_millis(seen))
    }

    /// True if it is at least so long.
    pub(super) fn is(self, at_least: Duration) -> bool {
        self.seen_ms >= millis(at_least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_secs(60);

    #[test]
    fn time_that_nobody_watched_is_no_healthy_time() {
        let start = look(None, true, 0, GAP);
        let steady = look(look(start, true, 30_000, GAP), true, 60_000, GAP);
        assert!(lasted(steady, Duration::from_secs(60)));
        let away = look(start, true, 3_600_000, GAP);
        assert!(!lasted(away, Duration::from_secs(1)));
        let set_back = look(steady, true, 10_000, GAP);
        assert!(!lasted(set_back, Duration::from_secs(1)));
        assert_eq!(look(steady, false, 61_000, GAP), None);
    }

    #[test]
    fn a_jump_of_the_clock_ends_no_window() {
        let window = Elapsed::default().look(0, GAP).look(i64::MAX, GAP);
        assert!(!window.is(Duration::from_secs(61)));
        assert!(!window.look(i64::MIN, GAP).is(Duration::from_secs(61)));
    }
}
