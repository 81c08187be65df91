//! What only a reboot leads to, and what a reboot would start.

use super::*;

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
