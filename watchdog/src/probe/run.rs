//! Runs all probes at once and judges them by their failures in a row.

use std::{
    collections::BTreeMap,
    io,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    command,
    config::{Check, ProbeConfig},
    http, tcp,
};

/// What a probe may be late beyond its timeout, for its thread to report.
const SLACK: Duration = Duration::from_millis(500);

/// How one probe went in one tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    /// The name that the configuration gives it.
    pub name: String,
    /// False if it failed as many times in a row as it takes to count, this time included.
    pub ok: bool,
    /// Whether it passed this time.
    pub passed: bool,
    /// One line for people: what answered, or why it failed.
    pub detail: String,
    /// How long it took.
    pub duration: Duration,
}

/// All probes of the configuration, with their failures in a row.
#[derive(Debug)]
pub struct Prober {
    probes: BTreeMap<String, Probe>,
}

#[derive(Debug)]
struct Probe {
    config: ProbeConfig,
    failed_in_a_row: u32,
    /// The thread of a run that did not come back in time: a name look-up cannot be interrupted.
    lost: Option<JoinHandle<()>>,
}

type Answer = Result<String, String>;
type Outcome = (Answer, Duration);

impl Prober {
    /// The probes of the configuration, none of which has failed yet.
    pub fn new(configs: BTreeMap<String, ProbeConfig>) -> Self {
        let probe = |config| Probe {
            config,
            failed_in_a_row: 0,
            lost: None,
        };
        let probes = configs.into_iter().map(|(name, c)| (name, probe(c)));
        Self {
            probes: probes.collect(),
        }
    }

    /// Runs every probe once, all at the same time, in the order of their names. Takes as long as
    /// the longest timeout and half a second more, at most.
    pub fn run(&mut self) -> Vec<ProbeResult> {
        let begun = Instant::now();
        let (sender, receiver) = mpsc::channel::<(String, Outcome)>();
        let mut outcomes = BTreeMap::<String, Outcome>::new();
        let mut threads = BTreeMap::new();
        let mut longest = Duration::ZERO;
        for (name, probe) in &mut self.probes {
            if probe.lost.as_ref().is_some_and(|lost| !lost.is_finished()) {
                let why = "its last run has not come back yet".to_owned();
                outcomes.insert(name.clone(), (Err(why), Duration::ZERO));
                continue;
            }
            probe.lost = None;
            match spawn(name, &probe.config, sender.clone()) {
                Ok(thread) => {
                    longest = longest.max(probe.config.timeout);
                    threads.insert(name.clone(), thread);
                }
                Err(cause) => {
                    let why = format!("cannot start its thread: {cause}");
                    outcomes.insert(name.clone(), (Err(why), Duration::ZERO));
                }
            }
        }
        drop(sender);
        let deadline = longest + SLACK;
        let left = || deadline.saturating_sub(begun.elapsed());
        // Ends when every thread has reported, or at the deadline.
        while let Ok((name, outcome)) = receiver.recv_timeout(left()) {
            threads.remove(&name);
            outcomes.insert(name, outcome);
        }
        for (name, thread) in threads {
            if let Some(probe) = self.probes.get_mut(&name) {
                probe.lost = Some(thread);
            }
        }
        let judge = |(name, probe): (&String, &mut Probe)| {
            let (result, duration) = outcomes.remove(name).unwrap_or_else(|| {
                let why = format!("no answer in {:?}", probe.config.timeout);
                (Err(why), begun.elapsed())
            });
            probe.judged(name, result, duration)
        };
        self.probes.iter_mut().map(judge).collect()
    }
}

impl Probe {
    fn judged(&mut self, name: &str, result: Answer, duration: Duration) -> ProbeResult {
        let passed = result.is_ok();
        self.failed_in_a_row = if passed {
            0
        } else {
            self.failed_in_a_row.saturating_add(1)
        };
        ProbeResult {
            name: name.to_owned(),
            ok: self.failed_in_a_row < self.config.failures,
            passed,
            detail: result.unwrap_or_else(|why| why),
            duration,
        }
    }
}

fn spawn(
    name: &str,
    config: &ProbeConfig,
    sender: mpsc::Sender<(String, Outcome)>,
) -> io::Result<JoinHandle<()>> {
    let (name, config) = (name.to_owned(), config.clone());
    thread::Builder::new()
        .name("probe".to_owned())
        .spawn(move || {
            let begun = Instant::now();
            let result = check(&config);
            // Nobody listens any more if this came too late.
            let _ = sender.send((name, (result, begun.elapsed())));
        })
}

fn check(config: &ProbeConfig) -> Answer {
    match &config.check {
        Check::Tcp { address } => tcp::check(address, config.timeout),
        Check::Http {
            url,
            status,
            body_contains,
        } => http::check(url, status, body_contains.as_deref(), config.timeout),
        Check::Command { program, args } => command::check(program, args, config.timeout),
    }
}

#[cfg(test)]
mod tests;
