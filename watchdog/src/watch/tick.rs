//! One tick: the host is looked at once, and everything that follows is about that one look.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant, SystemTime},
};

use snowguard_exporter::{
    collect::{Names, Registry},
    sample::{Family, seconds},
    state_file::{self, StateFile},
};
use snowguard_host::{Layout, store::FileSystem};
use snowguard_rules::{
    Alert, AlertMemory, AlertState, Engine, Outcome, Remedy as Asked, RuleError, RuleSet, Step,
    Window,
};
use tracing::{info, warn};

use super::{
    RUN_DIR, WatchError,
    counters::Counters,
    gc_unit,
    gc_unit::GcUnit,
    kept_window::KeptWindow,
    load_rules,
    means::probe_means,
    mode,
    remedies::{Looked, Remedies, probes_of},
    samples,
};
use crate::{
    act::stop::Stop,
    clock,
    config::Settings,
    keep::{Keep, KeepError},
    probe::{ProbeResult, Prober},
    record::Remedy,
    rollback,
};

const PUT_OFF: &str = "an incident goes on; what a rollback is decided and verified by changes at \
                       its end";

/// What is less is a clock that is corrected, and no other time.
const PUT_FORWARD_MS: i64 = 10_000;

/// Everything that lives from one tick to the next.
pub(super) struct Watch {
    layout: Layout,
    settings: Settings,
    /// What a reload brought in the middle of an incident, to be taken into force at its end.
    put_off: Option<Settings>,
    registry: Registry,
    window: Window,
    kept_window: KeptWindow,
    engine: Engine,
    /// How many rules there are.
    rules: usize,
    /// The alerts that ask for a rollback.
    judges: BTreeSet<String>,
    /// How many of them had no answer at the last evaluation.
    blind: Option<Family>,
    prober: Prober,
    gc_unit: GcUnit,
    remedies: Remedies,
    counters: Counters,
    alert_memory: Keep,
    remembered: Option<AlertMemory>,
    /// Errors of rules that were logged and not yet resolved.
    rule_errors: BTreeSet<String>,
    state_file_failing: bool,
    /// When it looked last, by a clock that nobody sets and by the one of the host.
    looked: Option<(Instant, i64)>,
}

impl Watch {
    pub(super) fn begin(
        layout: Layout,
        settings: Settings,
        ending: Stop,
    ) -> Result<Self, WatchError> {
        let (state_dir, run_dir) = (layout.inside(&settings.state_dir), layout.inside(RUN_DIR));
        let mut alert_memory = Keep::new("alerts", &state_dir, &run_dir);
        let remembered: Option<AlertMemory> = match alert_memory.load() {
            // Alerts that begin anew come later, which is no reason not to watch.
            Err(error @ KeepError::Malformed { .. }) => {
                warn!(%error, "the alerts begin anew");
                None
            }
            other => other?,
        };
        let remedies = Remedies::begin(&layout, &settings, ending)?;
        let (settings, put_off) = match remedies.settings() {
            in_force if *in_force == settings => (settings, None),
            in_force => {
                info!("{PUT_OFF}");
                (in_force.clone(), Some(settings))
            }
        };
        let rules = match (load_rules(&layout, &settings), &put_off) {
            (Err(error), Some(given)) => {
                warn!(%error, "the rules of the incident that goes on are gone");
                load_rules(&layout, given)?
            }
            (rules, _) => rules?,
        };
        let (count, judges) = (rules.len(), judges(&rules));
        let mut watch = Self {
            registry: registry(&layout, &settings),
            window: Window::new(rules.needed_window()),
            kept_window: KeptWindow::in_directory(&state_dir),
            engine: Engine::new(rules),
            rules: count,
            judges,
            blind: None,
            prober: Prober::new(settings.probes.clone(), probe_means(&layout)),
            gc_unit: GcUnit::of(&layout),
            remedies,
            counters: Counters::new(),
            alert_memory,
            remembered: None,
            rule_errors: BTreeSet::new(),
            state_file_failing: false,
            looked: None,
            layout,
            settings,
            put_off,
        };
        watch
            .kept_window
            .restore(&mut watch.window, clock::now_ms());
        if let Some(memory) = remembered {
            let taken_up = watch.engine.restore(memory, clock::now_ms());
            if taken_up > 0 {
                info!(
                    alerts = taken_up,
                    "took up the alerts of before the restart"
                );
            }
        }
        Ok(watch)
    }

    pub(super) fn interval(&self) -> Duration {
        self.settings.interval
    }

    /// Takes other settings into force, or none of them.
    pub(super) fn reload(&mut self, settings: Settings) -> Result<(), WatchError> {
        if settings.state_dir != self.settings.state_dir {
            return Err(WatchError::CannotAct(
                "`watchdog.state_dir` changed, which takes a restart".to_owned(),
            ));
        }
        let rules = load_rules(&self.layout, &settings)?;
        if self.remedies.in_incident() {
            let in_force = settings.clone().during(self.settings.clone());
            self.remedies.reload(&in_force)?;
            info!("{PUT_OFF}");
            (self.settings, self.put_off) = (in_force, Some(settings));
            return Ok(());
        }
        self.put_off = None;
        self.remedies.reload(&settings)?;
        (self.rules, self.judges) = (rules.len(), judges(&rules));
        let memory = self.engine.memory();
        // The samples so far stay; what the new rules need beyond them is collected from now on.
        self.window.retain_for(rules.needed_window());
        self.engine = Engine::new(rules);
        self.engine.restore(memory, clock::now_ms());
        if settings.collect != self.settings.collect {
            self.registry = registry(&self.layout, &settings);
        }
        if settings.probes != self.settings.probes {
            self.prober = Prober::new(settings.probes.clone(), probe_means(&self.layout));
        }
        self.settings = settings;
        Ok(())
    }

    /// Looks at the host, decides, acts, and says so.
    pub(super) fn tick(&mut self, now: SystemTime) {
        // Of the same moment as `now`: how long a look takes is no time between two runs of a probe.
        let begun = Instant::now();
        let now_ms = clock::millis(now);
        self.counters.ticks += 1;
        self.heed_clock(begun, now_ms);
        let snapshot = self.registry.collect(now);
        let trials = self.remedies.trials(now_ms);
        let probes = self.prober.run_each(begun, &trials);
        let file_system = FileSystem::read(&self.layout).ok();
        let mut seen_as_root = samples::only_root_sees(&snapshot.families);
        let (mut families, mut unseen) = (snapshot.families, snapshot.unseen);
        match self.gc_unit.look(Instant::now()) {
            Some(facts) => {
                seen_as_root.extend(facts.iter().cloned());
                families.extend(facts);
            }
            None => drop(unseen.insert(gc_unit::FAILED.to_owned())),
        }
        families.extend(self.own_families(now_ms, file_system.as_ref(), &probes));
        families.push(Family::gauge(
            "snowguard_watchdog_state_timestamp_seconds",
            "When the watchdog last wrote its state file, as seconds since 1970",
            seconds(now),
        ));
        let outcomes = self.evaluate(&families, now_ms, &unseen);
        self.log(&outcomes);
        self.blind = Some(samples::blind(self.rules, &outcomes));
        let unanswered = self.unanswered(&outcomes);
        // An alert whose rule could not be evaluated now is as it was, and heals nothing.
        let (firing, pending): (Vec<Alert>, Vec<Alert>) = outcomes
            .into_iter()
            .filter_map(|outcome| outcome.result.ok())
            .flatten()
            .partition(|alert| matches!(alert.state, AlertState::Firing { .. }));
        // Before the act: what kills the watchdog most likely does so in the middle of one, and the
        // incident is to go on under its name.
        self.remember();
        let looked = Looked {
            firing: &firing,
            pending: &pending,
            unanswered: &unanswered,
            probes: &probes,
        };
        self.remedies.tick(looked, now_ms, &mut self.counters);
        self.publish(now, file_system.as_ref(), &probes, seen_as_root);
        self.take_up_what_was_put_off();
        self.kept_window.save(&self.window, now_ms, false);
    }

    fn take_up_what_was_put_off(&mut self) {
        if self.remedies.in_incident() {
            return;
        }
        if let Some(settings) = self.put_off.take() {
            match self.reload(settings) {
                Ok(()) => info!("the incident has ended; configuration and rules are in force"),
                Err(error) => {
                    warn!(%error, "reload refused; what was in force stays in force");
                }
            }
        }
    }

    /// Keeps what must outlive the process.
    pub(super) fn end(&mut self) {
        self.remembered = None;
        self.remember();
        self.kept_window.save(&self.window, clock::now_ms(), true);
        self.remedies.end(clock::now_ms(), &mut self.counters);
    }

    /// A host without a clock of its own boots with one that is hours behind, and is told the time
    /// later; one that was suspended has missed some. Neither is time in which anything failed.
    fn heed_clock(&mut self, looked: Instant, now_ms: i64) {
        if let Some((before, before_ms)) = self.looked.replace((looked, now_ms)) {
            let passed = looked.saturating_duration_since(before).as_millis();
            let passed = i64::try_from(passed).unwrap_or(i64::MAX);
            let forward_ms = now_ms.saturating_sub(before_ms).saturating_sub(passed);
            if forward_ms >= PUT_FORWARD_MS {
                warn!(forward_ms, "the clock went forward");
                self.engine.later_by(forward_ms);
                self.remedies.later_by(forward_ms);
            }
        }
    }

    fn evaluate(
        &mut self,
        families: &[Family],
        now_ms: i64,
        unseen: &BTreeSet<String>,
    ) -> Vec<Outcome> {
        if self
            .window
            .newest_ms()
            .is_some_and(|newest| newest >= now_ms)
        {
            // Samples of the future would outlive the jump; the window begins anew, and a rule
            // that looks back waits until it is covered again.
            warn!("the clock went back; the samples so far are dropped");
            self.window.clear();
        }
        match self.window.append_scrape(now_ms, samples::series(families)) {
            Ok(()) if self.window.memory_bytes() > self.memory_allowed() => {
                let reason = format!(
                    "{} series take {} bytes, and `rules.window_memory` allows {}; the samples \
                     begin anew",
                    self.window.series_count(),
                    self.window.memory_bytes(),
                    self.settings.window_memory
                );
                warn!("blind: {reason}");
                self.counters.overflows += 1;
                self.window.clear();
                self.engine.blind(reason);
                Vec::new()
            }
            Ok(()) => self
                .engine
                .evaluate_seeing(&mut self.window, now_ms, unseen),
            Err(error) => {
                warn!(%error, "this look at the host cannot be used");
                self.engine.blind(error.to_string());
                Vec::new()
            }
        }
    }

    /// The alerts by which deploys are judged and which had no answer now, or have no rule any more.
    fn unanswered(&self, outcomes: &[Outcome]) -> Vec<String> {
        let profiles = self.remedies.profiles().map(|(_, machine)| machine);
        let machines = profiles.chain([self.remedies.machine()]);
        let mut asked = self.judges.clone();
        asked.extend(machines.filter_map(|machine| Some(machine.condemned_by()?.to_owned())));
        asked.retain(|name| {
            let mut own = outcomes.iter().filter(|o| o.rule.name == *name).peekable();
            own.peek().is_none() || own.any(|outcome| outcome.result.is_err())
        });
        asked.into_iter().collect()
    }

    fn memory_allowed(&self) -> usize {
        usize::try_from(self.settings.window_memory.0).unwrap_or(usize::MAX)
    }

    fn log(&mut self, outcomes: &[Outcome]) {
        for transition in self.engine.transitions() {
            let alert = &transition.alert;
            let (name, value) = (alert.rule.name.as_str(), alert.value);
            let labels = alert.labels.to_string();
            let summary = alert.annotations.get("summary").map_or("", String::as_str);
            match transition.step {
                Step::Began => info!(alert = name, value, labels, "alert pending: {summary}"),
                Step::Fired => warn!(alert = name, value, labels, "alert firing: {summary}"),
                Step::Cancelled => info!(alert = name, labels, "alert cancelled"),
                Step::Resolved => info!(alert = name, labels, "alert resolved"),
            }
        }
        let mut errors = BTreeSet::new();
        for outcome in outcomes {
            if let Err(error) = &outcome.result {
                let kind = std::mem::discriminant(error);
                let key = format!("{}: {kind:?}", outcome.rule.name);
                if !self.rule_errors.contains(&key) {
                    let rule = outcome.rule.name.as_str();
                    match error {
                        // A window that fills is no fault.
                        RuleError::WindowTooShort { .. } => {
                            info!(rule, %error, "waiting for enough samples; its alerts stay as they are");
                        }
                        _ => {
                            warn!(rule, %error, "cannot be evaluated; its alerts stay as they are")
                        }
                    }
                }
                errors.insert(key);
            }
        }
        self.rule_errors = errors;
    }

    /// Alerts are written when they change, not each time they still hold.
    fn remember(&mut self) {
        let mut memory = self.engine.memory();
        let evaluated_at_ms = memory.evaluated_at_ms.take();
        for alert in &mut memory.alerts {
            alert.last_true_ms = 0;
            alert.value_bits = 0;
        }
        if self.remembered.as_ref() == Some(&memory) {
            return;
        }
        let whole = AlertMemory {
            evaluated_at_ms,
            ..self.engine.memory()
        };
        match self.alert_memory.save(&whole) {
            Ok(()) => self.remembered = Some(memory),
            Err(error) => warn!(%error, "alerts would begin anew after a restart"),
        }
    }

    fn own_families(
        &self,
        now_ms: i64,
        file_system: Option<&FileSystem>,
        probes: &[ProbeResult],
    ) -> Vec<Family> {
        let mut families = samples::limits(&self.settings.gc, file_system);
        families.extend(rollback::families::families(
            self.remedies.machine(),
            &probes_of(None, probes),
            &self.settings.rollback,
            now_ms,
        ));
        rollback::families::join(&mut families, self.remedies.profile_families(probes));
        families.extend(self.counters.families());
        families.push(samples::modes([
            (Remedy::Gc, mode(self.settings.gc.mode)),
            (Remedy::Rollback, mode(self.settings.rollback.mode)),
        ]));
        families.push(samples::alerts(&self.engine.alerts()));
        families.extend(self.remedies.families());
        families.extend(self.settings.limits.families(file_system));
        families.extend(self.blind.clone());
        families.extend(samples::window(&self.window, self.memory_allowed()));
        families
    }

    fn publish(
        &mut self,
        now: SystemTime,
        file_system: Option<&FileSystem>,
        probes: &[ProbeResult],
        seen_as_root: Vec<Family>,
    ) {
        let mut families = seen_as_root;
        families.extend(self.own_families(clock::millis(now), file_system, probes));
        let state = StateFile {
            written_at: now,
            tick: self.settings.interval,
            families,
        };
        let outcome = state.write_atomically(&self.layout.inside(state_file::PATH));
        if let Err(error) = &outcome
            && !self.state_file_failing
        {
            warn!(%error, "the exporter cannot publish what the watchdog knows");
        }
        self.state_file_failing = outcome.is_err();
    }
}

/// The alerts that ask for a rollback.
fn judges(rules: &RuleSet) -> BTreeSet<String> {
    let asks = rules
        .alerting()
        .filter(|(_, remedy)| *remedy == Some(Asked::Rollback));
    asks.map(|(rule, _)| rule.name.clone()).collect()
}

fn registry(layout: &Layout, settings: &Settings) -> Registry {
    Registry::with_options(layout.clone(), &Names::of_the_host(), &settings.collect)
}
