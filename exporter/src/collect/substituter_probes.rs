//! Whether the substituters answer, how fast, and whether they let this host in.
//!
//! Asking goes over the network: it is done in a thread of its own, all at once, at an interval,
//! and a collection gives what was last answered. Of a host that is seen from another root
//! nothing is asked: that host is not this one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::mpsc::{self, Receiver, TryRecvError},
    thread,
    time::{Duration, SystemTime},
};

use snowguard_host::{Layout, NixConf, provenance};
use tracing::{info, warn};

use super::{CollectError, Collector, Context, Name, Names, Options, substituters::label_value};
use crate::{
    probe::{Address, Authorities, Finding, Netrc, probe},
    sample::{Family, Kind, flag},
};

const UP: &str = "nix_substituter_up";

/// How long a substituter may take.
const TIMEOUT: Duration = Duration::from_secs(10);

type Findings = BTreeMap<String, Finding>;

/// The last answers, and a round that is under way.
#[derive(Debug)]
pub(super) struct SubstituterProbes {
    /// From one round to the next; no round at all if `None`.
    interval: Option<Duration>,
    timeout: Duration,
    /// Whether a watchdog that publishes the same is left to it: two programs would ask twice.
    heeds_watchdog: bool,
    any_root: bool,
    begun_at: Option<SystemTime>,
    under_way: Option<Receiver<Findings>>,
    last: Findings,
    down: BTreeSet<String>,
}

impl SubstituterProbes {
    pub(super) fn new(options: &Options, heeds_watchdog: bool) -> Self {
        Self {
            interval: options.substituter_probe_interval,
            timeout: TIMEOUT,
            heeds_watchdog,
            any_root: false,
            begun_at: None,
            under_way: None,
            last: Findings::new(),
            down: BTreeSet::new(),
        }
    }

    fn is_due(&self, now: SystemTime, interval: Duration) -> bool {
        self.under_way.is_none()
            && self
                .begun_at
                .is_none_or(|at| now.duration_since(at).map_or(true, |past| past >= interval))
    }

    fn begin(&mut self, cx: &Context<'_>) -> Result<(), CollectError> {
        let conf = NixConf::read(cx.layout())?;
        let (layout, timeout) = (cx.layout().clone(), self.timeout);
        let (sender, receiver) = mpsc::channel();
        let asking = thread::Builder::new()
            .name("substituters".to_owned())
            .spawn(move || {
                // Nobody waits any more if the collector is gone.
                let _ = sender.send(round(&layout, &conf, timeout));
            });
        match asking {
            Ok(_) => self.under_way = Some(receiver),
            Err(error) => warn!(%error, "cannot ask the substituters"),
        }
        self.begun_at = Some(cx.now());
        Ok(())
    }

    fn hear(&mut self) {
        let Some(under_way) = &self.under_way else {
            return;
        };
        match under_way.try_recv() {
            Ok(findings) => {
                self.log(&findings);
                self.last = findings;
                self.under_way = None;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => self.under_way = None,
        }
    }

    /// Said when it begins and when it ends.
    fn log(&mut self, findings: &Findings) {
        for (substituter, finding) in findings {
            match (&finding.up, self.down.contains(substituter)) {
                (Err(cause), false) => {
                    warn!(substituter, cause, "a substituter does not answer as one");
                    self.down.insert(substituter.clone());
                }
                (Ok(()), true) => {
                    info!(substituter, "the substituter answers again");
                    self.down.remove(substituter);
                }
                _ => {}
            }
        }
    }
}

/// Asks all of them at once, each for as long as it may take.
fn round(layout: &Layout, conf: &NixConf, timeout: Duration) -> Findings {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            warn!(%error, "cannot ask the substituters");
            return Findings::new();
        }
    };
    let netrc = Netrc::read(&layout.inside(&conf.netrc_file));
    // Whoever may not read the passwords is refused for that.
    let may_be_refused = netrc.is_ok();
    let netrc = netrc.unwrap_or_default();
    let authorities = Authorities::read(layout, conf);
    let cache_dir = provenance::default_dir(layout);
    let findings = runtime.block_on(async {
        let mut asking = tokio::task::JoinSet::new();
        for url in &conf.substituters {
            let Some(address) = Address::parse(url) else {
                continue;
            };
            // Only root can tell what a substituter had.
            let known = provenance::last_found_at(&cache_dir, url).ok().flatten();
            let (label, netrc, authorities) =
                (label_value(url), netrc.clone(), authorities.clone());
            asking.spawn(async move {
                let mut finding =
                    probe(&address, known.as_deref(), &netrc, &authorities, timeout).await;
                if !may_be_refused && finding.authorized == Some(false) {
                    finding.authorized = None;
                }
                (label, finding)
            });
        }
        let mut findings = Findings::new();
        while let Some(found) = asking.join_next().await {
            if let Ok((label, finding)) = found {
                findings.insert(label, finding);
            }
        }
        findings
    });
    // The look-up of a name that still blocks must not keep us.
    runtime.shutdown_background();
    findings
}

impl Collector for SubstituterProbes {
    fn name(&self) -> &'static str {
        Name::SubstituterProbes.as_str()
    }

    fn heed(&mut self, names: &Names, options: &Options) {
        self.interval = options.substituter_probe_interval;
        self.heeds_watchdog = names.has(Name::Watchdog);
    }

    fn families(&self) -> &'static [&'static str] {
        &[
            UP,
            "nix_substituter_probe_duration_seconds",
            "nix_substituter_authorized",
        ]
    }

    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        let Some(interval) = self.interval else {
            return Ok(Vec::new());
        };
        if !(cx.layout().is_live() || self.any_root) {
            return Ok(Vec::new());
        }
        if self.heeds_watchdog && cx.watchdog_publishes(UP) {
            self.last.clear();
            return Ok(Vec::new());
        }
        self.hear();
        if self.is_due(cx.now(), interval) {
            self.begin(cx)?;
        }
        Ok(families(&self.last))
    }
}

fn families(findings: &Findings) -> Vec<Family> {
    let mut up = Family::of(
        Kind::Gauge,
        UP,
        "1 if the substituter answered as one when it was last asked, or asked for other credentials, 0 if not",
    );
    let mut duration = Family::of(
        Kind::Gauge,
        "nix_substituter_probe_duration_seconds",
        "How long the substituter took to answer when it was last asked for its nix-cache-info, or how long was waited",
    );
    let mut authorized = Family::of(
        Kind::Gauge,
        "nix_substituter_authorized",
        "1 if the substituter gave the narinfo of a path that it had before, 0 if it wants other credentials (401, 403, 407), which Nix takes for a miss; absent if neither is known",
    );
    for (substituter, finding) in findings {
        let label = || vec![("substituter", substituter.clone())];
        up.push(label(), flag(finding.up.is_ok()));
        duration.push(label(), finding.took.as_secs_f64());
        if let Some(is_authorized) = finding.authorized {
            authorized.push(label(), flag(is_authorized));
        }
    }
    vec![up, duration, authorized]
}

#[cfg(test)]
mod tests;
