//! Every version of Nix understands the files, and the flake gives what it should.

use std::fs;

use serde_json::json;
use snowguard_tests::lab;

use crate::{BOTH, instantiate, real_lib, workspace};

#[test]
fn every_nix_file_is_understood_by_each_version_of_nix() {
    let mut files = vec![workspace().join("flake.nix")];
    for dir in ["nixos-module", "tests/nixos"] {
        let entries = fs::read_dir(workspace().join(dir)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        files.extend(paths.filter(|path| path.extension().is_some_and(|e| e == "nix")));
    }
    assert!(files.len() > 6, "{files:?}");
    let home = tempfile::tempdir().unwrap();
    for nix in lab::all_nix() {
        for file in &files {
            nix.run(
                "nix-instantiate",
                home.path(),
                &["--parse", file.to_str().unwrap()],
            );
        }
    }
}

#[test]
fn each_version_of_nix_makes_the_same_of_the_module() {
    let arguments = ["eval.nix", "--arg", "host", BOTH];
    let [first, second, third] = ["bookworm", "trixie", "sid"]
        .map(|release| instantiate(release, "import ./lib.nix", &arguments).unwrap());
    assert_eq!(first, second);
    assert_eq!(second, third);
}

#[test]
fn the_flake_gives_package_module_and_overlay() {
    let given = instantiate("bookworm", "import ./lib.nix", &["outputs.nix"]).unwrap();
    if let Some(lib) = real_lib() {
        // `lib.fileset` needs a newer Nix than 2.8.
        assert_eq!(instantiate("sid", &lib, &["outputs.nix"]).unwrap(), given);
    }
    let systems = json!(["aarch64-linux", "x86_64-linux"]);
    assert_eq!(given["inputs"], json!(["nixpkgs"]));
    assert_eq!(given["outputs"]["packages"], systems);
    assert_eq!(given["outputs"]["checks"], systems);
    assert_eq!(given["module"], true);
    let name = format!("snowguard-{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(given["overlaid"], name.as_str());
    assert_eq!(given["package"]["name"], name.as_str());
    assert_eq!(given["package"]["mainProgram"], "snowguard");
}
