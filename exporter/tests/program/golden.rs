//! A fixture tree in, the whole page out. "What cannot be read is reported, not assumed."

use std::{fs, path::Path};

use crate::{
    host::Host,
    run::{once, stderr, stdout},
};

/// Values that depend on the machine or the moment.
const VOLATILE: [&str; 11] = [
    "nix_store_filesystem_",
    "nix_store_reclaimable_bytes",
    "nix_store_reclaimable_timestamp_",
    "nix_store_database_",
    "nixos_boot_filesystem_",
    "nixos_reboot_required_since_",
    "nix_host_memory_",
    "nix_profile_current_generation_created_",
    "nix_profile_oldest_generation_created_",
    "nixos_generation_activated_",
    "snowguard_scrape_collector_duration_seconds",
];

fn without_volatile_values(page: &str) -> String {
    let mut out = String::new();
    for line in page.lines() {
        if VOLATILE.iter().any(|name| line.starts_with(name)) {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            value.parse::<f64>().expect("a number");
            out.push_str(series);
            out.push_str(" VALUE\n");
        } else if line.starts_with("snowguard_build_info") {
            out.push_str(&line.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
            out.push('\n');
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[test]
fn the_page_of_a_small_host_is_as_recorded() {
    let host = Host::new();
    let output = once(&host);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let page = without_volatile_values(&stdout(&output));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/golden/page.prom");
    if std::env::var_os("SNOWGUARD_BLESS").is_some() {
        fs::write(&golden, &page).unwrap();
    }
    let recorded = fs::read_to_string(&golden).unwrap();
    assert_eq!(
        page, recorded,
        "if the change is meant, record it with SNOWGUARD_BLESS=1"
    );
}
