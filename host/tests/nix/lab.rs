//! The versions of Nix that `tests/lab/install` puts in place.

use std::path::{Path, PathBuf};

/// One version of Nix.
#[derive(Debug, Clone)]
pub(crate) struct Nix {
    /// The Debian release it is from.
    pub(crate) release: &'static str,
    /// The folder with `nix-store` and its siblings.
    pub(crate) bin: PathBuf,
}

/// All of the lab: Nix 2.8, 2.26 and 2.34.
pub(crate) fn all_nix() -> Vec<Nix> {
    ["bookworm", "trixie", "sid"].into_iter().map(nix).collect()
}

/// The Nix of one Debian release.
pub(crate) fn nix(release: &'static str) -> Nix {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test makes mount namespaces and build users: it must run as root"
    );
    let lab = std::env::var_os("SNOWGUARD_LAB").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/lab"),
        PathBuf::from,
    );
    let bin = lab.join(format!("bin/nix-{release}"));
    assert!(
        bin.join("nix-store").exists(),
        "there is no Nix of {release} in {lab:?}: run tests/lab/install, or name its folder in \
         SNOWGUARD_LAB"
    );
    Nix { release, bin }
}
