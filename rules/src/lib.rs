//! Prometheus alert rules, evaluated on the host over an in-memory window of its own samples.
//!
//! The same plain rule files are loaded by a Prometheus server, to page, and by the watchdog, to
//! heal. So this crate gives the answers that Prometheus 3 gives: [`RuleSet`] reads the files and
//! refuses whatever it could not evaluate exactly, [`Window`] keeps samples as a scrape would,
//! and [`Engine`] takes alerts from pending to firing to resolved.
//!
//! It knows nothing of Nix, reads no clock and, but for [`RuleSet::load`], no file.
//!
//! ```
//! use snowguard_rules::{AlertState, Engine, Labels, RuleSet, Window};
//!
//! let rules = RuleSet::parse("disk.rules.yaml", "
//! groups:
//!   - name: disk
//!     rules:
//!       - alert: SpaceLow
//!         expr: avail_bytes < 100
//!         for: 30s
//! ")?;
//! let mut window = Window::new(rules.needed_window());
//! let mut engine = Engine::new(rules);
//! for at_ms in [0, 15_000, 30_000] {
//!     window.append_scrape(at_ms, [(Labels::metric("avail_bytes"), 42.0)])?;
//!     engine.evaluate(&mut window, at_ms);
//! }
//! let [alert] = engine.alerts().try_into().expect("one alert");
//! assert_eq!(alert.state, AlertState::Firing { fired_at_ms: 30_000 });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::time::Duration;

mod alerts;
mod check;
mod duration;
mod error;
mod eval;
mod expr;
mod file;
mod labels;
mod pattern;
mod query;
mod quote;
mod rule;
mod shipped;
mod template;
pub mod testing;
mod window;

#[cfg(test)]
mod judge;

pub use alerts::{
    Alert, AlertMemory, AlertState, Engine, Outcome, RememberedAlert, Step, Transition,
};
pub use error::{LoadError, RuleError, RuleId};
pub use labels::Labels;
pub use query::{Query, QueryError, QueryTimes};
pub use rule::{LARGEST_FILE, Remedy, RuleSet};
pub use shipped::SHIPPED;
pub use window::{AppendError, RestoreError, Window};

/// A duration in milliseconds, the unit of every time here; the longest there is, if longer.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
