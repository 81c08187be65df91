//! The rule files that this crate ships. Prometheus and the watchdog load them unchanged.

/// The shipped rule files that a single host evaluates: name and text. `fleet.rules.yaml`, which
/// sums many hosts up, is for their Prometheus alone.
pub const SHIPPED: [(&str, &str); 5] = [
    (
        "nix-builds.rules.yaml",
        include_str!("../nix-builds.rules.yaml"),
    ),
    (
        "nix-store.rules.yaml",
        include_str!("../nix-store.rules.yaml"),
    ),
    (
        "nix-substituters.rules.yaml",
        include_str!("../nix-substituters.rules.yaml"),
    ),
    (
        "nixos-deploy.rules.yaml",
        include_str!("../nixos-deploy.rules.yaml"),
    ),
    (
        "snowguard.rules.yaml",
        include_str!("../snowguard.rules.yaml"),
    ),
];

#[cfg(test)]
mod tests;
