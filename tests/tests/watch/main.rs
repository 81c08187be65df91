//! The real `snowguard watch` on hosts of its own: killed, blind, held, told twice.

mod blindness;
mod fleet;
mod killed;
mod lifecycle;
mod observe;
mod profiles;
mod refusals;
mod rollback;

/// The shipped alert about space, without its half a minute of patience.
const SPACE_LOW: &str = "
groups:
  - name: quick
    rules:
      - alert: SpaceLow
        expr: nix_store_filesystem_avail_bytes < snowguard_gc_trigger_bytes
        for: 1s
        labels: {remedy: gc}
";

/// A system to run, as far as a store and its generations are concerned: some paths alive, some
/// dead, and generations of which one is booted and one runs. What is alive is returned, the
/// oldest generation first.
fn furnish(host: &snowguard_tests::host::Host) -> Vec<String> {
    let store = &host.store;
    let systems: Vec<_> = (1..=4)
        .map(|number| store.system_generation(number, 3072))
        .collect();
    let mut alive = systems.clone();
    for number in 0..3 {
        let path = store.add(&format!("alive-{number}"), 1024);
        store.link(&path, &format!("nix/var/nix/gcroots/alive-{number}"));
        alive.push(path);
    }
    for number in 0..12 {
        store.add(&format!("dead-{number}"), 2048);
    }
    store.link(&systems[1], "run/booted-system");
    store.link(&systems[3], "run/current-system");
    store.link("/run/booted-system", "nix/var/nix/gcroots/booted-system");
    store.link("/run/current-system", "nix/var/nix/gcroots/current-system");
    alive
}
