//! The two programs, as cargo builds them. Cargo names the binaries of a package only to that
//! package's own tests, so these build them once, which is quick where they are built already.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The watchdog and command line.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn snowguard() -> PathBuf {
    directory().join("snowguard")
}

/// The exporter.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn exporter() -> PathBuf {
    directory().join("snowguard-exporter")
}

/// The directory of this build's profile, with the programs in it.
fn directory() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // TARGET/PROFILE/deps/TEST
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        build(profile);
        profile.to_owned()
    })
}

fn build(profile: &Path) {
    let name = match profile.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The whole workspace, so that dependencies have the features that they were built with.
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--workspace", "--bins"])
        .args(["--profile", name, "--target-dir"])
        .arg(profile.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "the programs cannot be built:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
