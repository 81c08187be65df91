//! How far a collection is, in one line of the terminal.

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use snowguard_exporter::logging;
use snowguard_watchdog::gc::run::Progress;

use super::text;

/// How often the bar is drawn.
const DRAWN: Duration = Duration::from_millis(200);
const BAR: u64 = 30;

/// The bar. Log lines take its place until it is drawn anew.
pub(super) struct Bar {
    drawn: Option<Instant>,
}

impl Bar {
    /// One, if there is a terminal to draw it on.
    pub(super) fn on_terminal() -> Option<Self> {
        (io::stderr().is_terminal()).then_some(Self { drawn: None })
    }

    pub(super) fn draw(&mut self, progress: Progress) {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < DRAWN) {
            return;
        }
        self.drawn = Some(Instant::now());
        logging::draw(&line(progress));
    }
}

fn line(progress: Progress) -> String {
    let (freed, left) = (progress.freed.bytes, progress.remaining.bytes);
    let whole = freed.saturating_add(left).max(1);
    let done = usize::try_from(freed.saturating_mul(BAR) / whole).unwrap_or(0);
    let width = usize::try_from(BAR).unwrap_or(0);
    format!(
        "[{:<width$}] {} freed, {} to go, {} deleted",
        "#".repeat(done.min(width)),
        text::size(freed),
        text::size(left),
        text::number(
            usize::try_from(progress.deleted_paths).unwrap_or(usize::MAX),
            "path",
            "paths"
        ),
    )
}

#[cfg(test)]
mod tests {
    use snowguard_watchdog::gc::policy::Space;

    use super::*;

    #[test]
    fn the_bar_is_as_full_as_the_target_is_near() {
        let bytes = |bytes| Space { bytes, files: 0 };
        let half = line(Progress {
            deleted_paths: 1,
            freed: bytes(5 << 30),
            remaining: bytes(5 << 30),
        });
        assert_eq!(half.matches('#').count(), 15, "{half}");
        assert!(half.contains("5.0 GiB to go, 1 path deleted"), "{half}");
        assert!(line(Progress::default()).starts_with("[  "));
        let over = line(Progress {
            deleted_paths: 9,
            freed: bytes(u64::MAX),
            remaining: bytes(0),
        });
        assert!(over.matches('#').count() <= 30, "{over}");
    }
}
