//! What firing alerts ask for, and whether it is done now.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::json;
use snowguard_exporter::sample::{Family, flag};
use snowguard_host::{Layout, store::FileSystem};
use snowguard_rules::{Alert, Remedy as Asked};
use tracing::{info, warn};

use super::{
    RUN_DIR, WatchError,
    counters::{Counters, Counting},
    seen,
};
use crate::{
    act::{
        ballast::Ballast,
        delete_paths::DeletePaths,
        remove_generation::RemoveGeneration,
        set_profile::SetProfile,
        switch::{Switch, Systemd, Way},
    },
    config::Settings,
    gc::{
        self,
        plan::{Reason, Refusal},
        policy::Space,
        run::End,
    },
    journal::Journal,
    keep::{Keep, KeepError},
    probe::ProbeResult,
    record::{Mode, Record, Recorder, Remedy, Step},
    rollback::{
        facts::{AlertSeen, Facts},
        machine::Machine,
        reboot::HostTargets,
        run::{Hands, HostVerbs, tick},
    },
};

/// How long to wait for Nix to let go of a profile.
const PROFILE_LOCK: Duration = Duration::from_secs(30);
const SWITCH_DEADLINE: Duration = Duration::from_secs(600);
/// One call of Nix; the deadline of the whole collection is looked at between calls.
const DELETE_DEADLINE: Duration = Duration::from_secs(600);

/// Both remedies of one host, with what they must remember.
pub(super) struct Remedies {
    layout: Layout,
    settings: Settings,
    journal: Journal,
    machine: Machine,
    machine_kept: Keep,
    ballast: Ballast,
    nix_store: PathBuf,
    /// When the gc remedy may look again, by incident, and why it may not before.
    resting: Option<Rest>,
    /// The last refusal recorded for an incident: the same one is not recorded each tick.
    refused: HashMap<String, Reason>,
}

struct Rest {
    until_ms: i64,
}

impl Remedies {
    pub(super) fn begin(layout: &Layout, settings: &Settings) -> Result<Self, WatchError> {
        let state_dir = layout.inside(&settings.state_dir);
        let mut machine_kept = Keep::new("rollback", &state_dir, &layout.inside(RUN_DIR));
        let machine = match machine_kept.load::<serde_json::Value>()? {
            None => Machine::default(),
            // The machine checks its own version.
            Some(kept) => {
                Machine::from_json(&kept.to_string()).map_err(|cause| KeepError::Malformed {
                    path: state_dir.join("rollback.json"),
                    cause,
                })?
            }
        };
        Ok(Self {
            journal: Journal::at(&state_dir),
            machine,
            machine_kept,
            ballast: Ballast::of(layout, settings.gc.ballast.0),
            nix_store: able_to_act(layout, settings)?,
            resting: None,
            refused: HashMap::new(),
            layout: layout.clone(),
            settings: settings.clone(),
        })
    }

    pub(super) fn reload(&mut self, settings: &Settings) -> Result<(), WatchError> {
        self.nix_store = able_to_act(&self.layout, settings)?;
        self.ballast = Ballast::of(&self.layout, settings.gc.ballast.0);
        self.settings = settings.clone();
        Ok(())
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(super) fn flush(&mut self) {
        self.journal.flush();
    }

    pub(super) fn ballast_family(&self) -> Family {
        Family::gauge(
            "snowguard_gc_ballast_ready",
            "1 if the reserve for a disk that is hard full is in place",
            flag(self.settings.gc.ballast.0 > 0 && self.ballast.is_whole()),
        )
    }

    pub(super) fn tick(
        &mut self,
        firing: &[Alert],
        probes: &[ProbeResult],
        now_ms: i64,
        counters: &mut Counters,
    ) {
        self.journal.flush();
        let mut gc = firing
            .iter()
            .filter(|alert| alert.remedy == Some(Asked::Gc));
        match gc.next() {
            Some(alert) => self.gc(alert, now_ms, counters),
            None => self.keep_ballast(),
        }
        self.rollback(firing, probes, now_ms, counters);
    }

    fn gc(&mut self, alert: &Alert, now_ms: i64, counters: &mut Counters) {
        let policy = self.settings.gc.clone();
        let incident = format!("gc-{}-{}", alert.rule.name, alert.active_at_ms);
        if let Some(refusal) = self.standing_refusal(policy.mode, now_ms) {
            let known = self.refused.get(&incident) == Some(&refusal.reason);
            if !known {
                let step = Step::Refused;
                let reason = refusal.reason.name();
                self.record(
                    counters,
                    now_ms,
                    &incident,
                    step,
                    reason,
                    refusal.detail,
                    json!(null),
                );
                self.refused.insert(incident, refusal.reason);
            }
            return;
        }
        let trip = format!(
            "{} has held since {} and asks for garbage collection",
            alert.rule.name,
            time(alert.active_at_ms)
        );
        let facts = json!({"alert": alert.rule.name, "value": alert.value});
        self.record(
            counters,
            now_ms,
            &incident,
            Step::Trip,
            "alert",
            trip,
            facts,
        );
        let mut host = gc::host::RealHost {
            layout: self.layout.clone(),
            good: self.good(),
            delete: DeletePaths {
                layout: self.layout.clone(),
                program: self.nix_store.clone(),
                deadline: DELETE_DEADLINE,
            },
            generations: RemoveGeneration {
                lock_deadline: PROFILE_LOCK,
            },
            ballast: self.ballast.clone(),
            begun: Instant::now(),
        };
        let mut recorder = Counting {
            counters,
            inner: &mut self.journal,
        };
        let report = gc::run::collect(&mut host, &policy, &incident, &mut recorder);
        if report.promised != Space::NONE {
            counters.promised = report.promised;
        }
        counters.freed = counters.freed.plus(report.freed);
        match report.end {
            End::Short(_) => counters.run(Remedy::Gc, "failed"),
            End::Observed => counters.run(Remedy::Gc, "observed"),
            // The journal's `done` is counted where it is recorded; a refusal by its reason.
            End::Reached | End::Refused(_) => {}
        }
        let cooldown = i64::try_from(policy.cooldown.as_millis()).unwrap_or(i64::MAX);
        // A collection that reached its target has no reason to wait: the alert has its own.
        self.resting = (report.end != End::Reached).then(|| Rest {
            until_ms: now_ms.saturating_add(cooldown),
        });
        self.refused.retain(|other, _| *other == incident);
    }

    /// Why nothing is even planned.
    fn standing_refusal(&self, mode: Mode, now_ms: i64) -> Option<Refusal> {
        if mode == Mode::Off {
            let detail = "the remedy is off; set `gc.mode` to observe or act".to_owned();
            return Some(Refusal {
                reason: Reason::Off,
                detail,
            });
        }
        let hold = self.layout.inside(&self.settings.state_dir).join("hold");
        // Whatever is there, readable or not: an operator put it there.
        if !matches!(hold.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound)
        {
            let detail = format!("an operator holds all remedies: {hold:?}; remove it to release");
            return Some(Refusal {
                reason: Reason::Held,
                detail,
            });
        }
        let rest = self
            .resting
            .as_ref()
            .filter(|rest| now_ms < rest.until_ms)?;
        let detail = format!(
            "the last try did not help; the next is at {}",
            time(rest.until_ms)
        );
        Some(Refusal {
            reason: Reason::Cooldown,
            detail,
        })
    }

    /// Systems that are known good: the last one, and the one before, which is what a rollback
    /// of the last would go back to.
    fn good(&self) -> Vec<PathBuf> {
        let newest = self.machine.good().iter().rev().take(2);
        newest
            .map(|generation| PathBuf::from(&generation.store_path))
            .collect()
    }

    /// Puts the ballast back in place, once there is room for it beyond the target.
    fn keep_ballast(&mut self) {
        if self.settings.gc.mode != Mode::Act || self.ballast.is_whole() {
            return;
        }
        let Ok(file_system) = FileSystem::read(&self.layout) else {
            return;
        };
        let wanted = self.settings.gc.target_on(&file_system).bytes;
        if file_system.avail_bytes < wanted.saturating_add(self.ballast.size()) {
            return;
        }
        match self.ballast.make() {
            Ok(()) => info!(bytes = self.ballast.size(), "the ballast is in place"),
            Err(error) => warn!(%error, "there is no ballast"),
        }
    }

    fn rollback(
        &mut self,
        firing: &[Alert],
        probes: &[ProbeResult],
        now_ms: i64,
        counters: &mut Counters,
    ) {
        self.release();
        if self.settings.rollback.mode == Mode::Off {
            return;
        }
        let policy = &self.settings.rollback;
        let alerts: Vec<AlertSeen> = firing
            .iter()
            .filter(|alert| alert.remedy == Some(Asked::Rollback))
            .map(|alert| AlertSeen {
                name: alert.rule.name.clone(),
                active_at_ms: alert.active_at_ms,
                probe: Some(alert.labels.get("probe").to_owned()).filter(|name| !name.is_empty()),
            })
            .collect();
        let system = seen::system(&self.layout);
        if let Err(error) = &system {
            warn!(%error, "blind: the rollback remedy waits");
        }
        let valid = |path: &str| seen::is_whole(&self.layout, path);
        let targets = HostTargets::new(&self.layout, &valid);
        let facts = Facts {
            system: system.as_ref().ok(),
            probes: Some(probes),
            alerts: &alerts,
            targets: &targets,
        };
        let mut verbs = HostVerbs {
            profile: SetProfile {
                profile: self.layout.profiles().join("system"),
                lock_deadline: PROFILE_LOCK,
            },
            switch: Switch {
                way: way(&self.layout),
                deadline: SWITCH_DEADLINE,
                log: Some(self.layout.inside(RUN_DIR).join("switch.log")),
            },
        };
        let kept = &mut self.machine_kept;
        let mut persist = |machine: &Machine| kept.save(machine).map_err(|error| error.to_string());
        let mut recorder = Counting {
            counters,
            inner: &mut self.journal,
        };
        let mut hands = Hands {
            verbs: &mut verbs,
            persist: &mut persist,
            recorder: &mut recorder,
        };
        let machine = std::mem::take(&mut self.machine);
        self.machine = tick(machine, facts, policy, now_ms, &mut hands);
    }

    /// `snowguard release` leaves a marker; a latched remedy begins anew.
    fn release(&mut self) {
        let marker = self.layout.inside(&self.settings.state_dir).join("release");
        match fs::remove_file(&marker) {
            Ok(()) => {
                info!("released by an operator");
                self.machine = std::mem::take(&mut self.machine).release();
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => warn!(path = %marker.display(), %error, "the release cannot be taken"),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one record")]
    fn record(
        &mut self,
        counters: &mut Counters,
        at_ms: i64,
        incident: &str,
        step: Step,
        reason: &str,
        message: String,
        facts: serde_json::Value,
    ) {
        Counting {
            counters,
            inner: &mut self.journal,
        }
        .record(Record {
            at_ms,
            incident: incident.to_owned(),
            remedy: Remedy::Gc,
            mode: self.settings.gc.mode,
            step,
            reason: reason.to_owned(),
            message,
            facts,
        });
    }
}

/// How a switch is started on this host.
fn way(layout: &Layout) -> Way {
    if !layout.is_live() {
        let root = layout.root().to_owned();
        return Way::Chroot {
            program: first_of(&[
                "/usr/sbin/chroot",
                "/run/current-system/sw/bin/chroot",
                "/usr/bin/chroot",
            ]),
            root,
        };
    }
    // As `sd_booted(3)` tells it.
    if Path::new("/run/systemd/system").is_dir() {
        return Way::Systemd(Systemd {
            systemd_run: first_of(&[
                "/run/current-system/sw/bin/systemd-run",
                "/usr/bin/systemd-run",
            ]),
            systemctl: first_of(&["/run/current-system/sw/bin/systemctl", "/usr/bin/systemctl"]),
        });
    }
    Way::Child
}

fn first_of(candidates: &[&str]) -> PathBuf {
    let found = candidates.iter().find(|path| Path::new(path).exists());
    PathBuf::from(found.or(candidates.last()).copied().unwrap_or_default())
}

/// The program `nix-store`. What a remedy in mode `act` needs is looked for before the first
/// tick, not when the disk is full.
fn able_to_act(layout: &Layout, settings: &Settings) -> Result<PathBuf, WatchError> {
    let in_dir = |dir: &Path| dir.join("nix-store");
    let found = match &settings.nix_bin {
        Some(dir) => Some(in_dir(dir)).filter(|program| program.exists()),
        None => [
            "/run/current-system/sw/bin",
            "/nix/var/nix/profiles/default/bin",
            "/usr/local/bin",
            "/usr/bin",
        ]
        .iter()
        .map(|dir| in_dir(Path::new(dir)))
        .find(|program| program.exists()),
    };
    if settings.gc.mode == Mode::Act && found.is_none() {
        return Err(WatchError::CannotAct(
            "there is no nix-store; name its directory as `watchdog.nix_bin`".to_owned(),
        ));
    }
    let acts = settings.gc.mode == Mode::Act || settings.rollback.mode == Mode::Act;
    if acts && !nix::unistd::geteuid().is_root() {
        return Err(WatchError::CannotAct(
            "only root can: run it as root".to_owned(),
        ));
    }
    if let Ok(file_system) = FileSystem::read(layout) {
        let (trigger, target) = (
            settings.gc.trigger_on(&file_system),
            settings.gc.target_on(&file_system),
        );
        if settings.gc.mode != Mode::Off && trigger.bytes >= target.bytes {
            return Err(WatchError::CannotAct(format!(
                "`gc.trigger` is {} bytes here and `gc.target` {}: the target must be larger",
                trigger.bytes, target.bytes
            )));
        }
    }
    Ok(found.unwrap_or_else(|| PathBuf::from("/usr/bin/nix-store")))
}

fn time(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(
        |_| at_ms.to_string(),
        |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}
