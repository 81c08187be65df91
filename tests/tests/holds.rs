//! What each generation holds, and who pins a path, against the judge: real Nix of three versions.
//!
//! Promise 2: "It frees what it promised or says why not". What keeping fewer generations would free
//! is exactly what Nix finds dead after `nix-env --delete-generations`.
//! Promise 7: "no users' GC roots are touched".

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::PathBuf};

use snowguard_host::{
    Layout, NixConf, Profiles,
    store::{Analysis, Holdings, RootKind, Why},
};
use snowguard_tests::{
    lab::{self, Nix},
    random_store::{Dice, RandomStore, Shape},
};

/// The current one is the last but one: the newest was rolled back from.
const GENERATIONS: u64 = 7;
const CURRENT: u64 = 6;

struct Host {
    nix: Nix,
    store: RandomStore,
    keep_derivations: bool,
    _dir: tempfile::TempDir,
}

impl Host {
    fn new(nix: &Nix, seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut dice = Dice::new(seed);
        let shape = Shape {
            paths: 60 + dice.below(60),
            strays: 4,
            references: 2,
        };
        let store = RandomStore::make(dir.path(), nix, shape, &mut dice);
        for name in &store.valid {
            // Nix does not list what it does not find in the directory.
            if store.place(name).symlink_metadata().is_err() {
                fs::write(store.place(name), "").unwrap();
            }
        }
        let host = Self {
            nix: nix.clone(),
            store,
            keep_derivations: seed.is_multiple_of(2),
            _dir: dir,
        };
        for number in 1..=GENERATIONS {
            // Every third one has the target of another.
            let name = &host.store.valid[dice.below(host.store.valid.len())];
            let target = format!("/nix/store/{name}");
            host.generation(number, &target);
            if number == 4 {
                fs::remove_file(host.link(3)).unwrap();
                host.generation(3, &target);
            }
        }
        symlink(format!("system-{CURRENT}-link"), host.profile()).unwrap();
        host
    }

    fn profile(&self) -> PathBuf {
        self.store.root.join("nix/var/nix/profiles/system")
    }

    fn link(&self, number: u64) -> PathBuf {
        self.profile()
            .with_file_name(format!("system-{number}-link"))
    }

    fn generation(&self, number: u64, target: &str) {
        symlink(target, self.link(number)).unwrap();
    }

    fn targets(&self) -> Vec<PathBuf> {
        let numbers = 1..=GENERATIONS;
        numbers
            .map(|number| fs::read_link(self.link(number)).unwrap())
            .collect()
    }

    fn restore(&self, targets: &[PathBuf]) {
        for (number, target) in (1..).zip(targets) {
            if self.link(number).symlink_metadata().is_err() {
                self.generation(number, target.to_str().unwrap());
            }
        }
    }

    fn run(&self, tool: &str, args: &[&str]) -> Vec<String> {
        let keep = self.keep_derivations.to_string();
        let root = self.store.root.to_str().unwrap();
        let mut all = vec!["--store", root, "--option", "keep-derivations", &keep];
        all.extend(args);
        let out = self.nix.run(tool, &self.store.home, &all);
        out.lines().map(str::to_owned).collect()
    }

    fn print_dead(&self) -> BTreeSet<String> {
        self.run("nix-store", &["--gc", "--print-dead"])
            .into_iter()
            .collect()
    }

    fn analysis(&self) -> Analysis {
        let conf = NixConf {
            keep_derivations: self.keep_derivations,
            ..NixConf::default()
        };
        let analysis = Analysis::read(&Layout::new(&self.store.root), &conf).unwrap();
        assert!(analysis.is_complete(), "{:?}", analysis.roots.unreadable);
        analysis
    }
}

#[test]
fn a_generation_alone_holds_what_nix_finds_dead_without_it_and_the_curve_what_it_finds_without_the_older()
 {
    lab::must_be_root();
    for nix in lab::all_nix() {
        let (mut alone, mut curve) = (0, 0);
        for seed in 1..=4 {
            let host = Host::new(&nix, seed);
            let case = format!("seed {seed}, Nix of {}", nix.release);
            let analysis = host.analysis();
            let graph = &analysis.graph;
            let profiles = Profiles::read(&Layout::new(&host.store.root)).unwrap();
            let index = profiles
                .profiles
                .iter()
                .position(|p| p.name.as_os_str() == "system");
            let index = index.unwrap();
            let held = Holdings::of(graph, analysis.keep, &analysis.roots, &profiles, &[]);
            let profile = &held.profiles[index];
            let (targets, before) = (host.targets(), host.print_dead());
            let nar_bytes = |dead: &BTreeSet<String>| -> u64 {
                let new = dead.difference(&before);
                new.map(|path| {
                    let name = path.strip_prefix("/nix/store/").unwrap();
                    graph.find(name).map_or(0, |id| graph.nar_bytes(id))
                })
                .sum()
            };
            for (place, number) in (1..=GENERATIONS).enumerate() {
                fs::remove_file(host.link(number)).unwrap();
                let dead = host.print_dead();
                host.restore(&targets);
                let ours = held.alone(graph, index, place);
                let ours: BTreeSet<String> = ours.iter().map(|id| graph.store_path(*id)).collect();
                let theirs: BTreeSet<String> = dead.difference(&before).cloned().collect();
                assert_eq!(ours, theirs, "{case}, generation {number}");
                assert_eq!(
                    profile.generations[place].alone.nar_bytes,
                    nar_bytes(&dead),
                    "{case}"
                );
                alone += theirs.len();
            }
            for keep in 1..=GENERATIONS {
                let link = host.profile();
                let args = ["--profile", link.to_str().unwrap(), "--delete-generations"];
                host.run("nix-env", &[&args[..], &[&format!("+{keep}")]].concat());
                let frees = nar_bytes(&host.print_dead());
                host.restore(&targets);
                let ours = profile.keeping(usize::try_from(keep).unwrap()).nar_bytes;
                assert_eq!(ours, frees, "{case}, keep {keep}");
                curve += frees;
            }
            assert_eq!(host.print_dead(), before, "{case}: the links are back");
        }
        println!("{}: {alone} paths and {curve} bytes agreed", nix.release);
        assert!(alone > 0 && curve > 0);
    }
}

#[test]
fn the_roots_that_reach_a_path_are_those_that_nix_names() {
    lab::must_be_root();
    for nix in lab::all_nix() {
        let mut compared = 0;
        // Where `keep-derivations` is on, Nix walks back from each derivation to all its valid
        // outputs, also those that say they were built by another: it names roots that keep
        // nothing of it (`misc.cc`, `computeFSClosure`). Off, both follow the same edges.
        for seed in [1, 3, 5] {
            let host = Host::new(&nix, seed);
            assert!(!host.keep_derivations);
            let analysis = host.analysis();
            let graph = &analysis.graph;
            for id in graph.ids().step_by(9) {
                let path = graph.store_path(id);
                let theirs = host.run("nix-store", &["--query", "--roots", &path]);
                let why = Why::of(graph, analysis.keep, &analysis.roots, id);
                let ours: BTreeSet<String> = (why.roots.iter())
                    .map(|place| &analysis.roots.found[*place])
                    .filter(|root| root.kind != RootKind::Temporary)
                    .map(|root| {
                        format!("{} -> {}", root.link.display(), graph.store_path(root.path))
                    })
                    .collect();
                let theirs: BTreeSet<String> = theirs.into_iter().collect();
                assert_eq!(ours, theirs, "seed {seed}, Nix of {}, {path}", nix.release);
                assert_eq!(why.chain.is_some(), analysis.alive.contains(id), "{path}");
                compared += ours.len();
            }
        }
        println!("{}: {compared} roots agreed", nix.release);
        assert!(compared > 0);
    }
}
