//! Whether the daemon of Nix answers, and how fast.
//!
//! For each connection the daemon makes a process that opens the store, so it is asked once a
//! minute whatever the scrapes, in a thread of its own that no scrape waits for longer than a
//! moment, and not at all on a disk that is nearly full: there the process would take for Nix's
//! reserve of 8 MiB (`gc-reserved-space`) what a collection has just freed.

use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, SystemTime},
};

use snowguard_host::{FactError, Greeting, Kind as FactKind, store::FileSystem};
use tracing::{info, warn};

use super::{CollectError, Collector, Context, Name};
use crate::sample::{Family, flag};

type Answer = Result<Option<Greeting>, Arc<FactError>>;

/// How it is asked.
#[derive(Debug, Clone, Copy)]
struct Manner {
    /// From one question to the next.
    interval: Duration,
    /// How long the daemon may take.
    timeout: Duration,
    /// How long a collection waits for an answer that is fresh.
    patience: Duration,
    /// With less than this available on the store's file system it is not asked.
    least_bytes: u64,
}

const MANNER: Manner = Manner {
    interval: Duration::from_secs(60),
    timeout: Duration::from_secs(5),
    patience: Duration::from_millis(500),
    least_bytes: 64 << 20,
};

/// The last answer, and a question that is under way.
#[derive(Debug)]
pub(super) struct Daemon {
    manner: Manner,
    asked_at: Option<SystemTime>,
    under_way: Option<Receiver<Answer>>,
    last: Option<Answer>,
    down: bool,
}

impl Default for Daemon {
    fn default() -> Self {
        Self::with(MANNER)
    }
}

impl Daemon {
    fn with(manner: Manner) -> Self {
        Self {
            manner,
            asked_at: None,
            under_way: None,
            last: None,
            down: false,
        }
    }

    fn is_due(&self, now: SystemTime) -> bool {
        self.under_way.is_none()
            && self.asked_at.is_none_or(|at| {
                now.duration_since(at)
                    .map_or(true, |past| past >= self.manner.interval)
            })
    }

    fn ask(&mut self, cx: &Context<'_>) {
        let (sender, receiver) = mpsc::channel();
        let (layout, timeout) = (cx.layout().clone(), self.manner.timeout);
        let asking = thread::Builder::new()
            .name("daemon".to_owned())
            .spawn(move || {
                // Nobody waits any more if the collector is gone.
                let _ = sender.send(Greeting::exchange(&layout, timeout).map_err(Arc::new));
            });
        match asking {
            Ok(_) => self.under_way = Some(receiver),
            Err(error) => warn!(%error, "cannot ask the daemon"),
        }
        self.asked_at = Some(cx.now());
    }

    /// Takes the answer if it is there by now. One that does not come at all, not even as a
    /// time-out, is that of a daemon that accepts no connection.
    fn hear(&mut self, now: SystemTime) {
        let Some(under_way) = &self.under_way else {
            return;
        };
        match under_way.recv_timeout(self.manner.patience) {
            Ok(answer) => {
                self.last = Some(answer);
                self.under_way = None;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => self.under_way = None,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let waited = self.asked_at.and_then(|at| now.duration_since(at).ok());
                if waited.is_some_and(|waited| waited > self.manner.timeout) {
                    self.last = Some(Err(Arc::new(FactError::new(
                        FactKind::Busy,
                        "reach the daemon of Nix",
                        "/nix/var/nix/daemon-socket/socket",
                        "it accepts no connection",
                        "look at `systemctl status nix-daemon`",
                    ))));
                }
            }
        }
    }

    /// Said when it begins and when it ends.
    fn log(&mut self, error: Option<&FactError>) {
        match (self.down, error) {
            (false, Some(error)) => warn!(%error, "the daemon of Nix is down"),
            (true, None) => info!("the daemon of Nix answers again"),
            _ => {}
        }
        self.down = error.is_some();
    }
}

impl Collector for Daemon {
    fn name(&self) -> &'static str {
        Name::Daemon.as_str()
    }

    fn families(&self) -> &'static [&'static str] {
        &["nix_daemon_up", "nix_daemon_handshake_duration_seconds"]
    }

    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        if self.is_due(cx.now()) {
            if FileSystem::read(cx.layout())?.avail_bytes < self.manner.least_bytes {
                self.last = None;
            } else {
                self.ask(cx);
            }
        }
        self.hear(cx.now());
        let up = |is_up| {
            Family::gauge(
                "nix_daemon_up",
                "1 if the daemon of Nix greeted when it was last asked, at most once a minute, 0 if not; absent on a host without its socket, and with less than 64 MiB free",
                flag(is_up),
            )
        };
        match self.last.clone() {
            None | Some(Ok(None)) => Ok(Vec::new()),
            Some(Ok(Some(greeting))) => {
                self.log(None);
                Ok(vec![
                    up(true),
                    Family::gauge(
                        "nix_daemon_handshake_duration_seconds",
                        "How long the daemon of Nix took to open the store and to greet when it was last asked",
                        greeting.took.as_secs_f64(),
                    ),
                ])
            }
            // Who may not connect knows nothing of the daemon.
            Some(Err(error)) if error.kind == FactKind::Denied => Err(CollectError::Fact(error)),
            Some(Err(error)) => {
                self.log(Some(&error));
                Ok(vec![up(false)])
            }
        }
    }
}

#[cfg(test)]
mod tests;
