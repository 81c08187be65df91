//! The samples so far, kept on disk: a restart is not blind for as long as the longest range.

use std::{fs, io, path::PathBuf};

use snowguard_rules::Window;
use tracing::{info, warn};

use crate::keep;

/// From one writing to the next. An instant selector looks back for longer, so that even a kill
/// leaves no gap that counts.
const EVERY_MS: i64 = 120_000;

/// The file in `watchdog.state_dir` that holds the window.
pub(super) struct KeptWindow {
    path: PathBuf,
    written_at_ms: Option<i64>,
    failing: bool,
}

impl KeptWindow {
    pub(super) fn in_directory(directory: &std::path::Path) -> Self {
        Self {
            path: directory.join("window.bin"),
            written_at_ms: None,
            failing: false,
        }
    }

    /// Takes up what the watchdog before this one kept. If that cannot be, the window begins anew.
    pub(super) fn restore(&self, window: &mut Window, now_ms: i64) {
        let path = self.path.display();
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                warn!(%path, %error, "cannot read the samples of before; they begin anew");
                return;
            }
        };
        match window.restore(&bytes, now_ms) {
            Ok(samples) => info!(samples, "took up the samples of before the restart"),
            Err(error) => warn!(%path, %error, "cannot use the samples of before; they begin anew"),
        }
    }

    /// Writes the window if it is time to, or at once. A disk that does not take it is told of
    /// once, and stops nothing: it costs a restart its past, and no remedy its present.
    pub(super) fn save(&mut self, window: &Window, now_ms: i64, at_once: bool) {
        let due = self
            .written_at_ms
            .is_none_or(|at_ms| now_ms < at_ms || now_ms - at_ms >= EVERY_MS);
        if !due && !at_once {
            return;
        }
        self.written_at_ms = Some(now_ms);
        let outcome = keep::replace(&self.path, &window.to_bytes());
        if let Err(error) = &outcome
            && !self.failing
        {
            let path = self.path.display();
            warn!(%path, %error, "cannot keep the samples; after a restart they would begin anew");
        }
        self.failing = outcome.is_err();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use snowguard_rules::Labels;

    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn window(samples: usize) -> Window {
        let mut window = Window::new(Duration::from_secs(3600));
        for index in 0..samples {
            let at_ms = NOW - i64::try_from(samples - 1 - index).unwrap() * 15_000;
            let sample = (Labels::metric("m"), 1.0);
            window.append_scrape(at_ms, [sample]).unwrap();
        }
        window
    }

    fn restored(kept: &KeptWindow) -> usize {
        let mut window = window(0);
        kept.restore(&mut window, NOW + 1000);
        window.sample_count()
    }

    #[test]
    fn the_samples_outlive_a_restart_and_are_written_only_now_and_then() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = KeptWindow::in_directory(&dir.path().join("state"));
        assert_eq!(restored(&kept), 0);
        kept.save(&window(10), NOW, false);
        kept.save(&window(20), NOW + EVERY_MS - 1, false);
        assert_eq!(restored(&kept), 10);
        kept.save(&window(30), NOW + EVERY_MS, false);
        assert_eq!(restored(&kept), 30);
        kept.save(&window(40), NOW + EVERY_MS, true);
        assert_eq!(restored(&kept), 40);
    }

    #[test]
    fn a_damaged_file_and_a_disk_that_takes_nothing_stop_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = KeptWindow::in_directory(dir.path());
        fs::write(&kept.path, "snowguard-window\u{1}nonsense").unwrap();
        assert_eq!(restored(&kept), 0);
        // A directory in the place of the temporary file: no write can succeed.
        fs::create_dir(dir.path().join("window.bin.new")).unwrap();
        kept.save(&window(5), NOW, true);
        assert!(kept.failing);
        assert_eq!(restored(&kept), 0);
        fs::remove_dir(dir.path().join("window.bin.new")).unwrap();
        kept.save(&window(5), NOW, true);
        assert!(!kept.failing);
        assert_eq!(restored(&kept), 5);
    }
}
