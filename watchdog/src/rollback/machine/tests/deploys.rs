//! Deploys by whatever tool, and by whoever comes in between.

use std::time::Duration;

use crate::{
    record::Mode,
    rollback::{
        facts::AlertSeen,
        simulation::world::{ALERT, Call, World},
        state::State,
    },
};

fn switched_to(world: &World) -> Vec<String> {
    let calls = world.calls();
    let switches = calls.iter().filter_map(|call| match call {
        Call::Switch(target) => Some(target.store_path.clone()),
        _ => None,
    });
    switches.collect()
}

#[test]
fn a_good_system_of_another_profile_is_what_the_next_bad_one_is_undone_to() {
    let mut world = World::settled(Mode::Act);
    let good = world.deploy_elsewhere(false);
    world.ticks(10);
    assert_eq!(world.state(), "settled");
    // Not the one before, though that alone is a generation.
    world.deploy_elsewhere(true);
    world.ticks(10);
    assert_eq!(world.state(), "settled");
    assert_eq!(switched_to(&world), [good.as_str()]);
    let host = world.host.borrow();
    let current = host.current.as_ref().expect("a generation");
    assert_eq!((&host.running, &current.store_path), (&good, &good));
    drop(host);
    // It is a generation by now, and remembered once.
    let of_it = |world: &World| {
        let good_ones = world.machine.good().iter();
        good_ones.filter(|known| known.store_path == good).count()
    };
    assert_eq!(of_it(&world), 1);
}

#[test]
fn a_system_that_was_activated_to_be_tested_is_never_gone_back_to() {
    let mut world = World::settled(Mode::Act);
    let tested = world.closure(false);
    world.host.borrow_mut().running = tested;
    world.ticks(10);
    assert_eq!(world.state(), "settled");
    world.deploy(true);
    world.ticks(10);
    assert_eq!(switched_to(&world), [world.generation(1).store_path]);
}

#[test]
fn a_reboot_on_trial_gives_every_probe_its_grace_anew() {
    let mut world = World::settled(Mode::Act);
    world.judge_by(1, 1, Duration::from_secs(60));
    world.deploy(false);
    world.ticks(6);
    assert_eq!(world.state(), "trial");
    world.reboot();
    world.host.borrow_mut().flaps = 3;
    world.ticks(14);
    assert_eq!(world.state(), "settled");
    assert_eq!(world.calls(), []);
}

#[test]
fn the_grace_begins_when_the_new_system_is_first_seen_to_run() {
    let mut world = World::settled(Mode::Act);
    world.judge_by(1, 1, Duration::from_secs(120));
    let slow = world.link(false);
    world.host.borrow_mut().stopped = true;
    world.ticks(24);
    world.host.borrow_mut().stopped = false;
    world.activate(&slow);
    world.host.borrow_mut().flaps = 4;
    world.ticks(14);
    assert_eq!(world.state(), "settled");
    assert_eq!(world.calls(), []);
}

#[test]
fn what_is_well_now_and_then_recovers_once_and_is_undone() {
    let mut world = World::settled(Mode::Act);
    world.policy.delay = Duration::from_secs(120);
    world.deploy(false);
    world.ticks(1);
    for _ in 0..2 {
        world.host.borrow_mut().flaps = 1;
        world.ticks(7);
    }
    world.ticks(20);
    assert_eq!(switched_to(&world), [world.generation(1).store_path]);
    let recovered = world
        .reasons()
        .iter()
        .filter(|r| **r == "recovered")
        .count();
    assert_eq!(recovered, 1);
}

#[test]
fn whoever_goes_back_to_what_was_good_need_not_confirm_it() {
    let mut world = World::settled(Mode::Act);
    let good = world.generation(1);
    world.policy.require_confirmation = Some(Duration::from_secs(120));
    world.policy.delay = Duration::from_secs(300);
    world.deploy(true);
    world.ticks(2);
    world.activate(&good);
    world.ticks(14);
    assert_eq!(world.state(), "settled");
    assert_eq!(world.calls(), []);
}

#[test]
fn a_clock_that_is_put_forward_after_a_boot_ends_no_grace() {
    let mut world = World::settled(Mode::Act);
    world.judge_by(1, 1, Duration::from_secs(120));
    world.deploy(false);
    world.reboot();
    world.host.borrow_mut().flaps = 6;
    world.ticks(2);
    world.put_forward(7_200_000);
    world.ticks(18);
    assert_eq!(world.state(), "settled");
    assert_eq!(world.calls(), []);
}

#[test]
fn whoever_deploys_the_fix_while_the_bad_one_is_condemned_has_the_last_word() {
    let mut world = World::settled(Mode::Act);
    world.deploy(true);
    world.ticks(0);
    let fix = world.link(false);
    world.host.borrow_mut().stopped = true;
    world.ticks(4);
    assert_eq!(world.state(), "condemned");
    assert!(world.reasons().contains(&"somebody_deploys"));
    assert_eq!(world.calls(), []);
    world.host.borrow_mut().stopped = false;
    world.activate(&fix);
    world.ticks(12);
    assert_eq!(world.state(), "settled");
    assert_eq!(world.calls(), []);
    assert_eq!(world.host.borrow().current, Some(fix));
}

#[test]
fn a_deploy_that_dies_before_its_switch_is_waited_for_and_then_undone_as_well() {
    let mut world = World::settled(Mode::Act);
    world.deploy(true);
    world.link(false);
    world.ticks(7);
    assert_eq!(world.calls(), []);
    world.ticks(10);
    assert_eq!(switched_to(&world), [world.generation(1).store_path]);
    assert_eq!(world.host.borrow().current, Some(world.generation(1)));
}

#[test]
fn an_activation_of_a_quarter_of_an_hour_answers_for_what_it_broke() {
    let mut world = World::settled(Mode::Act);
    let slow = world.link(true);
    world.host.borrow_mut().stopped = true;
    world.ticks(60);
    world.host.borrow_mut().stopped = false;
    world.activate(&slow);
    world.ticks(10);
    assert_eq!(switched_to(&world), [world.generation(1).store_path]);
}

#[test]
fn a_known_good_system_that_somebody_went_back_to_in_vain_is_not_gone_back_from() {
    for inherited in [false, true] {
        let mut world = World::settled(Mode::Act);
        world.deploy(false);
        world.ticks(10);
        let second = world.generation(2);
        world.now += 3_600_000;
        world.ticks(1);
        world.policy.delay = Duration::from_secs(300);
        world.deploy(false);
        world.host.borrow_mut().fault_in_var = true;
        world.ticks(2);
        assert_eq!(world.state(), "condemned");
        if !inherited {
            // As an alert does whose condition did not hold for a moment.
            world.alert = None;
        }
        world.activate(&second);
        world.ticks(20);
        let State::Failed { failure, .. } = world.machine.state() else {
            panic!("{:?}", world.machine.state());
        };
        assert_eq!(failure.reason, "not_cured");
        assert_eq!(world.calls(), []);
        assert!(world.machine.good().contains(&second));
        assert_eq!(world.machine.denied(), []);
    }
}

#[test]
fn a_deploy_that_is_well_again_before_its_turn_came_is_not_undone() {
    let mut world = World::settled(Mode::Act);
    world.policy.delay = Duration::from_secs(300);
    world.deploy(false);
    world.host.borrow_mut().flaps = 2;
    world.ticks(3);
    assert_eq!(world.state(), "condemned");
    world.ticks(5);
    assert_eq!(world.state(), "trial");
    world.ticks(10);
    assert_eq!(world.state(), "settled");
    assert_eq!(
        world.reasons(),
        ["trial", "condemned", "jitter", "recovered", "settled"]
    );
    assert_eq!(world.calls(), []);
}

#[test]
fn what_failed_before_a_deploy_does_not_keep_it_from_being_well_again() {
    let mut world = World::settled(Mode::Act);
    world.policy.delay = Duration::from_secs(3600);
    world.host.borrow_mut().fault_in_var = true;
    world.ticks(3);
    world.deploy(false);
    world.ticks(1);
    world.other_alerts = vec![AlertSeen {
        name: ALERT.to_owned(),
        active_at_ms: world.now,
        probe: None,
    }];
    world.ticks(2);
    assert_eq!(world.state(), "condemned");
    world.other_alerts.clear();
    world.ticks(10);
    assert!(
        world.reasons().contains(&"recovered"),
        "{:?}",
        world.reasons()
    );
    assert_eq!(world.calls(), []);
}

#[test]
fn a_deploy_does_not_answer_for_what_began_days_after_one_that_was_only_observed() {
    let mut world = World::settled(Mode::Observe);
    world.deploy(true);
    world.ticks(5);
    assert_eq!(world.state(), "observed");
    world.host.borrow_mut().broken.clear();
    world.ticks(5);
    world.now += 3 * 86_400_000;
    world.policy.mode = Mode::Act;
    world.host.borrow_mut().fault_in_var = true;
    world.ticks(20);
    world.deploy(false);
    world.ticks(40);
    assert_eq!(world.calls(), [], "{:?}", world.reasons());
    assert_eq!(world.reasons().last(), Some(&"not_known_good"));
}

#[test]
fn a_system_is_not_good_before_an_alert_of_its_own_has_decided() {
    let mut world = World::settled(Mode::Act);
    let alert = |world: &World| AlertSeen {
        name: "Slow".to_owned(),
        active_at_ms: world.now,
        probe: None,
    };
    // One that waits since before the deploy says nothing of it.
    let before = AlertSeen {
        active_at_ms: world.now - 1,
        ..alert(&world)
    };
    world.deploy(false);
    world.ticks(3);
    world.pending = vec![before, alert(&world)];
    world.ticks(20);
    assert_eq!(world.state(), "trial");
    world.pending.truncate(1);
    world.ticks(1);
    assert_eq!(world.state(), "settled");
    world.deploy(false);
    world.ticks(3);
    world.pending = vec![alert(&world)];
    world.ticks(20);
    world.other_alerts = std::mem::take(&mut world.pending);
    world.ticks(5);
    assert!(
        world.reasons().contains(&"condemned"),
        "{:?}",
        world.reasons()
    );
}
