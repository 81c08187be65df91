//! The rollback's target, kept from the collector of Nix by a root of our own.

use snowguard_host::Layout;
use snowguard_tests::{
    lab,
    small_store::{Kind, SmallStore},
};
use snowguard_watchdog::act::target_root::TargetRoot;

#[test]
fn no_collection_of_nix_takes_what_would_be_gone_back_to() {
    lab::must_be_root();
    for nix in lab::all_nix() {
        let dir = tempfile::tempdir().unwrap();
        let store = SmallStore::make(dir.path(), &nix, Kind::Tmpfs, 100, 8000);
        let good = store.system_generation(1, 64);
        let bad = store.system_generation(2, 64);
        let root = TargetRoot::of(&Layout::new(&store.root));
        root.run(Some(&good)).unwrap();
        // As `nix-collect-garbage -d` does while the bad one is current.
        let link = store.root.join("nix/var/nix/profiles/system-1-link");
        std::fs::remove_file(link).unwrap();
        store.store(&["--gc"]);
        assert!(store.is_valid(&good), "{nix:?}");
        assert!(store.is_valid(&bad), "{nix:?}");
        root.run(None).unwrap();
        store.store(&["--gc"]);
        assert!(!store.is_valid(&good), "{nix:?}: nothing else kept it");
    }
}
