//! A host that exists in memory only: a store, a profile, one probe, the alert that goes with it,
//! a disk, and a fuse that kills the watchdog.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, Instant},
};

use crate::{
    act::switch::SwitchEnd,
    probe::{Check, ProbeConfig, ProbeResult, Runs, Severity},
    record::{Mode, Record},
    rollback::{
        facts::{AlertSeen, BootSeen, Facts, GenerationId, SystemSeen, TargetCheck},
        machine::{Act, Machine},
        policy::Policy,
        run::{Hands, Verbs, tick},
        turn::Answer,
    },
};

pub(in crate::rollback) const TICK_MS: i64 = 15_000;
pub(in crate::rollback) const ALERT: &str = "ProbeFails";

/// What the watchdog did to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rollback) enum Call {
    SetProfile(GenerationId),
    Switch(GenerationId),
    SetBootDefault(GenerationId),
    /// To what the boot loader starts.
    Reboot(String),
}

/// What a lock server does. One that is silent may have heard all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rollback) enum Server {
    Grants,
    Refuses,
    Deaf,
    Dumb,
}

#[derive(Debug)]
pub(in crate::rollback) struct Host {
    pub(in crate::rollback) generations: Vec<GenerationId>,
    pub(in crate::rollback) current: Option<GenerationId>,
    pub(in crate::rollback) running: String,
    /// Closures under which the probe fails.
    pub(in crate::rollback) broken: BTreeSet<String>,
    /// The probe fails under every closure.
    pub(in crate::rollback) fault_in_var: bool,
    /// It fails so many times yet, whatever runs.
    pub(in crate::rollback) flaps: u8,
    /// An activation has stopped what it probes.
    pub(in crate::rollback) stopped: bool,
    pub(in crate::rollback) invalid: BTreeSet<String>,
    /// The kernel of each closure that has another one than the first.
    pub(in crate::rollback) kernels: BTreeMap<String, u8>,
    /// What was booted, and how many boots there were before.
    pub(in crate::rollback) booted: String,
    pub(in crate::rollback) boots: u32,
    /// Whether a reboot was asked for, and whether none ever comes.
    rebooting: bool,
    pub(in crate::rollback) reboot_stuck: bool,
    pub(in crate::rollback) validity_unreadable: bool,
    pub(in crate::rollback) switch_ends: SwitchEnd,
    pub(in crate::rollback) disk_full: bool,
    pub(in crate::rollback) disk: Option<Machine>,
    /// Every way from one state on disk to another.
    pub(in crate::rollback) ways: BTreeSet<(&'static str, &'static str)>,
    /// What runs is what the profile points to.
    pub(in crate::rollback) follows_profile: bool,
    /// What a reboot would start.
    pub(in crate::rollback) boot: Option<String>,
    /// A switch leaves that as it is, as a boot loader does that does not list the target.
    pub(in crate::rollback) loader_forgets: bool,
    /// Nothing changes it.
    pub(in crate::rollback) loader_stuck: bool,
    /// What our own GC root keeps.
    pub(in crate::rollback) kept: Option<String>,
    /// What the lock server of the fleet does, and whether this host holds a place there.
    pub(in crate::rollback) server: Server,
    pub(in crate::rollback) holds_place: bool,
    /// How many times in a row it was silent when asked for one.
    pub(in crate::rollback) unanswered: u32,
    /// The closure that the updater may not bring.
    pub(in crate::rollback) held: Option<String>,
    /// How many more effects the watchdog lives for.
    pub(in crate::rollback) fuse: Option<u32>,
    pub(in crate::rollback) calls: Vec<Call>,
}

impl Host {
    /// The kernel of a closure.
    fn kernel(&self, store_path: &str) -> u8 {
        self.kernels.get(store_path).copied().unwrap_or_default()
    }

    /// Neither what is booted nor what runs has its kernel.
    fn has_foreign_kernel(&self, store_path: &str) -> bool {
        let kernel = self.kernel(store_path);
        kernel != self.kernel(&self.booted) && kernel != self.kernel(&self.running)
    }

    /// One effect comes nearer to the kill.
    fn burn(host: &RefCell<Self>) {
        let mut here = host.borrow_mut();
        match here.fuse {
            Some(0) => {
                here.fuse = None;
                drop(here);
                resume_unwind(Box::new("killed"));
            }
            Some(left) => here.fuse = Some(left - 1),
            None => {}
        }
    }
}

impl TargetCheck for RefCell<Host> {
    fn valid(&self, store_path: &str) -> Result<bool, String> {
        let host = self.borrow();
        if host.validity_unreadable {
            return Err("the database is locked".to_owned());
        }
        Ok(!host.invalid.contains(store_path))
    }

    fn needs_reboot(&self, _: &SystemSeen, target: &str) -> Result<Option<String>, String> {
        let needs = self.borrow().has_foreign_kernel(target);
        Ok(needs.then(|| "its kernel is another".to_owned()))
    }
}

struct Hand<'a>(&'a RefCell<Host>);

impl Verbs for Hand<'_> {
    fn set_profile(&mut self, target: &GenerationId, _: Option<u64>) -> Result<(), String> {
        Host::burn(self.0);
        {
            let mut host = self.0.borrow_mut();
            host.calls.push(Call::SetProfile(target.clone()));
            let made_anew = GenerationId {
                number: host.generations.iter().map(|g| g.number).max().unwrap_or(0) + 1,
                ..target.clone()
            };
            if host.generations.contains(target) {
                host.current = Some(target.clone());
            } else if !host.invalid.contains(&target.store_path) {
                host.generations.push(made_anew.clone());
                host.current = Some(made_anew);
            } else {
                return Err("it is not valid".to_owned());
            }
            if host.follows_profile {
                host.running.clone_from(&target.store_path);
            }
        }
        Host::burn(self.0);
        Ok(())
    }

    fn switch(&mut self, target: &GenerationId, _: &str) -> Result<SwitchEnd, String> {
        Host::burn(self.0);
        let end = {
            let mut host = self.0.borrow_mut();
            host.calls.push(Call::Switch(target.clone()));
            let foreign = host.has_foreign_kernel(&target.store_path);
            assert!(!foreign, "switched to another kernel");
            if host.switch_ends.has_switched() {
                host.running.clone_from(&target.store_path);
            }
            // The boot loader comes first, before it is seen that the init interface differs.
            let loads =
                host.switch_ends.has_switched() || host.switch_ends == SwitchEnd::InitInterface;
            if loads && !host.loader_forgets && !host.loader_stuck {
                host.boot = Some(target.store_path.clone());
            }
            host.switch_ends
        };
        Host::burn(self.0);
        Ok(end)
    }

    fn set_boot_default(&mut self, target: &GenerationId, _: &str) -> Result<SwitchEnd, String> {
        Host::burn(self.0);
        {
            let mut host = self.0.borrow_mut();
            host.calls.push(Call::SetBootDefault(target.clone()));
            if !host.loader_stuck {
                host.boot = Some(target.store_path.clone());
            }
        }
        Host::burn(self.0);
        Ok(SwitchEnd::Switched)
    }

    fn reboot(&mut self) -> Result<(), String> {
        Host::burn(self.0);
        let mut host = self.0.borrow_mut();
        let to = host.boot.clone().unwrap_or_default();
        host.calls.push(Call::Reboot(to));
        host.rebooting = !host.reboot_stuck;
        drop(host);
        Host::burn(self.0);
        Ok(())
    }

    fn keep_target(&mut self, target: Option<&str>) -> Result<(), String> {
        Host::burn(self.0);
        self.0.borrow_mut().kept = target.map(ToOwned::to_owned);
        Host::burn(self.0);
        Ok(())
    }

    fn take_turn(&mut self) -> Answer {
        Host::burn(self.0);
        let server = {
            let mut host = self.0.borrow_mut();
            let heard = matches!(host.server, Server::Grants | Server::Dumb);
            host.holds_place |= heard;
            let silent = matches!(host.server, Server::Deaf | Server::Dumb);
            host.unanswered = if silent { host.unanswered + 1 } else { 0 };
            host.server
        };
        Host::burn(self.0);
        match server {
            Server::Grants => Answer::Granted,
            Server::Refuses if self.0.borrow().holds_place => Answer::Granted,
            Server::Refuses => Answer::Refused("all places are taken".to_owned()),
            Server::Deaf | Server::Dumb => Answer::Silent("no answer".to_owned()),
        }
    }

    fn end_turn(&mut self) -> Result<(), String> {
        Host::burn(self.0);
        let server = self.0.borrow().server;
        if server != Server::Deaf {
            self.0.borrow_mut().holds_place = false;
        }
        Host::burn(self.0);
        match server {
            Server::Grants | Server::Refuses => Ok(()),
            Server::Deaf | Server::Dumb => Err("no answer".to_owned()),
        }
    }

    fn hold_updater(&mut self, closure: &str) -> Result<Option<String>, String> {
        if self.0.borrow().held.as_deref() == Some(closure) {
            return Ok(None);
        }
        Host::burn(self.0);
        self.0.borrow_mut().held = Some(closure.to_owned());
        Host::burn(self.0);
        Ok(Some("it may not start".to_owned()))
    }

    fn release_updater(&mut self) -> Result<String, String> {
        Host::burn(self.0);
        self.0.borrow_mut().held = None;
        Host::burn(self.0);
        Ok("it may start".to_owned())
    }

    fn describe(&self, act: &Act) -> String {
        format!("would do {act:?}")
    }
}

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
        let host = Host {
            generations: Vec::new(),
            current: None,
            running: String::new(),
            broken: BTreeSet::new(),
            fault_in_var: false,
            flaps: 0,
            stopped: false,
            invalid: BTreeSet::new(),
            kernels: BTreeMap::new(),
            booted: String::new(),
            boots: 0,
            rebooting: false,
            reboot_stuck: false,
            validity_unreadable: false,
            switch_ends: SwitchEnd::Switched,
            disk_full: false,
            disk: None,
            ways: BTreeSet::new(),
            boot: None,
            loader_forgets: false,
            loader_stuck: false,
            kept: None,
            server: Server::Grants,
            holds_place: false,
            unanswered: 0,
            held: None,
            follows_profile: false,
            fuse: None,
            calls: Vec::new(),
        };
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
        let probes = [ProbeResult {
            name: "web".to_owned(),
            ok,
            passed,
            blind: false,
            severity: Severity::Required,
            profile: None,
            detail: String::new(),
            duration: Duration::ZERO,
        }];
        // The rule: the probe fails and a trial is on. Blindness changes no alert.
        if !blind.system && !blind.probes {
            let holds = !ok && self.machine.on_trial();
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
