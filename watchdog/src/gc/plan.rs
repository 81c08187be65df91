//! Planning: a pure function from facts and policy to a plan, or to a refusal with its reason.

use std::collections::{BTreeMap, BTreeSet};

use snowguard_exporter::units::TimeSpan;
use snowguard_host::FactError;

use super::{
    facts::{Facts, Scales},
    ladder::{self, DeadPaths, LeftBehind, StaleRoot, Tally, Tier, Victim},
    policy::{Policy, Space},
};

/// What will be done, what it frees, and what it leaves alone.
#[derive(Debug)]
pub struct Plan {
    /// What is missing to the target and can be helped.
    pub need: Space,
    /// What is missing besides, of bytes or inodes: too little of it could be freed to give
    /// anything up for it.
    pub beyond: Space,
    /// Missing by no more than this it counts as reached ([`Policy::crumb`]).
    pub crumb: Space,
    /// Dead paths to delete first.
    pub dead: DeadPaths,
    /// What builds left beside the store, to remove after that, if it does not suffice.
    pub left_overs: LeftBehind,
    /// What of that goes before all else, should Nix fail because the disk is hard full.
    pub room: LeftBehind,
    /// Generations to give up after that.
    pub victims: Vec<Victim>,
    /// Automatic roots to give up in the end.
    pub roots: Vec<StaleRoot>,
    /// What all rungs free together.
    pub promised: Space,
    /// What is never given up, as one sentence.
    pub kept: String,
}

impl Plan {
    /// Whether the promise covers the need, but for a crumb. If not, the plan frees what can be
    /// freed.
    pub fn reaches_target(&self) -> bool {
        self.beyond == Space::NONE && self.promised.plus(self.crumb).covers(self.need)
    }

    /// What is missing to the target.
    pub fn missing(&self) -> Space {
        self.need.plus(self.beyond)
    }

    /// How many entries of the store directory the first rung deletes.
    pub fn dead_entries(&self) -> usize {
        self.dead.groups.iter().map(Vec::len).sum()
    }
}

/// Why nothing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The remedy is switched off.
    Off,
    /// An operator holds collections.
    Held,
    /// The last collection ended only a moment ago.
    Cooldown,
    /// Enough collections began within the last 24 hours.
    Budget,
    /// The last collections brought nothing.
    Breaker,
    /// Its time has not come yet: a fleet is not to begin at once.
    Jitter,
    /// Something that a plan needs could not be read.
    Blind,
    /// Some roots could not be read: what is alive is not known for sure.
    RootsUnreadable,
    /// Another collection is under way.
    Collecting,
    /// Somebody holds the database for writing and does not let go.
    DatabaseBusy,
    /// Enough is free.
    NotNeeded,
    /// Too little could be freed to be worth it.
    CannotHelp,
    /// The same, because the boot loader's menu cannot be written anew and would name what is
    /// gone.
    BootMenu,
}

impl Reason {
    /// Every reason, for counters that begin at zero.
    pub const ALL: [Self; 13] = [
        Self::Off,
        Self::Held,
        Self::Cooldown,
        Self::Budget,
        Self::Breaker,
        Self::Jitter,
        Self::Blind,
        Self::RootsUnreadable,
        Self::Collecting,
        Self::DatabaseBusy,
        Self::NotNeeded,
        Self::CannotHelp,
        Self::BootMenu,
    ];

    /// The reason as metrics and the journal write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Held => "held",
            Self::Cooldown => "cooldown",
            Self::Budget => "budget",
            Self::Breaker => "breaker",
            Self::Jitter => "jitter",
            Self::Blind => "blind",
            Self::RootsUnreadable => "roots_unreadable",
            Self::Collecting => "collecting",
            Self::DatabaseBusy => "database_busy",
            Self::NotNeeded => "not_needed",
            Self::CannotHelp => "cannot_help",
            Self::BootMenu => "boot_menu",
        }
    }
}

/// A decision against acting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why, for machines.
    pub reason: Reason,
    /// Why, for people.
    pub detail: String,
}

impl Refusal {
    /// Facts could not be read.
    pub fn blind(error: &FactError) -> Self {
        Self {
            reason: Reason::Blind,
            detail: error.to_string(),
        }
    }
}

/// Plans to free what is missing to the target of the policy.
///
/// # Errors
/// A [`Refusal`] if something is in doubt, or if a collection could not help.
pub fn plan(facts: &Facts, policy: &Policy, scales: &dyn Scales) -> Result<Plan, Refusal> {
    let need = policy.need(&facts.file_system);
    let crumb = policy.crumb(&facts.file_system);
    plan_but_for(facts, policy, need, crumb, scales)
}

/// Plans to free `need` to the last byte.
#[cfg(test)]
pub(crate) fn plan_for(
    facts: &Facts,
    policy: &Policy,
    need: Space,
    scales: &dyn Scales,
) -> Result<Plan, Refusal> {
    plan_but_for(facts, policy, need, Space::NONE, scales)
}

fn plan_but_for(
    facts: &Facts,
    policy: &Policy,
    need: Space,
    crumb: Space,
    scales: &dyn Scales,
) -> Result<Plan, Refusal> {
    let refuse = |reason, detail: String| Err(Refusal { reason, detail });
    let in_doubt = facts
        .analysis
        .roots
        .unreadable
        .iter()
        .chain(&facts.profiles.unreadable);
    let doubts: Vec<String> = in_doubt.map(ToString::to_string).collect();
    if let Some(first) = doubts.first() {
        let further = match doubts.len() {
            1 => String::new(),
            count => format!(" (and {} further)", count - 1),
        };
        return refuse(Reason::RootsUnreadable, format!("{first}{further}"));
    }
    if let Some(pid) = facts.collector {
        let detail = format!("process {pid} holds gc.lock: another collection is under way");
        return refuse(Reason::Collecting, detail);
    }
    if need == Space::NONE {
        return refuse(
            Reason::NotNeeded,
            "the target is reached already".to_owned(),
        );
    }
    climb(facts, policy, need, crumb, scales)
}

/// Goes up the ladder as far as it takes.
fn climb(
    facts: &Facts,
    policy: &Policy,
    need: Space,
    crumb: Space,
    scales: &dyn Scales,
) -> Result<Plan, Refusal> {
    let refuse = |reason, detail: String| Err(Refusal { reason, detail });
    let mut tally = Tally::new(facts);
    let dead = ladder::dead_paths(facts, policy, need, scales, &mut tally);
    let mut promised = dead.frees;
    // Each rung only if those before are not enough, and none for a crumb. A way back is given up
    // after what nobody would miss.
    let worth = need.minus(crumb);
    if worth == Space::NONE && !is_cheap(&dead, policy, need, facts) {
        let detail = format!("the target is reached but for {need}");
        return refuse(Reason::NotNeeded, detail);
    }
    let left_overs = if promised.covers(worth) {
        LeftBehind::default()
    } else {
        ladder::left_overs(facts, policy, worth, scales, &mut tally)
    };
    promised = promised.plus(left_overs.frees);
    let (victims, roots) = if promised.covers(worth) {
        (Vec::new(), Vec::new())
    } else {
        ladder::keepers(facts, policy, worth, scales, &mut tally)
    };
    let victims_free = victims.iter().map(|victim| victim.frees);
    for frees in victims_free.chain(roots.iter().map(|root| root.frees)) {
        promised = promised.plus(frees);
    }
    let helps = |promised: u64, need: u64| {
        promised.saturating_mul(100) >= need.saturating_mul(policy.minimum_gain_percent.into())
            && (need == 0 || promised > 0)
    };
    let hopeless = Space {
        bytes: if helps(promised.bytes, worth.bytes) {
            0
        } else {
            need.bytes
        },
        files: if helps(promised.files, worth.files) {
            0
        } else {
            need.files
        },
    };
    let rest = need.minus(hopeless);
    if hopeless != Space::NONE && rest.minus(crumb) == Space::NONE {
        let detail = cannot_help(facts, need, promised, dead.recent);
        return match ladder::kept_by_boot_menu(facts, policy) {
            Some(why) => refuse(Reason::BootMenu, format!("{why}; {detail}")),
            None => refuse(Reason::CannotHelp, detail),
        };
    }
    // Inodes may be freed where bytes cannot, and the reverse; but nothing goes for the other one.
    if hopeless != Space::NONE {
        let plan = climb(facts, policy, rest, crumb, scales)?;
        return Ok(Plan {
            beyond: hopeless,
            ..plan
        });
    }
    Ok(Plan {
        need,
        beyond: Space::NONE,
        crumb,
        dead,
        left_overs,
        room: if scales.tells_room() {
            ladder::room(facts, policy, scales)
        } else {
            LeftBehind::default()
        },
        victims,
        roots,
        promised,
        kept: kept(facts, policy),
    })
}

/// Whether dead paths cover a crumb, and no build and little else goes for it.
fn is_cheap(dead: &DeadPaths, policy: &Policy, need: Space, facts: &Facts) -> bool {
    dead.frees.covers(need)
        && dead.frees.bytes <= policy.spare(&facts.file_system)
        && dead.tiers.keys().all(|tier| *tier < Tier::Build)
}

fn cannot_help(facts: &Facts, need: Space, promised: Space, recent: usize) -> String {
    let recent = match recent {
        0 => String::new(),
        1 => ", one dead entry is too young (`gc.keep_recent`)".to_owned(),
        count => format!(", {count} dead entries are too young (`gc.keep_recent`)"),
    };
    let mut pins = BTreeMap::<&str, usize>::new();
    for root in &facts.analysis.roots.found {
        let kind = match root.kind {
            snowguard_host::store::RootKind::Profile => "profiles",
            snowguard_host::store::RootKind::Permanent => "permanent roots",
            snowguard_host::store::RootKind::Indirect => "links such as result",
            snowguard_host::store::RootKind::Runtime => "running processes",
            snowguard_host::store::RootKind::Temporary => "builds in flight",
        };
        *pins.entry(kind).or_default() += 1;
    }
    let pins: Vec<String> = pins
        .iter()
        .map(|(kind, count)| format!("{count} by {kind}"))
        .collect();
    format!(
        "{need} are needed, {promised} could be freed{recent}; {} paths are alive, pinned: {}",
        facts.analysis.alive.count(),
        if pins.is_empty() {
            "none".to_owned()
        } else {
            pins.join(", ")
        }
    )
}

fn kept(facts: &Facts, policy: &Policy) -> String {
    let what: BTreeSet<&str> = facts.protected.iter().map(|kept| kept.what).collect();
    let what: Vec<&str> = what.into_iter().collect();
    let systems = if what.is_empty() {
        String::new()
    } else {
        format!(", and the systems that are {}", what.join(", "))
    };
    let young = |age: std::time::Duration, of: &str| {
        if age.is_zero() {
            return String::new();
        }
        format!(", {of} younger than {}", TimeSpan(age))
    };
    let rules = match policy.profiles.len() {
        0 => "",
        _ => " (other rules for some profiles)",
    };
    format!(
        "{} live paths, the newest {} generations of each profile{}{rules} and its current one\
         {systems}{}",
        facts.analysis.alive.count(),
        policy.keep_generations.max(1),
        young(policy.keep_younger_than, "those"),
        young(policy.keep_recent, "dead paths"),
    ) + &ladder::kept_by_boot_menu(facts, policy).map_or(String::new(), |why| format!(", {why}"))
}

#[cfg(test)]
mod tests;
