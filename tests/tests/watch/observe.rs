//! Promise 5: "In `observe` mode nothing on the host changes."

use snowguard_tests::{host::Host, lab};
use snowguard_watchdog::record::{Mode, Step};

use crate::{SPACE_LOW, furnish};

#[test]
fn a_full_disk_is_only_reported_with_what_would_be_done() {
    for nix in lab::all_nix() {
        println!("== Nix of {}", nix.release);
        let host = Host::new(&nix, 64);
        furnish(&host);
        host.configure(
            SPACE_LOW,
            "[gc]\ntrigger = '10%'\ntarget = '30%'\ncooldown = '2s'\n",
        );
        host.fill_but(1024);
        let before = host.tree();
        let _watchdog = host.watch();
        let would = host.recorded_times(Step::Act, "would_delete_paths", 2);
        assert!(would.message.starts_with("would delete"), "{would:?}");
        let plan = host.recorded(Step::Plan, "plan");
        assert!(plan.message.contains("which frees"), "{plan:?}");
        assert!(host.journal().iter().all(|line| line.mode == Mode::Observe));
        host.published(
            "snowguard_remedy_runs_total",
            &[("remedy", "gc"), ("outcome", "observed")],
            2.0,
        );
        let after = host.tree();
        let changed: Vec<_> = after.symmetric_difference(&before).collect();
        assert!(changed.is_empty(), "{changed:#?}");
    }
}
