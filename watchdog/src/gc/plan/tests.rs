//! Any plan on any host, judged by brute force.
//!
//! Promise 1: "Snowguard never deletes a path that Nix holds alive, and never removes the booted,
//! running, current, boot-default or last known good generation, nor goes under K."
//! Promise 2: "It frees what it promised or says why not; it never starts a collection that
//! cannot help."

mod choice;
mod held;
mod order;
mod refusals;

use std::{collections::BTreeSet, time::Duration};

use proptest::{
    option,
    prelude::{
        Just, ProptestConfig, Strategy, TestCaseError, any, prop_assert, prop_assert_eq,
        prop_oneof, proptest,
    },
};
use snowguard_host::{LeftOver, provenance::Regret};

use super::{Plan, Reason, Refusal, plan_for};
use crate::gc::{
    ladder::{Group, StaleRoot, Tier},
    model::{Handle, NOW, Names, World, arbitrary, files::Files},
    policy::{Policy, ProfileRule, Space},
};

type Verdict = Result<(), TestCaseError>;

/// A plan beside the host that it was made for.
struct Judge {
    world: World,
    policy: Policy,
    plan: Plan,
    alive: Names,
    dead: Names,
    victims: Vec<Handle>,
    left: Vec<String>,
    roots: Vec<String>,
}

impl Judge {
    fn new(world: World, policy: Policy, plan: Plan) -> Self {
        let groups = plan.dead.groups.iter().flatten();
        let victims = plan.victims.iter().map(|victim| {
            (
                victim.profile.to_str().unwrap().to_owned(),
                victim.id.number,
            )
        });
        Self {
            alive: world.alive_without(&BTreeSet::new()),
            dead: groups
                .map(|name| name.to_str().unwrap().to_owned())
                .collect(),
            victims: victims.collect(),
            left: left(&plan),
            roots: roots(&plan),
            world,
            policy,
            plan,
        }
    }

    /// What is freed when the dead, all that builds left and the first so many victims and roots
    /// go.
    fn freed_with(&self, victims: usize, roots: usize) -> Space {
        let mut gone = self.dead.clone();
        gone.extend(newly_dead(
            &self.world,
            &self.victims[..victims],
            &self.roots[..roots],
        ));
        let beside = self.freed_beside(self.left.len());
        self.world.freed_by(&gone).plus(beside)
    }

    /// What removing the first so many left-overs frees.
    fn freed_beside(&self, count: usize) -> Space {
        let left = self.left[..count].iter();
        let frees = left.map(|name| self.world.left[name].own);
        frees.fold(Space::NONE, Space::plus)
    }

    fn deletes_nothing_alive(&self) -> Verdict {
        let wrong: Names = self.dead.intersection(&self.alive).cloned().collect();
        prop_assert_eq!(wrong, Names::new());
        Ok(())
    }

    fn is_closed_after_each_group(&self) -> Verdict {
        let mut gone = Names::new();
        for group in &self.plan.dead.groups {
            for name in group {
                let is_new = gone.insert(name.to_str().unwrap().to_owned());
                prop_assert!(is_new, "{:?} is deleted twice", name);
            }
            for name in &gone {
                let left: Names = self
                    .world
                    .keepers(name)
                    .difference(&gone)
                    .cloned()
                    .collect();
                prop_assert!(left.is_empty(), "{} is kept by {:?}", name, left);
            }
        }
        Ok(())
    }

    fn gives_up_only_what_policy_lets_go_oldest_first(&self) -> Verdict {
        let removable = self.world.removable(&self.policy);
        let mut in_order = removable.iter();
        for victim in &self.victims {
            prop_assert!(
                in_order.any(|other| other == victim),
                "{:?} of {:?}",
                victim,
                removable
            );
        }
        let removable = self.world.removable_autos(&self.policy);
        let mut in_order = removable.iter();
        for root in &self.roots {
            let is_next = in_order.any(|other| other == root);
            prop_assert!(is_next, "{:?} of {:?}", root, removable);
        }
        for left in &self.left {
            prop_assert!(self.world.is_removable(left, &self.policy), "{:?}", left);
        }
        Ok(())
    }

    /// What costs a way back goes only if all that costs none does not suffice.
    fn takes_a_rung_only_if_those_before_do_not_suffice(&self) -> Verdict {
        let dead = self.plan.dead.frees;
        let need = self.plan.need;
        if !self.left.is_empty() {
            prop_assert!(!dead.covers(need));
        }
        let both = dead.plus(self.plan.left_overs.frees);
        if !self.victims.is_empty() || !self.roots.is_empty() {
            prop_assert!(!both.covers(need));
        }
        Ok(())
    }

    fn promises_what_it_frees(&self) -> Verdict {
        prop_assert_eq!(self.plan.dead.frees, self.world.freed_by(&self.dead));
        let beside = self.freed_beside(self.left.len());
        prop_assert_eq!(self.plan.left_overs.frees, beside);
        let mut before = self.plan.dead.frees.plus(beside);
        for (count, victim) in self.plan.victims.iter().enumerate() {
            let after = self.freed_with(count + 1, 0);
            prop_assert_eq!(victim.frees, after.minus(before), "victim {}", count);
            before = after;
        }
        for (count, root) in self.plan.roots.iter().enumerate() {
            let after = self.freed_with(self.victims.len(), count + 1);
            prop_assert_eq!(root.frees, after.minus(before), "root {}", count);
            before = after;
        }
        prop_assert_eq!(self.plan.promised, before);
        Ok(())
    }

    fn reaches_whatever_can_be_reached(&self) -> Verdict {
        let reaches = self.plan.promised.covers(self.plan.need);
        let is_all = self.plan.beyond == Space::NONE;
        prop_assert_eq!(self.plan.reaches_target(), reaches && is_all);
        let all = everything(&self.world, &self.policy);
        prop_assert_eq!(reaches, all.covers(self.plan.need), "of {}", all);
        Ok(())
    }

    /// What could be deleted of the dead, and how much each is missed with all that goes with it.
    fn missed(&self) -> Vec<(Tier, String)> {
        let own = |name: &String| match self.world.regrets.get(name) {
            Some(Regret::Download) => Tier::Download,
            Some(Regret::Fetch) | None => Tier::Fetch,
            Some(Regret::Build {
                seconds: Some(600..),
            }) => Tier::LongBuild,
            Some(Regret::Build { .. }) => Tier::Build,
        };
        let dead = self
            .world
            .entries
            .keys()
            .filter(|name| !self.alive.contains(*name));
        let valid = self
            .world
            .deletable(&dead.cloned().collect())
            .into_iter()
            .map(|name| {
                let tiers = self.world.with_keepers(&name);
                (tiers.iter().map(own).max().unwrap(), name)
            });
        let strays = self.world.strays.keys().filter(|name| name.len() > 33);
        valid
            .chain(strays.map(|name| (Tier::Stray, name.clone())))
            .collect()
    }

    fn takes_what_is_missed_more_only_if_the_rest_does_not_suffice(&self) -> Verdict {
        let missed = self.missed();
        let worst = missed.iter().filter(|(_, name)| self.dead.contains(name));
        let Some(worst) = worst.map(|(tier, _)| *tier).max() else {
            return Ok(());
        };
        let less = missed.iter().filter(|(tier, _)| *tier < worst);
        let less = self
            .world
            .freed_by(&less.map(|(_, name)| name.clone()).collect());
        prop_assert!(
            !less.covers(self.plan.need),
            "{:?} in vain: {}",
            worst,
            less
        );
        Ok(())
    }

    fn takes_no_more_than_it_needs(&self) -> Verdict {
        let need = self.plan.need;
        if !self.left.is_empty() {
            let dead = self.world.freed_by(&self.dead);
            let fewer = dead.plus(self.freed_beside(self.left.len() - 1));
            prop_assert!(!fewer.covers(need), "one left-over too many");
        }
        let victims = self.victims.len();
        if !self.roots.is_empty() || !self.victims.is_empty() {
            let fewer = match self.roots.len() {
                0 => self.freed_with(victims - 1, 0),
                roots => self.freed_with(victims, roots - 1),
            };
            prop_assert!(!fewer.covers(need), "one victim too many");
            let alive = self.world.alive_without_both(
                &self.victims.iter().cloned().collect(),
                &self.roots.iter().cloned().collect(),
            );
            for root in &self.roots {
                let target = &self.world.autos[root].target;
                prop_assert!(!alive.contains(target), "{:?} frees nothing", root);
            }
            for victim in &self.plan.victims {
                let target = victim.id.target.file_name().unwrap().to_str().unwrap();
                prop_assert!(!alive.contains(target), "{:?} frees nothing", victim);
            }
        } else if self.plan.reaches_target() && self.left.is_empty() {
            for group in &self.plan.dead.groups {
                let group: Names = group
                    .iter()
                    .map(|n| n.to_str().unwrap().to_owned())
                    .collect();
                let fewer: Names = self.dead.difference(&group).cloned().collect();
                // Unless something else needs it gone.
                let is_free = fewer
                    .iter()
                    .all(|name| group.is_disjoint(&self.world.keepers(name)));
                let suffice = is_free && self.world.freed_by(&fewer).covers(need);
                prop_assert!(!suffice, "{:?} in vain", group);
            }
        }
        Ok(())
    }
}

/// What dies with these generations and can be deleted then.
fn newly_dead(world: &World, victims: &[Handle], roots: &[String]) -> Names {
    let alive = world.alive_without(&BTreeSet::new());
    let left = world.alive_without_both(
        &victims.iter().cloned().collect(),
        &roots.iter().cloned().collect(),
    );
    let dead: Names = world
        .entries
        .keys()
        .filter(|n| !left.contains(*n))
        .cloned()
        .collect();
    world
        .deletable(&dead)
        .intersection(&alive)
        .cloned()
        .collect()
}

/// What could be freed at the most.
fn everything(world: &World, policy: &Policy) -> Space {
    let alive = world.alive_without(&BTreeSet::new());
    let dead: Names = world
        .entries
        .keys()
        .filter(|n| !alive.contains(*n))
        .cloned()
        .collect();
    let mut gone = world.deletable(&dead);
    gone.extend(world.strays.keys().filter(|name| name.len() > 33).cloned());
    let (victims, roots) = (world.removable(policy), world.removable_autos(policy));
    gone.extend(newly_dead(world, &victims, &roots));
    let left = (world.left.iter()).filter(|(name, _)| world.is_removable(name, policy));
    let beside = left.map(|(_, left)| left.own);
    world
        .freed_by(&gone)
        .plus(beside.fold(Space::NONE, Space::plus))
}

fn left(plan: &Plan) -> Vec<String> {
    let name = |left: &LeftOver| left.path.file_name().unwrap().to_str().unwrap().to_owned();
    plan.left_overs.chosen.iter().map(name).collect()
}

fn roots(plan: &Plan) -> Vec<String> {
    let name = |root: &StaleRoot| root.auto.file_name().unwrap().to_str().unwrap().to_owned();
    plan.roots.iter().map(name).collect()
}

fn policy() -> impl Strategy<Value = Policy> {
    let rule = (option::of(1..5_usize), option::of(young()));
    (
        0..5_usize,
        young(),
        option::of(rule),
        any::<bool>(),
        0..101_u8,
        [ages(), ages(), ages()],
    )
        .prop_map(
            |(keep_generations, keep_younger_than, rule, recent, minimum_gain_percent, ages)| {
                Policy {
                    build_dirs_older_than: ages[0],
                    logs_older_than: ages[1],
                    stale_roots_older_than: ages[2],
                    keep_generations,
                    keep_younger_than,
                    profiles: (rule.into_iter())
                        .map(|(keep_generations, keep_younger_than)| ProfileRule {
                            pattern: "user".to_owned(),
                            keep_generations,
                            keep_younger_than,
                        })
                        .collect(),
                    keep_recent: Duration::from_secs(if recent { 11 } else { 0 }),
                    minimum_gain_percent,
                    ..Policy::default()
                }
            },
        )
}

/// Nothing, or an age that some generations of the model have.
fn young() -> impl Strategy<Value = Duration> {
    let some = (0..22_i64).prop_map(|after| u64::try_from(NOW - 1_700_000_000 - after).unwrap());
    prop_oneof![Just(0), some].prop_map(Duration::from_secs)
}

/// Never, or an age that something of the model has.
fn ages() -> impl Strategy<Value = Option<Duration>> {
    option::of((0..30_u64).prop_map(Duration::from_secs))
}

/// Per cent of all that could be freed.
fn share(of: Space, bytes: u64, files: u64) -> Space {
    Space {
        bytes: of.bytes * bytes / 100,
        files: of.files * files / 100,
    }
}

/// What a plan does, or why there is none.
type Outline = Result<(Vec<Group>, Vec<String>, Vec<Handle>, Vec<String>, Space), Reason>;

fn outline(planned: &Result<Plan, Refusal>) -> Outline {
    let plan = planned.as_ref().map_err(|refusal| refusal.reason)?;
    let victims = plan.victims.iter().map(|victim| {
        (
            victim.profile.to_str().unwrap().to_owned(),
            victim.id.number,
        )
    });
    let (groups, victims) = (plan.dead.groups.clone(), victims.collect());
    Ok((groups, left(plan), victims, roots(plan), plan.promised))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn every_plan_is_safe_closed_true_and_just_enough(
        mut world in arbitrary::world(), policy in policy(), bytes in 0..150_u64, files in 0..120_u64,
    ) {
        if policy.keep_recent.is_zero() {
            world.recent.clear();
        }
        let files_on_disk = Files::of(&world);
        let all = everything(&world, &policy);
        let need = share(all, bytes, files);
        let facts = files_on_disk.facts();
        let (told, scales) = world.facts();
        let of_memory = plan_for(&told, &policy, need, &scales);
        let of_files = plan_for(&facts, &policy, need, files_on_disk.scales());
        prop_assert_eq!(outline(&of_memory), outline(&of_files), "the model tells what it writes");
        match plan_for(&facts, &policy, need, files_on_disk.scales()) {
            Ok(plan) => {
                let judge = Judge::new(world, policy, plan);
                judge.deletes_nothing_alive()?;
                judge.is_closed_after_each_group()?;
                judge.gives_up_only_what_policy_lets_go_oldest_first()?;
                judge.takes_a_rung_only_if_those_before_do_not_suffice()?;
                judge.promises_what_it_frees()?;
                judge.reaches_whatever_can_be_reached()?;
                judge.takes_what_is_missed_more_only_if_the_rest_does_not_suffice()?;
                judge.takes_no_more_than_it_needs()?;
            }
            Err(refusal) if need == Space::NONE => {
                prop_assert_eq!(refusal.reason, Reason::NotNeeded);
            }
            Err(refusal) => {
                prop_assert_eq!(refusal.reason, Reason::CannotHelp);
                let too_little = |all: u64, need: u64| {
                    all * 100 < need * u64::from(policy.minimum_gain_percent) || need > 0 && all == 0
                };
                let helps = |all: u64, need: u64| need > 0 && !too_little(all, need);
                prop_assert!(!helps(all.bytes, need.bytes) && !helps(all.files, need.files));
            }
        }
    }
}
