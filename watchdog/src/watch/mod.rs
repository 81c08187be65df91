//! The daemon: observe, evaluate, plan, act, verify, journal, once every tick.

mod counters;
mod gc_unit;
mod kept_window;
mod means;
mod remedies;
mod rules;
mod samples;
mod seen;
mod tick;

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Instant, SystemTime},
};

use nix::fcntl::{Flock, FlockArg};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use snowguard_exporter::config::Source;
use snowguard_host::Layout;
use tracing::{info, warn};

pub(crate) use means::authorities;
pub use means::{collected_host, fits};
pub use rules::load_rules;
use tick::Watch;

use crate::{
    act::stop::Stop,
    config::{ConfigError, Settings},
    keep::KeepError,
    record::Mode,
};

/// Where short-lived state is, as the host names it: on tmpfs.
pub const RUN_DIR: &str = "/run/snowguard";
/// Below it: where lines of a collection by hand wait that the journal does not take.
pub const BY_HAND: &str = "by-hand";

/// Why the watchdog does not run.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A rule file.
    #[error(transparent)]
    Rules(#[from] snowguard_rules::LoadError),
    /// What was kept by the watchdog before this one.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// Another watchdog watches this host.
    #[error("another watchdog watches this host: it holds {path:?}; stop it first")]
    Running {
        /// The lock.
        path: PathBuf,
    },
    /// The operating system refuses something that the daemon cannot do without.
    #[error("cannot {attempt}: {path:?}: {source}; the watchdog runs as root")]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// On which path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A remedy may act, but cannot.
    #[error("a remedy is set to act, but {0}")]
    CannotAct(String),
}

/// Watches the host until SIGTERM or SIGINT. SIGHUP reads configuration and rules again; if they
/// are bad, those in force stay.
///
/// # Errors
/// [`WatchError`] if it cannot begin. Once begun, nothing that fails ends it.
pub fn run(layout: &Layout, settings: &Settings, source: &Source) -> Result<(), WatchError> {
    let _lock = lock(layout)?;
    let ending = Stop::new();
    let mut watch = Watch::begin(layout.clone(), settings.clone(), ending.clone())?;
    let signals = signals(ending)?;
    info!(
        root = %layout.root().display(),
        interval_seconds = settings.interval.as_secs(),
        gc = mode(settings.gc.mode),
        rollback = mode(settings.rollback.mode),
        "watching"
    );
    loop {
        let begun = Instant::now();
        watch.tick(SystemTime::now());
        let rest = watch.interval().saturating_sub(begun.elapsed());
        match signals.recv_timeout(rest) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(SIGHUP) => reload(&mut watch, source),
            Ok(_) | Err(RecvTimeoutError::Disconnected) => {
                info!("ending");
                watch.end();
                return Ok(());
            }
        }
    }
}

fn reload(watch: &mut Watch, source: &Source) {
    let outcome = Settings::load(source)
        .map_err(WatchError::from)
        .and_then(|settings| watch.reload(settings));
    match outcome {
        Ok(()) => info!("configuration and rules read again"),
        Err(error) => warn!(%error, "reload refused; what was in force stays in force"),
    }
}

/// What arrives; the wish to end is uttered at once, for a tick that waits for a switch.
fn signals(ending: Stop) -> Result<mpsc::Receiver<i32>, WatchError> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(|source| WatchError::Io {
        attempt: "listen for signals",
        path: PathBuf::new(),
        source,
    })?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for signal in signals.forever() {
            if signal != SIGHUP {
                ending.ask();
            }
            if sender.send(signal).is_err() {
                break;
            }
        }
    });
    Ok(receiver)
}

/// Two watchdogs on one host would each be right and together wrong.
fn lock(layout: &Layout) -> Result<Flock<File>, WatchError> {
    let directory = layout.inside(RUN_DIR);
    let path = directory.join("watch.lock");
    let failed = |attempt: &'static str| {
        let path = path.clone();
        move |source| WatchError::Io {
            attempt,
            path,
            source,
        }
    };
    fs::create_dir_all(&directory).map_err(failed("make the directory of the watchdog's state"))?;
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(failed("open the watchdog's lock"))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(WatchError::Running { path }),
        Err((_, errno)) => Err(WatchError::Io {
            attempt: "take the watchdog's lock",
            path,
            source: errno.into(),
        }),
    }
}

/// The mode as logs and metrics write it.
const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "off",
        Mode::Observe => "observe",
        Mode::Act => "act",
    }
}
