//! What firing alerts ask for, and whether it is done now.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use snowguard_exporter::sample::{Family, flag};
use snowguard_host::Layout;
use snowguard_rules::{Alert, Remedy as Asked};
use tracing::warn;

use super::{
    BY_HAND, RUN_DIR, WatchError,
    counters::{Counters, Counting},
    means::able_to_act,
};
use crate::{
    act::{ballast::Ballast, stop::Stop},
    config::Settings,
    gc::{alone::Alone, plan::Reason},
    journal::{self, Journal},
    keep::{Keep, KeepError},
    probe::ProbeResult,
    rollback::machine::Machine,
};

mod boot_menu;
mod collection;
mod departed;
mod ended_switch;
mod incident;
mod profiles;
mod release;
mod reserve;
mod restraint;
mod rollback;
mod running;
mod trials;
mod undisturbed;

use ended_switch::EndedSwitch;
use incident::Incident;
use profiles::Instance;
pub(super) use profiles::of as probes_of;
use running::{Begun, Running, SharedJournal, Unended};
use undisturbed::{TO_STOP, Undisturbed};

/// How long a collection may take to stop at the end of the watchdog, within what its unit has.
const TO_END: Duration = Duration::from_secs(10);

/// What one look told of alerts and probes.
#[derive(Clone, Copy)]
pub(super) struct Looked<'a> {
    pub(super) firing: &'a [Alert],
    /// Alerts whose `for` has not passed.
    pub(super) pending: &'a [Alert],
    /// Alerts that judge a deploy, and of which it cannot be told whether they fire.
    pub(super) unanswered: &'a [String],
    pub(super) probes: &'a [ProbeResult],
}

/// Both remedies of one host, with what they must remember.
pub(super) struct Remedies {
    layout: Layout,
    settings: Settings,
    journal: SharedJournal,
    machine: Machine,
    machine_kept: Keep,
    incident: Incident,
    ended_switch: EndedSwitch,
    /// When the release was left that was taken last.
    released: Option<SystemTime>,
    /// The same for profiles that are no system, by name.
    profiles: BTreeMap<String, Instance>,
    /// Those that the configuration names no more, as long as something is owed of them.
    departed: BTreeMap<String, Instance>,
    ballast: Ballast,
    /// What was wrong with it when it was last made or dropped.
    ballast_error: Option<String>,
    /// Since when it is not in place and no alert asks for a collection.
    ballast_wanted_ms: Option<i64>,
    /// A collection that was begun and not ended: by a kill, if it is there at
    /// the start.
    begun: Option<Unended>,
    /// When it was gone on with last and refused for something that passes.
    resume_refused_ms: Option<i64>,
    begun_kept: Begun,
    /// When an old boot menu was looked for last.
    menu_looked_at_ms: i64,
    /// The collection that goes on now.
    running: Option<Running>,
    restraint: restraint::Restraint,
    /// The incidents that go on, and the last refusal of each that was recorded: the same one is
    /// not recorded each tick.
    told: HashMap<String, Option<Reason>>,
    /// Asked when the watchdog is to end.
    ending: Stop,
}

impl Remedies {
    pub(super) fn begin(
        layout: &Layout,
        settings: &Settings,
        ending: Stop,
    ) -> Result<Self, WatchError> {
        let (state_dir, run_dir) = (layout.inside(&settings.state_dir), layout.inside(RUN_DIR));
        Alone::prepare(&run_dir);
        let (machine, machine_kept) = load_machine(layout, settings, "rollback")?;
        let incident = Incident::load(Keep::new("incident", &state_dir, &run_dir))?;
        let (settings, profiles) = in_force(layout, settings, &machine, &incident)?;
        let settings = &settings;
        able_to_act(layout, settings)?;
        let mut begun_kept = Keep::new("collection", &state_dir, &run_dir);
        Ok(Self {
            begun: begun_kept.load::<Option<Unended>>()?.flatten(),
            begun_kept: Begun::new(begun_kept),
            resume_refused_ms: None,
            running: None,
            menu_looked_at_ms: 0,
            journal: SharedJournal::new(
                Journal::at(&state_dir, &run_dir).rotated(settings.journal),
            ),
            machine,
            machine_kept,
            incident,
            ended_switch: EndedSwitch::default(),
            released: None,
            departed: departed::find(layout, settings),
            profiles,
            ballast: Ballast::of(layout, settings.gc.ballast.0),
            ballast_error: None,
            ballast_wanted_ms: None,
            restraint: restraint::Restraint::load(layout, &state_dir)?,
            told: HashMap::new(),
            ending,
            layout: layout.clone(),
            settings: settings.clone(),
        })
    }

    pub(super) fn reload(&mut self, settings: &Settings) -> Result<(), WatchError> {
        able_to_act(&self.layout, settings)?;
        let before = std::mem::take(&mut self.profiles);
        self.profiles = profiles::load(&self.layout, settings, before)?;
        self.departed = departed::find(&self.layout, settings);
        self.ballast = Ballast::of(&self.layout, settings.gc.ballast.0);
        // Other limits may help where those before did not.
        self.restraint.rest_no_more();
        self.resume_refused_ms = None;
        self.settings = settings.clone();
        Ok(())
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The settings in force: while an incident goes on, those that it began with.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// True while any deploy is condemned and not yet undone for good.
    pub(super) fn in_incident(&self) -> bool {
        self.machine.is_in_incident()
            || (self.profiles.values()).any(|instance| instance.machine.is_in_incident())
    }

    /// The clock was put forward by so much. On disk as well, like the alerts: after a restart, one of
    /// before a deploy would seem to have begun after it.
    pub(super) fn later_by(&mut self, forward_ms: i64) {
        let profiles = self.profiles.values_mut();
        let profiles = profiles.map(|instance| (&mut instance.machine, &mut instance.kept));
        for (machine, kept) in profiles.chain([(&mut self.machine, &mut self.machine_kept)]) {
            let later = std::mem::take(machine).later_by(forward_ms);
            if let Err(error) = kept.save(&later) {
                warn!(%error, "what goes with the clock is not on disk");
            }
            *machine = later;
        }
    }

    /// Ends what goes on, so that the next watchdog can go on with it.
    pub(super) fn end(&mut self, now_ms: i64, counters: &mut Counters) {
        self.interrupt(now_ms, counters);
        self.journal.flush();
    }

    pub(super) fn families(&self) -> Vec<Family> {
        let mut families = running::families(self.running.as_ref());
        families.push(Family::gauge(
            "snowguard_gc_ballast_ready",
            "1 if the reserve for a disk that is hard full is in place",
            flag(self.settings.gc.ballast.0 > 0 && self.ballast.is_whole()),
        ));
        families
    }

    /// Takes over the lines that a collection by hand left when the disk did not take them. One that
    /// goes on writes them itself.
    fn take_up_by_hand(&self) {
        let run_dir = self.layout.inside(RUN_DIR);
        let by_hand = run_dir.join(BY_HAND);
        if journal::path_in(&by_hand).exists()
            && let Ok(_alone) = Alone::take(&run_dir)
        {
            self.journal.take_up(&by_hand);
        }
    }

    pub(super) fn tick(&mut self, looked: Looked<'_>, now_ms: i64, counters: &mut Counters) {
        self.journal.flush();
        self.take_up_by_hand();
        let asks = |alert: &&Alert| alert.remedy == Some(Asked::Gc);
        let gc: Vec<&Alert> = looked.firing.iter().filter(asks).collect();
        // While one goes on, and in the tick that saw its end, the alerts are of before its end.
        if !self.attend(now_ms, counters) {
            self.resume(now_ms, counters);
            if self.running.is_none() {
                self.mend_boot_menu(now_ms, counters);
            }
            if self.running.is_none() {
                if gc.is_empty() {
                    self.keep_ballast(now_ms);
                } else {
                    self.ballast_wanted_ms = None;
                }
                self.gc(&gc, now_ms, counters);
            }
        }
        self.release();
        self.rollback(looked, now_ms, counters);
        self.roll_back_profiles(looked, now_ms, counters);
        self.let_departed_go(now_ms, counters);
        self.let_ended_switch_go();
        let goes_on = self.in_incident();
        let place_is_out = self.machine.lease().is_out();
        self.incident.look(goes_on, place_is_out, &self.settings);
    }
}

/// The settings to begin with, and the machines of their profiles: an incident that a restart
/// fell into goes on with what it began with.
fn in_force(
    layout: &Layout,
    given: &Settings,
    machine: &Machine,
    incident: &Incident,
) -> Result<(Settings, BTreeMap<String, Instance>), KeepError> {
    let mut profiles = BTreeMap::new();
    if let Some(before) = incident.settings() {
        let settings = given.clone().during(before);
        profiles = profiles::load(layout, &settings, profiles)?;
        let mut machines = profiles.values().map(|instance| &instance.machine);
        if machine.is_in_incident() || machines.any(Machine::is_in_incident) {
            return Ok((settings, profiles));
        }
    }
    let profiles = profiles::load(layout, given, profiles)?;
    Ok((given.clone(), profiles))
}

/// A machine as the watchdog before this one kept it, and where it did.
fn load_machine(
    layout: &Layout,
    settings: &Settings,
    name: &str,
) -> Result<(Machine, Keep), KeepError> {
    let state_dir = layout.inside(&settings.state_dir);
    let mut kept = Keep::new(name, &state_dir, &layout.inside(RUN_DIR));
    let machine = match kept.load::<serde_json::Value>()? {
        None => Machine::default(),
        // The machine checks its own version.
        Some(text) => {
            Machine::from_json(&text.to_string()).map_err(|cause| KeepError::Malformed {
                path: state_dir.join(format!("{name}.json")),
                cause,
            })?
        }
    };
    Ok((machine, kept))
}
