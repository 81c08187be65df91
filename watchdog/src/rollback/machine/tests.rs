//! Promise 4: "At most one rollback per deploy; never from blindness; never to a generation that
//! was not good." As stories; all other histories are in the simulation.

use std::time::Duration;

use crate::{
    act::switch::SwitchEnd,
    record::Mode,
    rollback::{
        facts::{AlertSeen, SystemSeen},
        machine::Machine,
        policy::Fleet,
        simulation::world::Server,
        simulation::world::{ALERT, Blindness, Call, TICK_MS, World},
        state::State,
        turn::WhenSilent,
    },
};

mod deploys;

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
    let (activated, look) = (world.now, world.now + TICK_MS);
    assert_eq!(since(&world, Some(&world.seen()), look), Some(activated));
    assert_eq!(since(&world, None, look), None, "nobody saw it");
    world.ticks(1);
    assert_eq!(since(&world, None, look + TICK_MS), Some(activated));
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
fn a_bad_deploy_is_undone_once_and_its_closure_denied() {
    let mut world = World::settled(Mode::Act);
    world.deploy(true);
    world.ticks(10);
    let good = world.generation(1);
    assert_eq!(
        world.calls(),
        [Call::SetProfile(good.clone()), Call::Switch(good.clone())]
    );
    assert_eq!(world.state(), "settled");
    let reasons = [
        "trial",
        "condemned",
        "rollback",
        "updater_held",
        "profile_set",
        "switched",
        "rolled_back",
    ];
    assert_eq!(world.reasons(), reasons);
    let denied = world.machine.denied().iter().map(|d| &d.store_path);
    assert!(denied.eq([&world.generation(2).store_path]));
}

#[test]
fn two_bad_deploys_in_a_row_lead_to_the_last_good_one_and_not_to_the_number_before() {
    let mut world = World::settled(Mode::Act);
    world.deploy(true);
    world.ticks(1);
    world.deploy(true);
    world.ticks(30);
    assert_eq!(
        world.calls().last(),
        Some(&Call::Switch(world.generation(1)))
    );
    assert_eq!(world.state(), "settled");
}

#[test]
fn a_denied_closure_that_is_deployed_again_is_a_new_deploy_and_recorded_as_such() {
    let mut world = World::settled(Mode::Act);
    world.deploy(true);
    world.ticks(10);
    world.activate(&world.generation(2));
    world.ticks(1);
    assert_eq!(world.reasons().last(), Some(&"trial_of_denied"));
    world.ticks(10);
    assert_eq!(world.calls().len(), 4, "its alert fired again");
}

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

#[test]
fn a_closure_that_somebody_brings_again_and_again_latches_instead_of_going_back_and_forth() {
    let mut world = World::settled(Mode::Act);
    world.deploy(true);
    world.ticks(10);
    for round in 1..=2 {
        world.activate(&world.generation(2));
        world.ticks(10);
        assert_eq!(world.calls().len(), 4, "round {round}");
    }
    assert_eq!(world.state(), "failed");
    assert_eq!(world.reasons().last(), Some(&"deployed_again"));
}

#[test]
fn an_alert_that_cannot_be_asked_about_is_not_cured() {
    let mut world = World::settled(Mode::Act);
    world.deploy(true);
    world.ticks(3);
    assert_eq!(world.state(), "verifying");
    world.unanswered = vec![ALERT.to_owned()];
    world.ticks(5);
    assert_eq!(world.state(), "verifying", "{:?}", world.reasons());
    world.unanswered.clear();
    world.ticks(5);
    assert_eq!(world.state(), "settled");
    // One that is blind to the end calls people.
    world.deploy(true);
    world.ticks(3);
    world.unanswered = vec![ALERT.to_owned()];
    world.ticks(30);
    assert_eq!(world.state(), "failed");
    assert_eq!(world.reasons().last(), Some(&"not_verified"));
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
fn a_target_that_is_gone_or_invalid_is_passed_over() {
    let mut world = World::settled(Mode::Act);
    for _ in 0..2 {
        world.deploy(false);
        world.ticks(10);
    }
    let (first, newest) = (world.generation(1), world.generation(3));
    let second = world.generation(2);
    world.host.borrow_mut().invalid.insert(newest.store_path);
    world.host.borrow_mut().generations.retain(|g| *g != second);
    world.deploy(true);
    world.ticks(3);
    assert_eq!(world.calls().last(), Some(&Call::Switch(first)));
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

/// What systemd-boot does with a generation that is older than the newest it lists.
#[test]
fn a_boot_loader_that_forgets_the_target_is_told_of_it_once_more() {
    let mut world = World::settled(Mode::Act);
    world.host.borrow_mut().loader_forgets = true;
    world.deploy(true);
    world.ticks(12);
    let good = world.generation(1);
    assert_eq!(world.state(), "settled");
    assert_eq!(
        world.calls().last(),
        Some(&Call::SetBootDefault(good.clone()))
    );
    assert_eq!(world.host.borrow().boot, Some(good.store_path));
    let reasons = world.reasons();
    let end = [
        "switched",
        "boot_default_differs",
        "boot_default_set",
        "rolled_back",
    ];
    assert_eq!(reasons[reasons.len() - 4..], end);
}

#[test]
fn a_rollback_that_the_next_reboot_would_undo_is_no_success() {
    let mut world = World::settled(Mode::Act);
    world.host.borrow_mut().loader_stuck = true;
    world.deploy(true);
    world.ticks(60);
    assert!(world.machine.latched());
    assert_eq!(world.reasons().last(), Some(&"boot_default_differs"));
    let told = |call: &&Call| matches!(call, Call::SetBootDefault(_));
    assert_eq!(world.calls().iter().filter(told).count(), 1);
}

/// What `nix-collect-garbage -d` does in the middle of a trial.
#[test]
fn what_would_be_gone_back_to_is_kept_before_any_look_at_what_is_deployed_next() {
    let mut world = World::settled(Mode::Act);
    let good = world.generation(1);
    assert_eq!(world.host.borrow().kept, Some(good.store_path.clone()));
    // `nixos-rebuild switch && nix-collect-garbage -d`
    world.deploy(true);
    world.host.borrow_mut().generations.retain(|g| *g != good);
    world.ticks(1);
    assert_eq!(world.host.borrow().kept, Some(good.store_path.clone()));
    world.ticks(10);
    assert_eq!(world.state(), "settled");
    assert_eq!(world.host.borrow().running, good.store_path);
    let again = world.generation(3);
    assert_eq!(again.store_path, good.store_path, "a new generation of it");
    assert_eq!(world.machine.good(), [again]);
    assert_eq!(world.host.borrow().kept, Some(good.store_path));
    // Where it may not act, it keeps nothing.
    for mode in [Mode::Observe, Mode::Off] {
        world.policy.mode = Mode::Act;
        world.ticks(1);
        assert!(world.host.borrow().kept.is_some());
        world.policy.mode = mode;
        world.ticks(1);
        assert_eq!(world.host.borrow().kept, None);
    }
}

#[test]
fn what_is_gone_is_not_kept_in_the_place_of_an_older_one_that_is_there() {
    let mut world = World::settled(Mode::Act);
    let first = world.generation(1);
    world.deploy(false);
    world.ticks(20);
    let second = world.generation(2);
    assert_eq!(world.machine.good(), [first.clone(), second.clone()]);
    world.host.borrow_mut().kept = None;
    world.host.borrow_mut().generations.retain(|g| *g != second);
    world.deploy(true);
    world.ticks(1);
    assert_eq!(world.host.borrow().kept, Some(first.store_path));
}

#[test]
fn another_switch_is_waited_for_by_time_and_not_by_the_number_of_looks() {
    let mut world = World::settled(Mode::Act);
    world.host.borrow_mut().switch_ends = SwitchEnd::LockHeld;
    world.deploy(true);
    let looks = world.policy.act_window.as_secs() / 15 - 2;
    for _ in 0..looks * 15 {
        // A look each second.
        world.now += 1_000 - crate::rollback::simulation::world::TICK_MS;
        world.ticks(1);
    }
    assert_eq!(
        world.state(),
        "rolling_back",
        "{:?}",
        world.reasons().last()
    );
    world.ticks(20);
    assert_eq!(world.state(), "failed");
    assert_eq!(world.reasons().last(), Some(&"out_of_time"));
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

#[test]
fn without_a_target_it_refuses_and_latches() {
    let mut world = World::settled(Mode::Act);
    let path = world.generation(1).store_path;
    world.host.borrow_mut().invalid.insert(path);
    world.deploy(true);
    world.ticks(40);
    assert_eq!((world.state(), world.calls()), ("failed", Vec::new()));
    assert_eq!(world.reasons(), ["trial", "condemned", "no_target"]);
    world.deploy(true);
    world.ticks(40);
    assert!(world.machine.latched(), "a latch is opened by hand only");
    let machine = std::mem::take(&mut world.machine);
    world.machine = machine.release();
    world.ticks(1);
    assert_eq!(world.state(), "adopting");
}

#[test]
fn another_kernel_is_never_switched_to_on_a_running_machine() {
    let mut world = World::settled(Mode::Act);
    world.deploy(false);
    world.ticks(10);
    let path = world.generation(2).store_path;
    world.host.borrow_mut().kernels.insert(path, 1);
    world.deploy(true);
    world.ticks(10);
    let good = world.generation(2);
    // The next reboot leads there, and people are called for it.
    let calls = [
        Call::SetProfile(good.clone()),
        Call::SetBootDefault(good.clone()),
    ];
    assert_eq!((world.state(), world.calls()), ("failed", calls.to_vec()));
    assert_eq!(world.reasons().last(), Some(&"needs_reboot"));
    assert_eq!(world.host.borrow().boot, Some(good.store_path));
}

/// Generation 2 is good and was booted with a kernel of its own; generation 3 is bad, has the
/// first kernel again, and came by a reboot.
fn booted_into_a_bad_kernel(allow_reboot: bool) -> World {
    let mut world = World::settled(Mode::Act);
    world.policy.allow_reboot = allow_reboot;
    world.deploy(false);
    let path = world.generation(2).store_path;
    world.host.borrow_mut().kernels.insert(path, 1);
    world.reboot();
    world.ticks(10);
    assert_eq!(world.state(), "settled");
    world.deploy(true);
    world.reboot();
    world
}

#[test]
fn a_bad_deploy_that_came_by_a_reboot_is_undone_by_one_and_verified_after_it() {
    let mut world = booted_into_a_bad_kernel(true);
    world.ticks(20);
    let good = world.generation(2);
    assert_eq!(
        world.calls(),
        [
            Call::SetProfile(good.clone()),
            Call::SetBootDefault(good.clone()),
            Call::Reboot(good.store_path.clone()),
        ]
    );
    assert_eq!(world.state(), "settled");
    assert_eq!(world.host.borrow().running, good.store_path);
    assert_eq!(world.reasons().last(), Some(&"rolled_back"));
}

#[test]
fn a_reboot_is_asked_for_once_and_one_that_does_not_come_latches() {
    let mut world = booted_into_a_bad_kernel(true);
    world.host.borrow_mut().reboot_stuck = true;
    world.ticks(20);
    world.restart();
    world.ticks(60);
    let reboots = |call: &&Call| matches!(call, Call::Reboot(_));
    assert_eq!(world.calls().iter().filter(reboots).count(), 1);
    assert_eq!(world.state(), "failed");
    assert_eq!(world.reasons().last(), Some(&"reboot_did_not_come"));
}

#[test]
fn a_boot_loader_that_starts_the_bad_system_all_the_same_latches() {
    let mut world = booted_into_a_bad_kernel(true);
    let bad = world.generation(3).store_path;
    world.host.borrow_mut().reboot_stuck = true;
    world.ticks(6);
    assert!(
        world
            .calls()
            .iter()
            .any(|call| matches!(call, Call::Reboot(_)))
    );
    world.host.borrow_mut().boot = Some(bad);
    world.reboot();
    world.ticks(1);
    assert_eq!(world.state(), "failed");
    assert_eq!(world.reasons().last(), Some(&"booted_otherwise"));
}

#[test]
fn a_boot_default_that_is_not_the_target_is_not_rebooted_to() {
    let mut world = booted_into_a_bad_kernel(true);
    world.host.borrow_mut().loader_stuck = true;
    world.ticks(10);
    assert_eq!(world.calls().len(), 2);
    assert_eq!(world.reasons().last(), Some(&"boot_default_differs"));
}

#[test]
fn a_power_cut_that_boots_another_kernel_in_mid_rollback_turns_a_switch_into_a_reboot() {
    let mut world = World::settled(Mode::Act);
    world.policy.allow_reboot = true;
    world.host.borrow_mut().switch_ends = SwitchEnd::LockHeld;
    world.deploy(true);
    let bad = world.generation(2).store_path;
    // The old kernel runs still, so that a switch would do; after the cut it does not.
    world.host.borrow_mut().kernels.insert(bad, 1);
    world.ticks(4);
    assert_eq!(world.state(), "rolling_back");
    world.reboot();
    world.host.borrow_mut().switch_ends = SwitchEnd::Switched;
    world.ticks(20);
    let first = world.generation(1);
    assert_eq!(world.calls().last(), Some(&Call::Reboot(first.store_path)));
    assert_eq!(world.state(), "settled");
}

#[test]
fn a_reboot_would_be_told_of_in_observe_mode_and_not_done() {
    let mut world = booted_into_a_bad_kernel(true);
    world.policy.mode = Mode::Observe;
    world.ticks(20);
    assert_eq!((world.state(), world.calls()), ("observed", Vec::new()));
    let told = [
        "would_set_profile",
        "would_set_boot_default",
        "would_reboot",
    ];
    assert_eq!(world.reasons().last_chunk(), Some(&told));
}

#[test]
fn each_exit_code_has_its_own_end() {
    for (end, state, reason) in [
        (SwitchEnd::UnitsFailed, "settled", "rolled_back"),
        (SwitchEnd::Rejected, "failed", "switch_rejected"),
        (SwitchEnd::ActivationFailed, "failed", "activation_failed"),
        (SwitchEnd::InitInterface, "failed", "needs_reboot"),
        (SwitchEnd::Killed(9), "failed", "switch_killed"),
        (SwitchEnd::Unfinished, "failed", "switch_unfinished"),
        (SwitchEnd::LockHeld, "failed", "out_of_time"),
    ] {
        let mut world = World::settled(Mode::Act);
        world.host.borrow_mut().switch_ends = end;
        world.deploy(true);
        world.ticks(60);
        assert_eq!(world.state(), state, "{end:?}");
        assert_eq!(world.reasons().last(), Some(&reason), "{end:?}");
    }
}

#[test]
fn a_switch_that_waited_for_the_lock_goes_on_when_it_is_free() {
    let mut world = World::settled(Mode::Act);
    world.host.borrow_mut().switch_ends = SwitchEnd::LockHeld;
    world.deploy(true);
    world.ticks(5);
    assert_eq!(world.state(), "rolling_back");
    world.host.borrow_mut().switch_ends = SwitchEnd::Switched;
    world.ticks(5);
    assert_eq!(world.state(), "settled");
}

#[test]
fn a_fault_that_going_back_does_not_cure_latches_without_a_loop() {
    let mut world = World::settled(Mode::Act);
    world.deploy(true);
    world.ticks(1);
    world.host.borrow_mut().fault_in_var = true;
    world.ticks(60);
    assert_eq!(world.reasons().last(), Some(&"not_cured"));
    assert_eq!(world.calls().len(), 2);
}

#[test]
fn a_profile_that_was_set_before_a_kill_is_activated_after_it() {
    for fuse in 0..12 {
        let mut world = World::settled(Mode::Act);
        world.policy.follows_profile = true;
        world.host.borrow_mut().follows_profile = true;
        world.deploy(true);
        world.ticks(1);
        world.host.borrow_mut().fuse = Some(fuse);
        world.ticks(20);
        let good = world.generation(1);
        assert!(world.calls().contains(&Call::Switch(good)), "{fuse}");
        assert_eq!(world.state(), "settled", "{fuse}");
    }
}

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
fn who_deploys_in_the_middle_of_a_rollback_has_the_last_word() {
    let mut world = World::settled(Mode::Act);
    world.host.borrow_mut().switch_ends = SwitchEnd::LockHeld;
    world.deploy(true);
    world.ticks(3);
    world.deploy(false);
    let before = world.calls().len();
    world.ticks(20);
    assert_eq!((world.state(), world.calls().len()), ("settled", before));
}

#[test]
fn a_state_file_of_another_version_is_refused_rather_than_begun_anew() {
    let text = Machine::default().to_json().expect("JSON");
    assert!(Machine::from_json(&text).is_ok());
    let newer = text.replace("\"version\": 1", "\"version\": 2");
    let why = Machine::from_json(&newer).expect_err("newer");
    assert!(why.contains("version 2"), "{why}");
    assert!(Machine::from_json("{}").is_err());
}

/// Promise 5: "In `observe` mode nothing on the host changes."
#[test]
fn observe_mode_says_once_what_it_would_do_and_does_nothing() {
    let mut world = World::settled(Mode::Observe);
    world.deploy(true);
    world.ticks(60);
    assert_eq!(world.calls(), []);
    assert_eq!(
        world.reasons(),
        [
            "trial",
            "condemned",
            "rollback",
            "would_set_profile",
            "would_switch"
        ]
    );
    assert!(matches!(
        world.machine.state(),
        State::Observed {
            target: Some(_),
            ..
        }
    ));
    world.policy.mode = Mode::Act;
    world.ticks(20);
    assert_eq!(world.calls(), [], "one decision per deploy");
    world.deploy(false);
    world.ticks(20);
    assert_eq!(world.state(), "settled");
}

#[test]
fn a_remedy_switched_off_in_the_middle_of_a_rollback_stops_there() {
    let mut world = World::settled(Mode::Act);
    world.host.borrow_mut().switch_ends = SwitchEnd::LockHeld;
    world.deploy(true);
    world.ticks(3);
    let before = world.calls().len();
    world.policy.mode = Mode::Observe;
    world.ticks(3);
    assert_eq!((world.state(), world.calls().len()), ("failed", before));
}

/// Promise 3: "after being killed at any point".
#[test]
fn killed_after_any_number_of_effects_it_comes_to_the_same_end() {
    for after in 0..20 {
        let mut world = World::settled(Mode::Act);
        world.deploy(true);
        world.host.borrow_mut().fuse = Some(after);
        world.ticks(15);
        assert_eq!(world.state(), "settled", "killed after {after} effects");
        let good = world.generation(1);
        assert_eq!(world.host.borrow().running, good.store_path);
        assert_eq!(world.host.borrow().current, Some(good));
    }
}

#[test]
fn what_cannot_be_kept_on_disk_is_not_done() {
    let mut world = World::settled(Mode::Act);
    world.deploy(true);
    world.ticks(1);
    world.host.borrow_mut().disk_full = true;
    world.ticks(5);
    assert_eq!(world.calls(), []);
    assert_eq!(world.reasons().last(), Some(&"state_not_kept"));
    world.host.borrow_mut().disk_full = false;
    world.ticks(10);
    assert_eq!(world.state(), "settled");
}

#[test]
fn a_good_closure_that_turned_bad_is_not_its_own_target() {
    let mut world = World::settled(Mode::Act);
    world.deploy(false);
    world.ticks(10);
    let (first, second) = (world.generation(1), world.generation(2));
    world.activate(&first);
    world.ticks(10);
    world.deploy(false);
    world.ticks(1);
    world.activate(&first);
    world.host.borrow_mut().broken.insert(first.store_path);
    world.ticks(3);
    assert_eq!(world.calls().last(), Some(&Call::Switch(second)));
}

#[test]
fn no_act_is_handed_out_in_any_mode_but_act() {
    let mut world = World::settled(Mode::Act);
    world.host.borrow_mut().switch_ends = SwitchEnd::LockHeld;
    world.deploy(true);
    world.ticks(3);
    for mode in [Mode::Off, Mode::Observe] {
        world.policy.mode = mode;
        let (_, act, _) = world.machine.clone().begin_act(&world.policy);
        assert_eq!(act, None);
    }
}
