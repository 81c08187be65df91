//! Generations that are never given up, by what runs and not by what it is called.
//!
//! Promise 1: "Snowguard never deletes a path that Nix holds alive, and never removes the booted,
//! running, current, boot-default or last known good generation, nor goes under K."

use super::{World, arbitrary};
use crate::gc::{
    model::{BLOCK, arbitrary::named, files::Files},
    plan::plan_for,
    policy::{Policy, Space},
};

/// Four generations of which the oldest refers to another system.
fn world() -> World {
    let mut world = arbitrary::empty();
    for number in 1..=4 {
        world.add_generation("system", number, 50);
    }
    world.add("inner", 1);
    let oldest = world.entries.get_mut(&named("system1")).unwrap();
    oldest.references.insert(named("inner"));
    world
}

/// The generations that go where one would be enough.
fn given_up(world: &World) -> Vec<u64> {
    let files = Files::of(world);
    let need = Space {
        bytes: 40 * BLOCK,
        files: 0,
    };
    let policy = Policy {
        keep_generations: 1,
        ..Policy::default()
    };
    let plan = plan_for(&files.facts(), &policy, need, files.scales()).unwrap();
    plan.victims.iter().map(|victim| victim.id.number).collect()
}

#[test]
fn the_generation_stays_whose_specialisation_is_booted_or_runs() {
    assert_eq!(given_up(&world()), [1]);
    let inner = Some(named("inner"));
    let booted = World {
        booted: inner.clone(),
        ..world()
    };
    assert_eq!(given_up(&booted), [2]);
    let running = World {
        running: inner,
        ..world()
    };
    assert_eq!(given_up(&running), [2]);
}

#[test]
fn a_profile_of_wrappers_keeps_the_one_whose_system_is_known_good() {
    let mut world = world();
    world.good.insert(named("inner"));
    assert_eq!(given_up(&world), [2]);
}
