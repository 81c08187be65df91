//! From a deploy to known good, or to condemned.

use super::*;

#[test]
fn the_first_system_is_good_only_after_a_healthy_soak() {
    let mut world = World::new(Mode::Act);
    world.host.borrow_mut().fault_in_var = true;
    world.ticks(40);
    assert_eq!(world.state(), "adopting");
    assert_eq!(world.machine.good(), []);
    world.host.borrow_mut().fault_in_var = false;
    world.ticks(10);
    assert_eq!(world.state(), "settled");
    assert_eq!(world.machine.good(), [world.generation(1)]);
}

#[test]
fn a_good_deploy_settles_and_nothing_is_done() {
    let mut world = World::settled(Mode::Act);
    world.deploy(false);
    world.ticks(3);
    assert!(world.machine.on_trial());
    world.ticks(10);
    assert_eq!(world.state(), "settled");
    assert_eq!(world.reasons(), ["trial", "settled"]);
    assert_eq!(world.calls(), []);
}

#[test]
fn the_look_that_first_sees_a_deploy_is_known_to_be_one_of_its_trial() {
    let mut world = World::settled(Mode::Act);
    let since = |world: &World, system: Option<&SystemSeen>, now| {
        world
            .machine
            .watched_since(system, &world.policy, now)
            .activated_ms
    };
    assert_eq!(since(&world, Some(&world.seen()), world.now), None);
    world.deploy(true);
    let look = world.now + TICK_MS;
    assert_eq!(since(&world, Some(&world.seen()), look), Some(look));
    assert_eq!(since(&world, None, look), None, "nobody saw it");
    world.ticks(1);
    assert_eq!(since(&world, None, look + TICK_MS), Some(look));
}

/// A unit that crashes again and again is up at each look.
#[test]
fn restarts_are_added_up_wherever_health_decides() {
    let mut world = World::new(Mode::Act);
    let counted = |world: &World| {
        let since = world.machine.watched_since(None, &world.policy, world.now);
        since.counted_ms
    };
    world.ticks(1);
    let adopted = counted(&world);
    assert_eq!(adopted, Some(world.now));
    world.ticks(2);
    assert_eq!((world.state(), counted(&world)), ("adopting", adopted));
    world.host.borrow_mut().fault_in_var = true;
    world.ticks(1);
    assert_eq!(counted(&world), None, "what calms down is adopted");
    world.host.borrow_mut().fault_in_var = false;
    world.ticks(10);
    world.deploy(true);
    world.ticks(2);
    world.host.borrow_mut().fault_in_var = true;
    world.ticks(2);
    let switched = counted(&world);
    assert!(switched.is_some() && world.state() == "verifying");
    world.ticks(5);
    assert_eq!((world.state(), counted(&world)), ("verifying", switched));
}

#[test]
fn no_system_is_found_good_while_an_alert_cannot_be_asked_about() {
    let mut world = World::settled(Mode::Act);
    world.deploy(false);
    world.unanswered = vec!["Other".to_owned()];
    world.ticks(40);
    assert_eq!(world.state(), "trial");
    world.unanswered.clear();
    world.ticks(10);
    assert_eq!(world.state(), "settled");
}

#[test]
fn what_failed_before_the_deploy_condemns_nothing() {
    let mut world = World::settled(Mode::Act);
    world.host.borrow_mut().fault_in_var = true;
    world.ticks(3);
    world.deploy(false);
    world.ticks(30);
    assert_eq!(world.calls(), []);
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_old_the_deploys_own_failure() {
    for restarts in [false, true] {
        let mut world = World::settled(Mode::Act);
        world.host.borrow_mut().fault_in_var = true;
        world.ticks(12);
        world.now -= 7_200_000;
        if restarts {
            world.restart();
        }
        world.deploy(false);
        world.ticks(30);
        assert_eq!((world.state(), world.calls()), ("adopting", Vec::new()));
    }
}

#[test]
fn a_clock_that_is_set_back_in_a_trial_leaves_the_alerts_on_their_sides_of_it() {
    for began_before in [true, false] {
        let mut world = World::settled(Mode::Act);
        let before = world.now;
        world.now += 60_000;
        world.deploy(false);
        world.ticks(2);
        let back = 7_200_000;
        world.other_alerts = vec![AlertSeen {
            name: "Slow".to_owned(),
            active_at_ms: if began_before { before } else { world.now } - back,
            probe: None,
        }];
        world.now -= back + TICK_MS;
        world.ticks(1);
        assert_eq!(world.calls().is_empty(), began_before);
    }
}

/// Two good generations, of which the first is broken from now on, and units are stopped.
fn stopping_for_the_first() -> World {
    let mut world = World::settled(Mode::Act);
    world.now += 3_600_000;
    world.deploy(false);
    world.ticks(10);
    world.now += 3_600_000;
    world.ticks(1);
    let first = world.generation(1).store_path;
    world.host.borrow_mut().broken.insert(first);
    world.host.borrow_mut().fault_in_var = true;
    world.ticks(2);
    world
}

#[test]
fn a_stop_of_units_that_no_link_tells_of_is_the_deploys_own_failure() {
    for by_reboot in [false, true] {
        let mut world = stopping_for_the_first();
        let (first, second) = (world.generation(1), world.generation(2));
        world.activate(&first);
        if by_reboot {
            // Longer than any stop.
            world.now += 600_000;
            world.reboot();
        }
        world.host.borrow_mut().fault_in_var = false;
        world.ticks(4);
        assert_eq!(world.calls().last(), Some(&Call::Switch(second)));
    }
}

#[test]
fn one_run_that_failed_before_a_deploy_excuses_nothing() {
    let mut world = World::settled(Mode::Act);
    world.judge_by(2, 2, Duration::ZERO);
    world.ticks(2);
    world.host.borrow_mut().fault_in_var = true;
    world.ticks(1);
    world.host.borrow_mut().fault_in_var = false;
    world.now += 1_000;
    world.deploy(true);
    world.ticks(8);
    assert_eq!(world.calls().len(), 2);
}

#[test]
fn what_fails_still_is_known_good_only_when_it_is_well() {
    let mut world = World::settled(Mode::Act);
    world.host.borrow_mut().fault_in_var = true;
    world.ticks(3);
    world.deploy(false);
    world.ticks(30);
    let first = world.generation(1);
    assert_eq!(
        (world.state(), world.machine.good()),
        ("adopting", &[first][..])
    );
    assert_eq!(world.reasons().last(), Some(&"not_known_good"));
    world.host.borrow_mut().fault_in_var = false;
    world.ticks(10);
    assert_eq!(world.state(), "settled");
    assert_eq!(world.machine.good().last(), Some(&world.generation(2)));
}

#[test]
fn a_deploy_on_what_is_not_known_good_is_on_trial_where_another_is() {
    let mut world = World::settled(Mode::Act);
    world.host.borrow_mut().invalid.clear();
    world.host.borrow_mut().fault_in_var = true;
    world.deploy(true);
    world.ticks(40);
    assert_eq!(world.state(), "failed");
    world.machine = std::mem::take(&mut world.machine).release();
    world.host.borrow_mut().fault_in_var = false;
    world.ticks(1);
    assert_eq!(world.state(), "adopting");
    let before = world.calls().len();
    world.deploy(true);
    world.ticks(10);
    assert_eq!(world.calls().len(), before + 2);
    assert_eq!(world.state(), "settled");
    assert_eq!(world.host.borrow().running, world.generation(1).store_path);
}

#[test]
fn an_alert_that_began_before_the_deploy_condemns_nothing() {
    let mut world = World::settled(Mode::Act);
    world.other_alerts = vec![AlertSeen {
        name: "DiskSlow".to_owned(),
        active_at_ms: world.now,
        probe: None,
    }];
    world.ticks(1);
    world.now += 1_000;
    world.deploy(false);
    world.ticks(30);
    assert_eq!(world.calls(), []);
}

#[test]
fn an_alert_without_a_trial_condemns_nothing() {
    let mut world = World::settled(Mode::Act);
    world.other_alerts = vec![AlertSeen {
        name: "Late".to_owned(),
        active_at_ms: world.now + 1,
        probe: None,
    }];
    world.ticks(30);
    assert_eq!((world.state(), world.calls()), ("settled", Vec::new()));
}

#[test]
fn a_stop_of_units_before_the_system_changes_is_the_deploys_own_failure() {
    let mut world = World::settled(Mode::Act);
    // The profile is set, the units are stopped, and only then the running system changes.
    world.deploy(true);
    let old = world.generation(1).store_path;
    let new = std::mem::replace(&mut world.host.borrow_mut().running, old);
    world.host.borrow_mut().fault_in_var = true;
    world.ticks(1);
    world.host.borrow_mut().running = new;
    world.host.borrow_mut().fault_in_var = false;
    world.ticks(3);
    assert_eq!(
        world.calls().last(),
        Some(&Call::Switch(world.generation(1)))
    );
}

#[test]
fn a_fix_on_top_of_a_bad_deploy_is_given_time_to_cure() {
    let mut world = World::settled(Mode::Act);
    let since = world.now;
    world.deploy(true);
    world.host.borrow_mut().validity_unreadable = true;
    world.ticks(3);
    assert_eq!(world.state(), "condemned");
    // The alert of the bad deploy still fires while the fix is seen for the first time.
    world.other_alerts = vec![AlertSeen {
        name: "Slow".to_owned(),
        active_at_ms: since + 1,
        probe: None,
    }];
    world.deploy(false);
    world.ticks(2);
    world.other_alerts.clear();
    world.ticks(20);
    assert_eq!((world.state(), world.calls()), ("settled", Vec::new()));
}

#[test]
fn blindness_neither_settles_nor_condemns() {
    let mut world = World::settled(Mode::Act);
    world.deploy(true);
    world.ticks(1);
    world.other_alerts = vec![AlertSeen {
        name: "Bad".to_owned(),
        active_at_ms: world.now,
        probe: None,
    }];
    let before = world.machine.clone();
    for (system, probes) in [(true, true), (true, false), (false, true)] {
        for _ in 0..40 {
            world.tick(Blindness { system, probes });
        }
        assert_eq!(world.machine, before);
    }
}

#[test]
fn a_deploy_that_nobody_confirms_is_condemned_when_its_time_is_over() {
    let mut world = World::settled(Mode::Act);
    world.policy.require_confirmation = Some(Duration::from_secs(300));
    world.deploy(false);
    world.ticks(15);
    assert!(world.machine.on_trial(), "healthy for its soak, and waits");
    let left = world.machine.confirm_within(&world.policy);
    assert_eq!(left, Some(Duration::from_secs(300 - 14 * 15)));
    world.ticks(10);
    assert_eq!(world.state(), "settled");
    let good = world.generation(1);
    assert_eq!(world.host.borrow().running, good.store_path);
    let reasons = world.reasons();
    assert_eq!(reasons[..3], ["trial", "not_confirmed", "rollback"]);
}

#[test]
fn a_deploy_that_is_confirmed_settles_after_its_soak_and_not_before() {
    let mut world = World::settled(Mode::Act);
    world.policy.require_confirmation = Some(Duration::from_secs(300));
    world.confirmed = Some(world.generation(1).store_path);
    world.deploy(false);
    world.ticks(1);
    let second = world.generation(2).store_path;
    assert!(!world.machine.has_taken_confirmation(&second), "of another");
    world.confirmed = Some(second.clone());
    world.ticks(1);
    assert!(world.machine.has_taken_confirmation(&second));
    world.confirmed = None;
    assert!(world.machine.on_trial());
    world.restart();
    world.ticks(40);
    assert_eq!((world.state(), world.calls()), ("settled", Vec::new()));
    assert_eq!(world.reasons(), ["trial", "confirmed", "settled"]);
}

#[test]
fn time_that_nobody_saw_is_no_time_in_which_a_confirmation_was_missed() {
    let mut world = World::settled(Mode::Act);
    world.policy.require_confirmation = Some(Duration::from_secs(300));
    world.deploy(false);
    world.ticks(2);
    world.now += 86_400_000;
    world.ticks(2);
    assert!(world.machine.on_trial());
}
