//! Promise 7: "Reading never blocks or slows Nix". Nor does Nix keep anybody from reading: while
//! its commands follow each other, each look at the store gives an answer.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
    thread,
};

use snowguard_tests::{
    lab::{self, Nix},
    programs,
};

/// Commands that follow each other.
const COMMANDS: usize = 60;

#[test]
fn no_look_fails_while_short_commands_of_nix_follow_each_other() {
    lab::must_be_root();
    for nix in lab::all_nix() {
        for user in [None, Some("65534")] {
            looks_beside(&nix, user);
        }
    }
}

fn looks_beside(nix: &Nix, user: Option<&str>) {
    let dir = tempfile::tempdir().unwrap();
    let (root, home) = (dir.path().join("root"), dir.path().join("home"));
    for place in [&root, &home] {
        fs::create_dir(place).unwrap();
    }
    // Whoever looks as another user goes through these, and runs a program of his own.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("snowguard");
    let copied = Command::new("cp")
        .arg(programs::snowguard())
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    let add = |number: usize| {
        let file = home.join(number.to_string());
        fs::write(&file, number.to_string()).unwrap();
        let args = [
            "--store",
            root.to_str().unwrap(),
            "--add",
            file.to_str().unwrap(),
        ];
        nix.run("nix-store", &home, &args);
    };
    add(0);
    let failed = thread::scope(|scope| {
        let adding = scope.spawn(|| (1..=COMMANDS).for_each(add));
        let mut failed = Vec::new();
        let mut looks = 0;
        while !adding.is_finished() {
            let output = look(&program, &root, user);
            looks += 1;
            if !output.status.success() {
                failed.push(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
        adding.join().unwrap();
        assert!(looks > 5, "{looks} looks");
        failed
    });
    assert!(
        failed.is_empty(),
        "{} as {user:?}: {failed:#?}",
        nix.release
    );
    let said = String::from_utf8(look(&program, &root, user).stdout).unwrap();
    let paths = format!("\"paths\": {}", COMMANDS + 1);
    assert!(said.contains(&paths), "{said}");
}

fn look(program: &Path, root: &Path, user: Option<&str>) -> Output {
    let mut command = match user {
        Some(user) => {
            let mut command = Command::new("setpriv");
            let ids = ["--reuid", user, "--regid", user, "--clear-groups"];
            command.args(ids).arg(program);
            command
        }
        None => Command::new(program),
    };
    let command = command.arg("--root").arg(root).args(["store", "--json"]);
    command.current_dir("/").output().unwrap()
}
