//! The dead set against the judge: `nix-store --gc --print-dead` of three versions of Nix.
//!
//! Promise 1: "Snowguard never deletes a path that Nix holds alive". It begins with never taking
//! one for dead.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    process::{Command, Stdio},
};

use nix::fcntl::{Flock, FlockArg};
use snowguard_host::{
    Layout, NixConf,
    store::{Analysis, Keep},
};
use snowguard_tests::{
    lab::{self, Nix, Running},
    random_store::{Dice, RandomStore, Shape},
};

fn print_dead(nix: &Nix, store: &RandomStore, keep: Keep) -> BTreeSet<String> {
    let (outputs, derivations) = (keep.outputs.to_string(), keep.derivations.to_string());
    let root = store.root.to_str().unwrap();
    let args = [
        "--store",
        root,
        "--gc",
        "--print-dead",
        "--option",
        "keep-outputs",
        &outputs,
        "--option",
        "keep-derivations",
        &derivations,
    ];
    nix.run("nix-store", &store.home, &args)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// How many stores each Nix judges, at four settings each: 304 cases. `SNOWGUARD_CASES` asks for
/// another number of cases.
fn stores() -> u64 {
    std::env::var("SNOWGUARD_CASES")
        .ok()
        .map_or(76, |text| text.parse::<u64>().unwrap().div_ceil(4))
}

#[test]
fn the_dead_set_is_that_of_nix_path_for_path_on_random_stores() {
    lab::must_be_root();
    std::thread::scope(|scope| {
        for nix in lab::all_nix() {
            scope.spawn(move || agrees_with(&nix));
        }
    });
}

fn agrees_with(nix: &Nix) {
    let mut dead_in_all = 0;
    for seed in 1..=stores() {
        let dir = tempfile::tempdir().unwrap();
        let mut dice = Dice::new(seed);
        let shape = Shape {
            paths: 20 + dice.below(200),
            strays: dice.below(20),
            references: 4,
        };
        let store = RandomStore::make(dir.path(), nix, shape, &mut dice);

        // A build in flight holds its file of temporary roots locked; a crashed one does not.
        let temp_roots = store.root.join("nix/var/nix/temproots");
        fs::create_dir_all(&temp_roots).unwrap();
        let in_flight = temp_roots.join(std::process::id().to_string());
        fs::write(&in_flight, format!("/nix/store/{}\0", store.spare[0])).unwrap();
        fs::write(
            temp_roots.join("4194000"),
            format!("/nix/store/{}\0", store.spare[1]),
        )
        .unwrap();
        let held = Flock::lock(File::open(&in_flight).unwrap(), FlockArg::LockExclusive).unwrap();
        // A process that names a path in its environment keeps it.
        let _runs = Running::start(
            Command::new("/bin/sleep")
                .arg("600")
                .env("USES", format!("/nix/store/{}/bin/x", store.spare[2]))
                .stdin(Stdio::null()),
        );

        for (outputs, derivations) in [(false, true), (true, true), (false, false), (true, false)] {
            let keep = Keep {
                outputs,
                derivations,
            };
            let conf = NixConf {
                keep_outputs: outputs,
                keep_derivations: derivations,
                ..NixConf::default()
            };
            let analysis = Analysis::read(&Layout::new(&store.root), &conf).unwrap();
            assert!(analysis.is_complete(), "{:?}", analysis.roots.unreadable);
            let ours: BTreeSet<String> = analysis
                .dead_paths()
                .map(|path| path.into_string().unwrap())
                .collect();
            let theirs = print_dead(nix, &store, keep);
            assert_eq!(
                ours.symmetric_difference(&theirs).collect::<Vec<_>>(),
                Vec::<&String>::new(),
                "seed {seed}, Nix of {}, {keep:?}",
                nix.release
            );
            dead_in_all += ours.len();
        }
        drop(held);
    }
    println!(
        "{}: seeds 1 to {}, 4 settings each, {dead_in_all} dead paths agreed",
        nix.release,
        stores()
    );
    assert!(dead_in_all > 0);
}
