//! Runs the probes that are due, all at once, and judges each by its last runs.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    command::{self, Fault},
    config::{Check, ProbeConfig, Severity},
    dns, http, route,
    runs::Runs,
    systemd::{self, Restarts},
    tcp, writable,
};

/// What a probe may be late beyond its timeout, for its thread to report; what a tick may be early
/// for a probe to be due; and by what two clocks may differ.
pub(super) const SLACK: Duration = Duration::from_millis(500);

/// What probes need of the host beside themselves.
#[derive(Debug, Clone)]
pub struct Means {
    /// `systemctl`, an absolute path.
    pub systemctl: PathBuf,
    /// The directory of the routing tables, `/proc/net`.
    pub net: PathBuf,
    /// Where the certificates of those may be whom the host trusts; the first that is there counts.
    pub authorities: Vec<PathBuf>,
}

/// How one probe stands in one tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    /// The name that the configuration gives it.
    pub name: String,
    /// False if so many of its last runs failed that it counts as failed.
    pub ok: bool,
    /// Whether its last run passed.
    pub passed: bool,
    /// It could not be run, for want of the watchdog's own means: then this says nothing, and `ok` is
    /// as it was.
    pub blind: bool,
    /// What it is for.
    pub severity: Severity,
    /// The profile whose deploys it is about; those of the system if `None`.
    pub profile: Option<String>,
    /// One line for people: what answered, or why it failed.
    pub detail: String,
    /// How long its last run took.
    pub duration: Duration,
}

/// How long ago something began, as the probes of a system or of a profile count it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ago {
    /// The activation of what is on trial, or of what was gone back to and is verified.
    pub activated: Option<Duration>,
    /// The time in which restarts of units are added up, from one run to the next.
    pub counted: Option<Duration>,
    /// What restarted before that counts for nothing.
    pub afresh: bool,
}

/// How long ago what is watched began.
#[derive(Debug, Clone, Default)]
pub struct Trials {
    /// The system.
    pub system: Ago,
    /// Profiles by name.
    pub profiles: BTreeMap<String, Ago>,
}

impl Trials {
    fn of(&self, probe: &ProbeConfig) -> Ago {
        match &probe.profile {
            None => self.system,
            Some(name) => self.profiles.get(name).copied().unwrap_or_default(),
        }
    }
}

/// All probes of the configuration, with their last runs.
#[derive(Debug)]
pub struct Prober {
    means: Arc<Means>,
    probes: BTreeMap<String, Probe>,
}

#[derive(Debug)]
struct Probe {
    config: ProbeConfig,
    runs: Runs,
    /// The last run: when, and how it went.
    last: Option<(Instant, Outcome)>,
    /// Restarts of the units that it names.
    restarts: BTreeMap<String, Restarts>,
    /// The thread of a run that did not come back in time: a name look-up cannot be interrupted.
    lost: Option<JoinHandle<()>>,
}

/// What a run may count on from the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// There was none.
    pub(super) first: bool,
    /// It was of the same trial, or the same soak.
    pub(super) counts_on: bool,
    /// It was not, and what restarted since that run counts for nothing.
    pub(super) afresh: bool,
}

type Answer = Result<String, Fault>;
type Outcome = (Answer, Duration);

/// What the thread of a run reports.
struct Report {
    name: String,
    outcome: Outcome,
    restarts: BTreeMap<String, Restarts>,
}

impl Prober {
    /// The probes of the configuration, none of which has run yet.
    pub fn new(configs: BTreeMap<String, ProbeConfig>, means: Means) -> Self {
        let probe = |config| Probe {
            runs: Runs::of(&config),
            config,
            last: None,
            restarts: BTreeMap::new(),
            lost: None,
        };
        let probes = configs.into_iter().map(|(name, c)| (name, probe(c)));
        Self {
            means: Arc::new(means),
            probes: probes.collect(),
        }
    }

    /// Runs every probe that is due, all at the same time, in the order of their names. Takes as
    /// long as the longest timeout and half a second more, at most. `trial` is how long ago the
    /// system was activated that is on trial, `None` while none is.
    pub fn run(&mut self, now: Instant, trial: Option<Duration>) -> Vec<ProbeResult> {
        let trials = Trials {
            system: Ago {
                activated: trial,
                counted: trial,
                afresh: false,
            },
            ..Trials::default()
        };
        self.run_each(now, &trials)
    }

    /// The same, where profiles are on trial as well.
    pub fn run_each(&mut self, now: Instant, trials: &Trials) -> Vec<ProbeResult> {
        let begun = Instant::now();
        let (sender, receiver) = mpsc::channel::<Report>();
        let mut outcomes = BTreeMap::<String, Outcome>::new();
        let mut threads = BTreeMap::new();
        let mut longest = Duration::ZERO;
        for (name, probe) in &mut self.probes {
            let ago = trials.of(&probe.config);
            if !probe.is_due(now, ago.activated) {
                continue;
            }
            if probe.lost.as_ref().is_some_and(|lost| !lost.is_finished()) {
                let why = "its last run has not come back yet".to_owned();
                outcomes.insert(name.clone(), (Err(why.into()), Duration::ZERO));
                continue;
            }
            probe.lost = None;
            let look = probe.look(now, ago);
            match probe.spawn(name, &self.means, look, sender.clone()) {
                Ok(thread) => {
                    longest = longest.max(probe.config.timeout);
                    threads.insert(name.clone(), thread);
                }
                Err(cause) => {
                    let fault = Fault::begin("cannot start its thread", &cause);
                    outcomes.insert(name.clone(), (Err(fault), Duration::ZERO));
                }
            }
        }
        drop(sender);
        let deadline = longest + SLACK;
        let left = || deadline.saturating_sub(begun.elapsed());
        // Ends when every thread has reported, or at the deadline.
        while let Ok(report) = receiver.recv_timeout(left()) {
            threads.remove(&report.name);
            if let Some(probe) = self.probes.get_mut(&report.name) {
                probe.restarts = report.restarts;
            }
            outcomes.insert(report.name, report.outcome);
        }
        for (name, thread) in threads {
            if let Some(probe) = self.probes.get_mut(&name) {
                let why = format!("no answer in {:?}", probe.config.timeout);
                outcomes.insert(name, (Err(why.into()), begun.elapsed()));
                probe.lost = Some(thread);
            }
        }
        for (name, outcome) in outcomes {
            if let Some(probe) = self.probes.get_mut(&name) {
                let blind = outcome.0.as_ref().is_err_and(|fault| fault.blind);
                if !blind {
                    probe.runs.note(now, outcome.0.is_err());
                }
                probe.last = Some((now, outcome));
            }
        }
        for probe in self.probes.values_mut() {
            let activated = trials.of(&probe.config).activated;
            // Before the host was booted nothing was seen.
            probe
                .runs
                .since(activated.and_then(|ago| now.checked_sub(ago)));
        }
        let probes = self.probes.iter();
        probes.map(|(name, probe)| probe.judged(name)).collect()
    }
}

impl Probe {
    fn is_due(&self, now: Instant, trial: Option<Duration>) -> bool {
        let Some((at, _)) = self.last else {
            return true;
        };
        let ago = now.saturating_duration_since(at);
        // What was seen before an activation says nothing of what runs after it.
        ago + SLACK >= self.config.interval || trial.is_some_and(|trial| trial < ago)
    }

    fn look(&self, now: Instant, of: Ago) -> Look {
        let ago = (self.last.as_ref()).map(|(at, _)| now.saturating_duration_since(*at));
        let counts_on =
            (of.counted).is_some_and(|counted| ago.is_some_and(|ago| ago <= counted + SLACK));
        Look {
            first: ago.is_none(),
            counts_on,
            afresh: of.afresh && !counts_on,
        }
    }

    fn judged(&self, name: &str) -> ProbeResult {
        let (answer, duration) = match &self.last {
            Some((_, (answer, duration))) => (answer.clone(), *duration),
            // Each probe is due until it has run.
            None => (Err("it has not run yet".to_owned().into()), Duration::ZERO),
        };
        ProbeResult {
            name: name.to_owned(),
            ok: self.runs.are_well(),
            passed: answer.is_ok(),
            blind: answer.as_ref().is_err_and(|fault| fault.blind),
            severity: self.config.severity,
            profile: self.config.profile.clone(),
            detail: answer.unwrap_or_else(|fault| fault.why),
            duration,
        }
    }

    fn spawn(
        &self,
        name: &str,
        means: &Arc<Means>,
        look: Look,
        sender: mpsc::Sender<Report>,
    ) -> io::Result<JoinHandle<()>> {
        let (name, config, means) = (name.to_owned(), self.config.clone(), Arc::clone(means));
        let mut restarts = self.restarts.clone();
        thread::Builder::new()
            .name("probe".to_owned())
            .spawn(move || {
                let begun = Instant::now();
                let answer = check(&name, &config, &means, &mut restarts, look);
                let took = begun.elapsed();
                // What waits for nobody but the kernel knows no timeout of its own.
                let answer = match answer {
                    Ok(_) if took > config.timeout + SLACK => {
                        Err(format!("it took {took:?}").into())
                    }
                    answer => answer,
                };
                // Nobody listens any more if this came too late.
                let _ = sender.send(Report {
                    name,
                    outcome: (answer, took),
                    restarts,
                });
            })
    }
}

fn check(
    name: &str,
    config: &ProbeConfig,
    means: &Means,
    restarts: &mut BTreeMap<String, Restarts>,
    look: Look,
) -> Answer {
    let timeout = config.timeout;
    let answer = match &config.check {
        Check::Tcp { address } => tcp::check(address, timeout).map_err(Fault::from),
        Check::Http {
            url,
            status,
            body_contains,
            ca_file,
        } => {
            let own = ca_file.as_slice();
            let trusted = if own.is_empty() {
                &means.authorities
            } else {
                own
            };
            http::check(url, status, body_contains.as_deref(), trusted, timeout)
                .map_err(Fault::from)
        }
        Check::Command { program, args } => command::tried(program, args, timeout),
        Check::Systemd {
            units,
            max_restarts,
            max_failed,
        } => {
            let wanted = systemd::Wanted {
                units,
                max_restarts: *max_restarts,
                max_failed: *max_failed,
            };
            systemd::check(&means.systemctl, &wanted, restarts, look, timeout)
        }
        Check::Writable { directory } => writable::check(directory, name).map_err(Fault::from),
        Check::Dns { host } => dns::check(host).map_err(Fault::from),
        Check::DefaultRoute { family } => route::check(&means.net, *family).map_err(Fault::from),
    };
    answer.map_err(|fault| command::whose(fault, command::means()))
}

#[cfg(test)]
mod tests;
