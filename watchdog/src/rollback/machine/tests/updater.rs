//! The hold of the updater.

use super::*;

#[test]
fn the_updater_is_held_through_restarts_and_other_bad_deploys_until_another_closure_is_good() {
    let mut world = World::settled(Mode::Act);
    world.deploy(true);
    world.ticks(10);
    let bad = world.generation(2).store_path;
    assert_eq!(world.held().as_ref(), Some(&bad));
    // What a reboot undoes is done again.
    world.host.borrow_mut().held = None;
    world.restart();
    world.ticks(1);
    assert_eq!(world.held().as_ref(), Some(&bad));
    // To activate by hand what was gone back to brings no other closure.
    let good = world.generation(1);
    world.deploy(false);
    world.activate(&good);
    world.ticks(20);
    assert_eq!((world.state(), world.held()), ("settled", Some(bad)));
    world.deploy(true);
    world.ticks(10);
    let worse = world.generation(4).store_path;
    assert_eq!(world.held(), Some(worse));
    world.deploy(false);
    world.ticks(20);
    assert_eq!((world.state(), world.held()), ("settled", None));
}

#[test]
fn an_operator_ends_the_hold_of_the_updater_in_any_state() {
    for fault in [false, true] {
        let mut world = World::settled(Mode::Act);
        world.deploy(true);
        world.ticks(2);
        world.host.borrow_mut().fault_in_var = fault;
        world.ticks(40);
        let state = if fault { "failed" } else { "settled" };
        assert_eq!(world.state(), state);
        assert!(world.held().is_some());
        world.machine = std::mem::take(&mut world.machine).release();
        // Nobody who releases it waits for a mode.
        world.policy.mode = Mode::Observe;
        world.ticks(1);
        assert_eq!(world.held(), None);
        assert_eq!(world.reasons().last(), Some(&"updater_released"));
    }
}
