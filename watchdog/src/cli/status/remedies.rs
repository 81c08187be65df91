//! What each remedy is set to, where it stands, and which of them needs a human.

use serde::Serialize;
use snowguard_exporter::state_file::StateFile;
use snowguard_host::store::FileSystem;
use snowguard_watchdog::{
    config::Settings,
    gc,
    gc::restraint::History,
    rollback,
    rollback::{
        facts::{Deploy, GenerationId},
        machine::Machine,
        state::{State, Updater},
    },
};

use super::{super::text, watchdog::labelled};

/// A remedy that failed and does nothing more.
#[derive(Debug, Serialize)]
pub(super) struct Latch {
    remedy: String,
    /// `None` if only what the watchdog publishes could be read.
    reason: Option<String>,
    why: Option<String>,
}

impl Latch {
    pub(super) fn sentence(&self) -> String {
        let why = self.why.as_deref();
        format!(
            "LATCHED: {} failed and does nothing more: {}; look at it, then `snowguard release`",
            self.remedy,
            why.unwrap_or("root can see why")
        )
    }
}

/// The remedies that are latched, by the machines themselves, or else by what is published of
/// them. The first is that of the system, the others have names of profiles.
pub(super) fn latched(
    machine: Option<&Machine>,
    profiles: &[(String, Option<Machine>)],
    published: Option<&StateFile>,
) -> Vec<Latch> {
    let latch = |remedy: String, machine: &Machine| match machine.state() {
        State::Failed { failure, .. } => Some(Latch {
            remedy,
            reason: Some(failure.reason.clone()),
            why: Some(failure.why.clone()),
        }),
        _ => None,
    };
    let system = machine.and_then(|machine| latch("rollback".to_owned(), machine));
    let profiles = profiles.iter().filter_map(|(name, machine)| {
        latch(format!("rollback of profile {name}"), machine.as_ref()?)
    });
    let latched: Vec<Latch> = system.into_iter().chain(profiles).collect();
    if machine.is_some() || !latched.is_empty() {
        return latched;
    }
    labelled(published, "snowguard_remedy_latched", "remedy")
        .into_iter()
        .map(|remedy| Latch {
            remedy,
            reason: None,
            why: None,
        })
        .collect()
}

/// The gc remedy.
#[derive(Debug, Serialize)]
pub(super) struct GcView {
    pub(super) mode: &'static str,
    /// On the file system of the store, `None` if that could not be read.
    trigger: Option<gc::policy::Space>,
    target: Option<gc::policy::Space>,
    needed: Option<gc::policy::Space>,
    /// True if no collection begins because those before brought nothing; `None` if that could
    /// not be read.
    breaker_open: Option<bool>,
    /// Collections in a row that brought next to nothing, if so many that the breaker is open.
    fruitless: Option<u32>,
    /// When the next collection may begin, if the breaker is open.
    breaker_until: Option<String>,
}

impl GcView {
    /// `history` is `None` if it could not be read, `Some(None)` if the watchdog never kept one.
    pub(super) fn of(
        policy: &gc::policy::Policy,
        file_system: Option<&FileSystem>,
        history: Option<Option<History>>,
    ) -> Self {
        let history = history.map(Option::unwrap_or_default);
        let breaker = history.as_ref().and_then(|history| history.breaker(policy));
        Self {
            breaker_open: history.as_ref().map(|_| breaker.is_some()),
            fruitless: breaker.map(|breaker| breaker.fruitless),
            breaker_until: breaker.map(|breaker| text::time_ms(breaker.until_ms)),
            mode: text::mode(policy.mode),
            trigger: file_system.map(|file_system| policy.trigger_on(file_system)),
            target: file_system.map(|file_system| policy.target_on(file_system)),
            needed: file_system.map(|now| policy.aimed_at(policy.tripped(now)).need(now)),
        }
    }

    pub(super) fn sentence(&self) -> String {
        let limits = match (self.trigger, self.target) {
            (Some(trigger), Some(target)) => Some(format!(
                "trips below {} available, frees up to {}",
                text::size(trigger.bytes),
                text::size(target.bytes)
            )),
            _ => None,
        };
        let breaker = self.breaker_until.as_ref();
        let breaker = breaker.map(|until| format!("breaker open until {until}"));
        let parts: Vec<String> = breaker.into_iter().chain(limits).collect();
        parts.join("; ")
    }

    /// That the breaker is open, for whoever needs to know first.
    pub(super) fn breaker(&self) -> Option<String> {
        let (fruitless, until) = (self.fruitless?, self.breaker_until.as_ref()?);
        Some(format!(
            "BREAKER OPEN: the last {fruitless} collections freed next to nothing, and none is \
             begun before {until}; look what fills the disk, then `snowguard release`"
        ))
    }
}

/// The rollback remedy.
#[derive(Debug, Serialize)]
pub(super) struct RollbackView {
    pub(super) mode: &'static str,
    /// The name of the state, as the metric `snowguard_rollback_state` has it.
    state: Option<String>,
    pub(super) sentence: String,
    /// Known good generations, oldest first; `None` if that cannot be read.
    good: Option<Vec<GenerationId>>,
    /// Store paths that were rolled back from.
    denied: Option<Vec<String>>,
    /// The store path that the updater is kept from deploying again, if it is held.
    pub(super) updater_held: Option<String>,
}

/// The rollback remedy of a profile that is no system.
#[derive(Debug, Serialize)]
pub(super) struct ProfileView {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) rollback: RollbackView,
}

impl ProfileView {
    /// Each as its machine was kept; one that the watchdog never kept has seen nothing yet.
    pub(super) fn all(settings: &Settings, machines: Vec<(String, Option<Machine>)>) -> Vec<Self> {
        let view = |(name, machine): (String, Option<Machine>)| {
            let own = settings.profiles.get(&name).and_then(|own| own.mode);
            let policy = rollback::policy::Policy {
                mode: own.unwrap_or(settings.rollback.mode),
                ..settings.rollback.clone()
            };
            Self {
                rollback: RollbackView::of(&policy, Some(machine), None),
                name,
            }
        };
        machines.into_iter().map(view).collect()
    }
}

impl RollbackView {
    /// `machine` is `None` if it could not be read, `Some(None)` if the watchdog never kept one.
    pub(super) fn of(
        policy: &rollback::policy::Policy,
        machine: Option<Option<Machine>>,
        published: Option<&StateFile>,
    ) -> Self {
        let mode = text::mode(policy.mode);
        let Some(machine) = machine.map(Option::unwrap_or_default) else {
            let states = labelled(published, "snowguard_rollback_state", "state");
            let state = states.into_iter().next();
            return Self {
                mode,
                sentence: match &state {
                    Some(state) => format!("{state}; root can see more"),
                    None => "where it stands could not be read".to_owned(),
                },
                state,
                good: None,
                denied: None,
                updater_held: labelled(
                    published,
                    "snowguard_updater_held_closure_info",
                    "store_path",
                )
                .into_iter()
                .next(),
            };
        };
        Self {
            mode,
            state: Some(machine.state().name().to_owned()),
            sentence: sentence(machine.state()),
            good: Some(machine.good().to_vec()),
            denied: Some(
                machine
                    .denied()
                    .iter()
                    .map(|d| d.store_path.clone())
                    .collect(),
            ),
            updater_held: match machine.updater() {
                Updater::Free {} => None,
                Updater::Held { closure, .. } | Updater::Lifting { closure, .. } => {
                    Some(closure.clone())
                }
            },
        }
    }
}

fn sentence(state: &State) -> String {
    match state {
        State::Unknown {} => "no system was seen yet".to_owned(),
        State::Adopting { deploy, .. } => {
            format!(
                "getting to know {}, which is not known good yet",
                system(deploy)
            )
        }
        State::Settled { good } => format!("settled: {} is known good", system(good)),
        State::Trial(trial) => format!(
            "{} is on trial since {}",
            system(&trial.deploy),
            text::time_ms(trial.since_ms)
        ),
        State::Condemned { bad, waiting, .. } => format!(
            "{} is condemned by {}; waiting: {waiting}",
            system(&bad.deploy),
            bad.alert
        ),
        State::RollingBack { bad, target, .. } => format!(
            "rolling back from {} to {}",
            system(&bad.deploy),
            generation(target)
        ),
        State::Verifying { bad, target, .. } => format!(
            "rolled back from {} to {}, which is being verified",
            system(&bad.deploy),
            generation(target)
        ),
        State::Observed {
            bad,
            target,
            reboot,
        } => {
            let (bad, alert) = (system(&bad.deploy), &bad.alert);
            match target {
                Some(target) => format!(
                    "{bad} is condemned by {alert}; in mode act it would be rolled back to {}{}",
                    generation(target),
                    if *reboot {
                        ", which takes a reboot"
                    } else {
                        ""
                    }
                ),
                None => format!("{bad} is condemned by {alert}; there is nothing to go back to"),
            }
        }
        State::Failed { failure, .. } => format!("latched: {}", failure.why),
    }
}

fn system(deploy: &Deploy) -> String {
    match &deploy.generation {
        Some(known) => generation(known),
        None => deploy.store_path.clone(),
    }
}

fn generation(generation: &GenerationId) -> String {
    if generation.has_link() {
        format!("generation {}", generation.number)
    } else {
        generation.store_path.clone()
    }
}
