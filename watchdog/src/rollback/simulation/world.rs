//! A host that exists in memory only: a store, a profile, one probe, the alert that goes with it,
//! a disk, and a fuse that kills the watchdog.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use super::host::Hand;
pub(in crate::rollback) use super::host::{Call, Host, Server};
use crate::{
    probe::{Check, ProbeConfig, ProbeResult, Runs, Severity},
    record::{Mode, Record},
    rollback::{
        facts::{AlertSeen, BootSeen, Facts, GenerationId, SystemSeen},
        machine::Machine,
        policy::Policy,
        run::{Hands, tick},
    },
};

pub(in crate::rollback) const TICK_MS: i64 = 15_000;
pub(in crate::rollback) const ALERT: &str = "ProbeFails";

/// What can be seen in a tick.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::rollback) struct Blindness {
    pub(in crate::rollback) system: bool,
    pub(in crate::rollback) probes: bool,
}

/// The host, and the watchdog on it.
pub(in crate::rollback) struct World {
    pub(in crate::rollback) now: i64,
    pub(in crate::rollback) host: RefCell<Host>,
    pub(in crate::rollback) machine: Machine,
    pub(in crate::rollback) policy: Policy,
    /// How the probe is judged, by the runs that this watchdog made, on a clock that never jumps.
    probe: ProbeConfig,
    runs: Runs,
    up: Instant,
    looked: Option<i64>,
    pub(in crate::rollback) records: Vec<Record>,
    /// Whether the probe passed in the last tick.
    pub(in crate::rollback) passed: bool,
    /// Since when the alert of the probe is active.
    pub(in crate::rollback) alert: Option<i64>,
    /// Whether it was shown to the watchdog in the last tick, with open eyes.
    pub(in crate::rollback) shown: bool,
    /// Alerts that fire beside it.
    pub(in crate::rollback) other_alerts: Vec<AlertSeen>,
    /// Alerts that wait for their `for`.
    pub(in crate::rollback) pending: Vec<AlertSeen>,
    /// There is a probe of a service that only the newest deploy has, and that does not start.
    pub(in crate::rollback) brought: bool,
    /// Alerts whose rule has no answer.
    pub(in crate::rollback) unanswered: Vec<String>,
    /// What somebody confirmed.
    pub(in crate::rollback) confirmed: Option<String>,
    next_number: u64,
    closures: u64,
}

impl World {
    /// A host with one system, which is not yet known good.
    pub(in crate::rollback) fn new(mode: Mode) -> Self {
        let host = Host::new();
        let probe = ProbeConfig {
            failures: 1,
            of: 1,
            ..ProbeConfig::new(Check::Dns {
                host: String::new(),
            })
        };
        let mut world = Self {
            runs: Runs::of(&probe),
            probe,
            up: Instant::now(),
            looked: None,
            now: 1_000_000_000,
            host: RefCell::new(host),
            machine: Machine::default(),
            policy: Policy {
                mode,
                soak: Duration::from_secs(120),
                ..Policy::default()
            },
            records: Vec::new(),
            passed: true,
            alert: None,
            shown: false,
            other_alerts: Vec::new(),
            pending: Vec::new(),
            brought: false,
            unanswered: Vec::new(),
            confirmed: None,
            next_number: 1,
            closures: 0,
        };
        world.deploy(false);
        world.reboot();
        world
    }

    /// The probe counts as failed after so many of its last runs, and those in a grace do not count.
    pub(in crate::rollback) fn judge_by(&mut self, failures: u32, of: u32, grace: Duration) {
        (self.probe.failures, self.probe.of, self.probe.grace) = (failures, of, grace);
        self.runs = Runs::of(&self.probe);
    }

    /// How often the probe must fail to count as failed.
    pub(in crate::rollback) fn failures(&self) -> u32 {
        self.probe.failures
    }

    /// For how long after an activation a failure does not count.
    pub(in crate::rollback) fn grace(&self) -> Duration {
        self.probe.grace
    }

    /// A host whose first system is known good.
    pub(in crate::rollback) fn settled(mode: Mode) -> Self {
        let mut world = Self::new(mode);
        world.ticks(10);
        assert_eq!(world.state(), "settled");
        world.records.clear();
        world
    }

    pub(in crate::rollback) fn state(&self) -> &'static str {
        self.machine.state().name()
    }

    pub(in crate::rollback) fn held(&self) -> Option<String> {
        self.host.borrow().held.clone()
    }

    pub(in crate::rollback) fn calls(&self) -> Vec<Call> {
        self.host.borrow().calls.clone()
    }

    pub(in crate::rollback) fn generation(&self, number: u64) -> GenerationId {
        let host = self.host.borrow();
        let found = host.generations.iter().find(|g| g.number == number);
        found.expect("a generation of this number").clone()
    }

    pub(in crate::rollback) fn reasons(&self) -> Vec<&str> {
        self.records.iter().map(|r| r.reason.as_str()).collect()
    }

    /// A closure that the host has not seen before.
    pub(in crate::rollback) fn closure(&mut self, breaks: bool) -> String {
        self.closures += 1;
        let path = format!("/nix/store/{}-nixos-system", self.closures);
        if breaks {
            self.host.borrow_mut().broken.insert(path.clone());
        }
        path
    }

    /// `nixos-rebuild switch` with a new closure.
    pub(in crate::rollback) fn deploy(&mut self, breaks: bool) {
        let generation = self.link(breaks);
        self.activate(&generation);
    }

    /// The first half of that: the profile points to a new generation, which nothing activates yet.
    pub(in crate::rollback) fn link(&mut self, breaks: bool) -> GenerationId {
        let store_path = self.closure(breaks);
        let last = self
            .host
            .borrow()
            .generations
            .iter()
            .map(|g| g.number)
            .max();
        self.next_number = self.next_number.max(last.unwrap_or(0) + 1);
        let generation = GenerationId {
            number: self.next_number,
            store_path,
            linked_at_ms: self.now,
        };
        self.next_number += 1;
        let mut host = self.host.borrow_mut();
        host.generations.push(generation.clone());
        host.current = Some(generation.clone());
        drop(host);
        generation
    }

    /// As comin deploys: another profile leads to it, and the boot loader starts it.
    pub(in crate::rollback) fn deploy_elsewhere(&mut self, breaks: bool) -> String {
        let path = self.closure(breaks);
        let mut host = self.host.borrow_mut();
        host.boot = Some(path.clone());
        host.running.clone_from(&path);
        drop(host);
        path
    }

    /// Somebody switches to a generation by hand.
    pub(in crate::rollback) fn activate(&mut self, generation: &GenerationId) {
        let mut host = self.host.borrow_mut();
        host.running.clone_from(&generation.store_path);
        host.boot = Some(generation.store_path.clone());
        host.current = Some(generation.clone());
    }

    pub(in crate::rollback) fn ticks(&mut self, count: usize) {
        for _ in 0..count {
            self.tick(Blindness::default());
        }
    }

    /// The system as it is read now.
    pub(in crate::rollback) fn seen(&self) -> SystemSeen {
        let host = self.host.borrow();
        SystemSeen {
            running: Some(host.running.clone()),
            booted: Some(host.booted.clone()),
            boot_id: Some(host.boots.to_string()),
            current: host.current.clone(),
            generations: host.generations.clone(),
            kept: host.kept.clone(),
            lasts: !host.follows_profile && host.boot.as_ref() == Some(&host.running),
            switching: host.stopped,
            wraps: false,
            led_since_ms: None,
            boot: host
                .boot
                .clone()
                .filter(|_| !host.follows_profile)
                .map_or(BootSeen::Unknown, BootSeen::System),
        }
    }

    /// One tick; true if the watchdog lived through it.
    pub(in crate::rollback) fn tick(&mut self, blind: Blindness) -> bool {
        self.now += TICK_MS;
        // As the engine of the rules does it.
        let back = self.looked.map_or(0, |last| (last - self.now).max(0));
        self.looked = Some(self.now);
        self.alert = self.alert.map(|at| at - back);
        let passed = {
            let mut host = self.host.borrow_mut();
            let flaps = host.flaps > 0;
            host.flaps = host.flaps.saturating_sub(1);
            !flaps && !host.stopped && !host.fault_in_var && !host.broken.contains(&host.running)
        };
        self.passed = passed;
        let system = self.seen();
        self.up += Duration::from_millis(TICK_MS.unsigned_abs());
        if !blind.probes {
            let seen = (!blind.system).then_some(&system);
            let since = self.machine.watched_since(seen, &self.policy, self.now);
            let trial = since.activated_ms;
            let ago = |since| u64::try_from(self.now - since).unwrap_or(0);
            let trial =
                trial.and_then(|since| self.up.checked_sub(Duration::from_millis(ago(since))));
            self.runs.note(self.up, !passed);
            self.runs.since(trial);
        }
        let ok = self.runs.are_well();
        let result = |name: &str, ok, passed| ProbeResult {
            name: name.to_owned(),
            ok,
            passed,
            blind: false,
            severity: Severity::Required,
            profile: None,
            detail: String::new(),
            duration: Duration::ZERO,
        };
        let mut probes = vec![result("web", ok, passed)];
        probes.extend(self.brought.then(|| result("brought", false, false)));
        // The rule: a probe that is not excused fails and a trial is on. Blindness changes no alert.
        if !blind.system && !blind.probes {
            let holds = !ok && self.machine.is_judged() && !self.machine.excuses("web");
            self.alert = holds.then(|| self.alert.unwrap_or(self.now));
        }
        self.shown = self.alert.is_some() && !blind.system && !blind.probes;
        let mut alerts = self.other_alerts.clone();
        alerts.extend(self.alert.map(|active_at_ms| AlertSeen {
            name: ALERT.to_owned(),
            active_at_ms,
            probe: Some("web".to_owned()),
        }));
        let host = &self.host;
        let facts = Facts {
            system: (!blind.system).then_some(&system),
            probes: (!blind.probes).then_some(&probes),
            confirmed: self.confirmed.as_deref(),
            alerts: &alerts,
            pending: &self.pending,
            unanswered: &self.unanswered,
            targets: host,
        };
        let mut persist = |machine: &Machine| {
            Host::burn(host);
            if host.borrow().disk_full {
                return Err("no space left".to_owned());
            }
            let mut here = host.borrow_mut();
            let before = here
                .disk
                .as_ref()
                .map_or("unknown", |disk| disk.state().name());
            if before != machine.state().name() {
                here.ways.insert((before, machine.state().name()));
            }
            here.disk = Some(machine.clone());
            drop(here);
            Host::burn(host);
            Ok(())
        };
        let machine = self.machine.clone();
        let (policy, now, recorder) = (&self.policy, self.now, &mut self.records);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut verbs = Hand(host);
            let mut hands = Hands {
                verbs: &mut verbs,
                persist: &mut persist,
                recorder,
            };
            tick(machine, facts, policy, now, &mut hands)
        }));
        match outcome {
            Ok(machine) => self.machine = machine,
            Err(cause) => {
                assert_eq!(cause.downcast_ref(), Some(&"killed"), "only the fuse kills");
                self.restart();
                self.reboot_if_asked();
                return false;
            }
        }
        self.reboot_if_asked();
        true
    }

    /// The clock of the host is put forward, as one that was behind since the boot is; the watchdog is
    /// told, and takes its alerts along.
    pub(in crate::rollback) fn put_forward(&mut self, by_ms: i64) {
        self.now += by_ms;
        self.alert = self.alert.map(|at| at + by_ms);
        self.machine = std::mem::take(&mut self.machine).later_by(by_ms);
    }

    fn reboot_if_asked(&mut self) {
        if self.host.borrow().rebooting {
            self.reboot();
        }
    }

    /// The host boots what the boot loader starts; a power cut is the same.
    pub(in crate::rollback) fn reboot(&mut self) {
        {
            let mut host = self.host.borrow_mut();
            host.rebooting = false;
            host.boots += 1;
            if let Some(boot) = host.boot.clone().filter(|_| !host.follows_profile) {
                host.running = boot;
            }
            host.booted = host.running.clone();
        }
        self.restart();
    }

    /// The watchdog begins again, with what is on disk and nothing else.
    pub(in crate::rollback) fn restart(&mut self) {
        let disk = self.host.borrow().disk.clone();
        self.machine = disk.map_or_else(Machine::default, |machine| {
            let text = machine.to_json().expect("JSON");
            let read = Machine::from_json(&text).expect("what was written can be read");
            assert_eq!(read, machine.into_kept(), "what is kept is what comes back");
            read
        });
        self.alert = None;
        self.runs = Runs::of(&self.probe);
    }
}
