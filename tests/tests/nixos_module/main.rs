//! The NixOS module, evaluated by Nix as NixOS would, and the units for other distributions.
//!
//! Promise 1: "Snowguard never deletes a path that Nix holds alive". Promise 5: "In `observe` mode
//! nothing on the host changes." Promise 7: "no users' GC roots are touched". Promise 8: "What
//! cannot be read is reported, not assumed."

mod nix;
mod services;
mod settings;

use std::path::{Path, PathBuf};

use serde_json::Value;
use snowguard_tests::lab;

const BOTH: &str = "{ services.snowguard = { exporter.enable = true; watchdog.enable = true; }; }";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// One evaluation: standard output, or what Nix said.
fn instantiate(release: &'static str, lib: &str, arguments: &[&str]) -> Result<Value, String> {
    let home = tempfile::tempdir().unwrap();
    let output = lab::nix(release)
        .command("nix-instantiate", home.path())
        .current_dir(workspace().join("tests/nixos"))
        .arg("--store")
        .arg(home.path().join("root"))
        .args(["--eval", "--strict", "--json", "--arg", "lib", lib])
        .args(arguments)
        .output()
        .unwrap();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// `lib` of nixpkgs where there is a copy of it.
fn real_lib() -> Option<String> {
    let dir = std::env::var("SNOWGUARD_NIXPKGS_LIB").ok()?;
    Some(format!("import {dir}/lib"))
}

/// What NixOS gets of a host, by the stand-in for nixpkgs' `lib` and, if there is one, by the real.
fn evaluate(host: &str) -> Result<Value, String> {
    let arguments = ["eval.nix", "--arg", "host", host];
    let result = instantiate("bookworm", "import ./lib.nix", &arguments);
    if let Some(lib) = real_lib() {
        let real = instantiate("bookworm", &lib, &arguments);
        match (&result, &real) {
            (Ok(_), _) | (_, Ok(_)) => assert_eq!(result, real, "the stand-in differs"),
            (Err(_), Err(said)) => return Err(said.clone()),
        }
    }
    result
}
