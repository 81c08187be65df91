//! Any plan on any host, judged by brute force.
//!
//! Promise 1: "Snowguard never deletes a path that Nix holds alive, and never removes the booted,
//! running, current, boot-default or last known good generation, nor goes under K."
//! Promise 2: "It frees what it promised or says why not; it never starts a collection that
//! cannot help."

mod choice;
mod refusals;

use std::collections::BTreeSet;

use proptest::prelude::{
    ProptestConfig, Strategy, TestCaseError, prop_assert, prop_assert_eq, proptest,
};

use super::{Plan, Reason, plan_for};
use crate::gc::{
    model::{Handle, Names, World, arbitrary, files::Files},
    policy::{Policy, Space},
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
            world,
            policy,
            plan,
        }
    }

    /// What is freed when the dead and the first so many victims go.
    fn freed_with(&self, victims: usize) -> Space {
        let mut gone = self.dead.clone();
        gone.extend(newly_dead(&self.world, &self.victims[..victims]));
        self.world.freed_by(&gone)
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
        let removable = self.world.removable(self.policy.keep_generations);
        let mut in_order = removable.iter();
        for victim in &self.victims {
            prop_assert!(
                in_order.any(|other| other == victim),
                "{:?} of {:?}",
                victim,
                removable
            );
        }
        Ok(())
    }

    fn promises_what_it_frees(&self) -> Verdict {
        prop_assert_eq!(self.plan.dead.frees, self.world.freed_by(&self.dead));
        let mut before = self.plan.dead.frees;
        for (count, victim) in self.plan.victims.iter().enumerate() {
            let after = self.freed_with(count + 1);
            prop_assert_eq!(victim.frees, after.minus(before), "victim {}", count);
            before = after;
        }
        prop_assert_eq!(self.plan.promised, before);
        Ok(())
    }

    fn reaches_whatever_can_be_reached(&self) -> Verdict {
        let reaches = self.plan.promised.covers(self.plan.need);
        prop_assert_eq!(self.plan.reaches_target(), reaches);
        let all = everything(&self.world, &self.policy);
        prop_assert_eq!(reaches, all.covers(self.plan.need), "of {}", all);
        Ok(())
    }

    fn takes_no_more_than_it_needs(&self) -> Verdict {
        let need = self.plan.need;
        if let Some(fewer) = self.victims.len().checked_sub(1) {
            prop_assert!(!self.freed_with(fewer).covers(need), "one victim too many");
            let alive = self
                .world
                .alive_without(&self.victims.iter().cloned().collect());
            for victim in &self.plan.victims {
                let target = victim.id.target.file_name().unwrap().to_str().unwrap();
                prop_assert!(!alive.contains(target), "{:?} frees nothing", victim);
            }
        } else if let Some(last) = self.plan.dead.groups.last() {
            let last: Names = last
                .iter()
                .map(|n| n.to_str().unwrap().to_owned())
                .collect();
            let fewer = self.dead.difference(&last).cloned().collect();
            prop_assert!(
                !self.world.freed_by(&fewer).covers(need),
                "one group too many"
            );
        }
        Ok(())
    }
}

/// What dies with these generations and can be deleted then.
fn newly_dead(world: &World, victims: &[Handle]) -> Names {
    let alive = world.alive_without(&BTreeSet::new());
    let left = world.alive_without(&victims.iter().cloned().collect());
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
    gone.extend(newly_dead(world, &world.removable(policy.keep_generations)));
    world.freed_by(&gone)
}

fn policy() -> impl Strategy<Value = Policy> {
    (0..5_usize, 0..101_u8).prop_map(|(keep_generations, minimum_gain_percent)| Policy {
        keep_generations,
        minimum_gain_percent,
        ..Policy::default()
    })
}

/// Per cent of all that could be freed.
fn share(of: Space, bytes: u64, files: u64) -> Space {
    Space {
        bytes: of.bytes * bytes / 100,
        files: of.files * files / 100,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn every_plan_is_safe_closed_true_and_just_enough(
        world in arbitrary::world(), policy in policy(), bytes in 0..150_u64, files in 0..120_u64,
    ) {
        let files_on_disk = Files::of(&world);
        let all = everything(&world, &policy);
        let need = share(all, bytes, files);
        let facts = files_on_disk.facts();
        match plan_for(&facts, &policy, need, files_on_disk.scales()) {
            Ok(plan) => {
                let judge = Judge::new(world, policy, plan);
                judge.deletes_nothing_alive()?;
                judge.is_closed_after_each_group()?;
                judge.gives_up_only_what_policy_lets_go_oldest_first()?;
                judge.promises_what_it_frees()?;
                judge.reaches_whatever_can_be_reached()?;
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
                prop_assert!(too_little(all.bytes, need.bytes) || too_little(all.files, need.files));
            }
        }
    }
}
