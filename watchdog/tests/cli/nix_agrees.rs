//! `store --dead` against the judge: `nix-store --gc --print-dead` of three versions of Nix.
//!
//! Promise 1 begins with never taking a live path for dead.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use crate::fixture::Ran;

struct Store {
    dir: tempfile::TempDir,
    program: PathBuf,
}

impl Store {
    fn nix(&self, args: &[&str]) -> String {
        let home = self.dir.path().join("home");
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &home)
            .env("NIX_CONF_DIR", &home)
            .arg("--store")
            .arg(self.root())
            .args(args);
        let ran = Ran::of(command.output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn add(&self, number: usize) -> String {
        let file = self.dir.path().join(format!("file-{number}"));
        fs::write(&file, vec![b'x'; number * 1000]).unwrap();
        let path = self.nix(&["--add", file.to_str().unwrap()]);
        path.trim_end().to_owned()
    }
}

#[test]
fn the_dead_paths_are_printed_as_nix_prints_them() {
    let lab = std::env::var_os("SNOWGUARD_LAB").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/lab"),
        PathBuf::from,
    );
    for release in ["bookworm", "trixie", "sid"] {
        let program = lab.join(format!("bin/nix-{release}/nix-store"));
        assert!(
            program.exists(),
            "there is no {program:?}: run tests/lab/install, or set SNOWGUARD_LAB"
        );
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("home")).unwrap();
        let store = Store { dir, program };
        let paths: Vec<String> = (1..=8).map(|number| store.add(number)).collect();
        let profiles = store.root().join("nix/var/nix/profiles");
        fs::create_dir_all(&profiles).unwrap();
        symlink(&paths[0], profiles.join("p-1-link")).unwrap();
        symlink(&paths[3], store.root().join("nix/var/nix/gcroots/kept")).unwrap();
        // A left-over that the database does not know.
        fs::write(store.root().join("nix/store/left over"), "").unwrap();

        let mut snowguard = Command::new(env!("CARGO_BIN_EXE_snowguard"));
        snowguard.arg("--root").arg(store.root());
        let ours = Ran::of(snowguard.args(["store", "--dead"]).output().unwrap()).clean();
        let judged = store.nix(&["--gc", "--print-dead"]);
        let mut theirs: Vec<&str> = judged.lines().collect();
        theirs.sort_unstable();
        assert_eq!(ours.lines().collect::<Vec<_>>(), theirs, "Nix of {release}");
        assert_eq!(theirs.len(), 7);
    }
}
