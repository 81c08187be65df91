//! From a condemned deploy back to the last known good one, or to a latch.

use super::*;

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
fn a_verification_that_no_probe_can_make_comes_to_its_end() {
    let mut world = World::settled(Mode::Act);
    world.deploy(true);
    world.ticks(3);
    assert_eq!(world.state(), "verifying");
    for _ in 0..30 {
        world.tick(Blindness {
            probes: true,
            ..Blindness::default()
        });
    }
    assert_eq!(world.state(), "failed");
    assert_eq!(world.reasons().last(), Some(&"not_verified"));
}

#[test]
fn a_probe_that_came_with_the_bad_deploy_says_nothing_of_what_is_gone_back_to() {
    let mut world = World::settled(Mode::Act);
    world.deploy(true);
    world.brought = true;
    world.ticks(10);
    assert_eq!(world.state(), "settled", "{:?}", world.reasons());
    assert_eq!(world.reasons().last(), Some(&"rolled_back"));
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
fn a_profile_that_somebody_else_sets_just_then_is_theirs_and_latches_nothing() {
    let mut world = World::settled(Mode::Act);
    world.host.borrow_mut().profile_busy = true;
    world.deploy(true);
    world.ticks(10);
    assert_eq!(world.state(), "rolling_back");
    assert_eq!(world.reasons().last(), Some(&"somebody_deploys"));
    // Their switch.
    world.deploy(false);
    world.host.borrow_mut().profile_busy = false;
    world.ticks(20);
    assert_eq!((world.state(), world.calls()), ("settled", Vec::new()));
    assert_eq!(world.host.borrow().running, world.generation(3).store_path);
}

#[test]
fn a_profile_that_stays_busy_is_waited_for_by_time_and_set_when_it_is_free() {
    let mut world = World::settled(Mode::Act);
    world.host.borrow_mut().profile_busy = true;
    world.deploy(true);
    world.ticks(20);
    assert_eq!(world.state(), "rolling_back");
    world.host.borrow_mut().profile_busy = false;
    world.ticks(5);
    assert_eq!(world.reasons().last(), Some(&"rolled_back"));

    world.host.borrow_mut().profile_busy = true;
    world.deploy(true);
    world.ticks(60);
    assert_eq!(world.state(), "failed");
    assert_eq!(world.reasons().last(), Some(&"out_of_time"));
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
fn each_exit_code_has_its_own_end() {
    for (end, state, reason) in [
        (SwitchEnd::UnitsFailed, "settled", "rolled_back"),
        (SwitchEnd::Rejected, "failed", "switch_rejected"),
        (SwitchEnd::ActivationFailed, "settled", "rolled_back"),
        (SwitchEnd::Other(3), "settled", "rolled_back"),
        (SwitchEnd::Other(5), "failed", "switch_failed"),
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
