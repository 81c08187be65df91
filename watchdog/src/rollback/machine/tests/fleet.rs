//! Hosts that wait for their turn.

use super::*;

/// A host of a fleet with a lock server, with a bad deploy on it.
fn of_a_fleet(when_silent: WhenSilent, server: Server) -> World {
    let mut world = World::settled(Mode::Act);
    world.policy.fleet = Some(Fleet {
        when_silent,
        deadline: Duration::from_secs(300),
    });
    world.host.borrow_mut().server = server;
    world.deploy(true);
    world.ticks(2);
    world
}

#[test]
fn a_host_waits_for_its_turn_acts_in_the_tick_in_which_it_comes_and_gives_its_place_back() {
    let mut world = of_a_fleet(WhenSilent::Wait, Server::Refuses);
    world.ticks(5);
    assert_eq!((world.state(), world.calls()), ("condemned", Vec::new()));
    assert_eq!(
        world.reasons().last(),
        Some(&"fleet_lock_refused"),
        "told once"
    );
    world.host.borrow_mut().server = Server::Grants;
    world.ticks(1);
    assert_eq!(world.calls().len(), 2);
    assert!(world.host.borrow().holds_place, "until it is verified");
    world.ticks(5);
    assert_eq!(world.state(), "settled");
    assert!(!world.host.borrow().holds_place);
    assert_eq!(world.reasons().last(), Some(&"fleet_lock_returned"));
}

#[test]
fn a_lock_server_that_is_silent_is_waited_for_or_passed_over_as_the_host_is_told() {
    let mut world = of_a_fleet(WhenSilent::Wait, Server::Deaf);
    world.ticks(10);
    assert_eq!((world.state(), world.calls()), ("condemned", Vec::new()));
    world.ticks(20);
    assert_eq!((world.state(), world.calls()), ("failed", Vec::new()));
    assert!(world.reasons().contains(&"fleet_lock_silent"));

    let mut world = of_a_fleet(WhenSilent::Proceed, Server::Deaf);
    world.ticks(1);
    assert_eq!(
        world.calls(),
        [],
        "one that was asked twice may have been busy"
    );
    world.ticks(10);
    assert_eq!(world.state(), "settled");
    assert!(world.reasons().contains(&"fleet_lock_passed_over"));
}

#[test]
fn a_place_that_was_asked_for_and_never_heard_of_goes_back_even_after_a_restart() {
    let mut world = of_a_fleet(WhenSilent::Wait, Server::Dumb);
    assert!(world.host.borrow().holds_place);
    world.restart();
    world.deploy(false);
    world.ticks(1);
    world.host.borrow_mut().server = Server::Grants;
    world.ticks(6);
    assert!(!world.host.borrow().holds_place);
    assert!(!world.machine.lease().is_out());
}

#[test]
fn a_host_that_latches_keeps_no_place_from_others() {
    let mut world = of_a_fleet(WhenSilent::Wait, Server::Grants);
    world.host.borrow_mut().fault_in_var = true;
    world.ticks(40);
    assert_eq!(world.state(), "failed");
    assert!(!world.host.borrow().holds_place);
}

#[test]
fn hosts_of_a_fleet_begin_one_after_the_other() {
    let mut world = World::settled(Mode::Act);
    world.policy.delay = Duration::from_secs(100);
    world.deploy(true);
    world.ticks(7);
    assert_eq!((world.state(), world.calls()), ("condemned", Vec::new()));
    world.ticks(10);
    assert_eq!(world.state(), "settled");
    let jitters = world.reasons().iter().filter(|r| **r == "jitter").count();
    assert_eq!(jitters, 1);
}

#[test]
fn nobody_is_asked_whose_turn_it_is_in_observe_mode() {
    let mut world = World::settled(Mode::Observe);
    world.policy.delay = Duration::from_secs(1000);
    world.policy.fleet = Some(Fleet {
        when_silent: WhenSilent::Wait,
        deadline: Duration::from_secs(300),
    });
    world.deploy(true);
    world.ticks(4);
    assert_eq!(world.state(), "observed");
    assert!(!world.host.borrow().holds_place);
}

#[test]
fn no_place_of_a_fleet_is_kept_by_a_host_that_stays_blind() {
    for stage in ["condemned", "verifying"] {
        let mut world = World::settled(Mode::Act);
        world.policy.fleet = Some(Fleet {
            when_silent: WhenSilent::Wait,
            deadline: Duration::from_secs(600),
        });
        world.deploy(true);
        if stage == "condemned" {
            world.host.borrow_mut().validity_unreadable = true;
            world.ticks(2);
            // It had asked before it went blind, and the answer was never heard.
            world.host.borrow_mut().validity_unreadable = false;
            world.host.borrow_mut().server = Server::Dumb;
            world.ticks(1);
            world.host.borrow_mut().server = Server::Grants;
            world.host.borrow_mut().validity_unreadable = true;
        } else {
            world.ticks(3);
        }
        assert_eq!(world.state(), stage);
        assert!(world.host.borrow().holds_place, "{stage}");
        for _ in 0..100 {
            world.tick(Blindness {
                system: stage == "verifying",
                ..Blindness::default()
            });
        }
        assert_eq!(world.state(), "failed", "{stage}");
        world.ticks(10);
        assert!(!world.host.borrow().holds_place, "{stage}");
    }
}
