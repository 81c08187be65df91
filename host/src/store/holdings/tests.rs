//! Promise 2: "It frees what it promised or says why not". What a generation holds, and what giving
//! up the older ones frees, against brute force: the links are taken away and the rest is marked anew.

use std::time::SystemTime;

use proptest::{prelude::prop, proptest, test_runner::Config};

use super::*;
use crate::{
    Generation, GenerationId,
    store::{
        Root, RootKind,
        random::{Drawn, graphs, lost},
    },
};

/// The generations of a profile by what they point at, oldest first, and which is current.
type DrawnProfile = (Vec<usize>, Option<usize>);

struct Host {
    graph: Graph,
    keep: Keep,
    roots: Roots,
    profiles: Profiles,
}

impl Host {
    fn new(drawn: &Drawn, others: &[usize], profiles: &[DrawnProfile]) -> Self {
        let (graph, ids) = drawn.graph();
        let id = |number: &usize| ids[number % ids.len()];
        let root = |path, link: PathBuf, kind| Root {
            path,
            link,
            kind,
            via: None,
            made: None,
        };
        let mut roots = Roots::default();
        for (number, target) in others.iter().enumerate() {
            let link = PathBuf::from(format!("/gcroots/{number}"));
            roots
                .found
                .push(root(id(target), link, RootKind::Permanent));
        }
        let mut read = Profiles {
            profiles: Vec::new(),
            unreadable: Vec::new(),
        };
        for (profile, (targets, current)) in profiles.iter().enumerate() {
            let mut generations = Vec::new();
            for (place, target) in targets.iter().enumerate() {
                let number = place as u64 * 2 + 1;
                let link = PathBuf::from(format!("/profiles/p{profile}-{number}-link"));
                let path = id(target);
                roots
                    .found
                    .push(root(path, link.clone(), RootKind::Profile));
                let id = GenerationId {
                    number,
                    target: PathBuf::from(graph.store_path(path)),
                    created: SystemTime::UNIX_EPOCH,
                };
                generations.push(Generation {
                    id,
                    link,
                    valid: true,
                });
            }
            read.profiles.push(Profile {
                name: PathBuf::from(format!("p{profile}")),
                link: PathBuf::from(format!("/profiles/p{profile}")),
                current: current.map(|place| place as u64 * 2 + 1),
                generations,
            });
        }
        Self {
            graph,
            keep: drawn.keep,
            roots,
            profiles: read,
        }
    }

    fn holdings(&self, stay: &[&Path]) -> Holdings {
        Holdings::of(&self.graph, self.keep, &self.roots, &self.profiles, stay)
    }

    /// What dies when exactly these links go.
    fn without(&self, gone: &[&Path]) -> Vec<PathId> {
        let split = |left: bool| {
            let found = self.roots.found.iter();
            found
                .filter(move |r| gone.contains(&r.link.as_path()) != left)
                .map(|r| r.path)
        };
        lost(&self.graph, self.keep, split(true), split(false))
    }

    fn share(&self, paths: &[PathId]) -> Share {
        Share {
            paths: paths.len() as u64,
            nar_bytes: paths.iter().map(|id| self.graph.nar_bytes(*id)).sum(),
        }
    }
}

proptest! {
    #![proptest_config(Config::with_cases(192))]

    #[test]
    fn shares_and_curve_are_what_dies_when_the_links_go(
        drawn in graphs(20),
        others in prop::collection::vec(0..20usize, 0..3),
        profiles in prop::collection::vec(
            (prop::collection::vec(0..20usize, 0..6), prop::option::of(0..6usize)), 1..4),
        stays in prop::option::of(0..20usize),
    ) {
        let host = Host::new(&drawn, &others, &profiles);
        let ids: Vec<PathId> = host.graph.ids().collect();
        let booted = stays.map(|n| PathBuf::from(host.graph.store_path(ids[n % ids.len()])));
        let stay: Vec<&Path> = booted.iter().map(PathBuf::as_path).collect();
        let holdings = host.holdings(&stay);
        for (index, profile) in host.profiles.profiles.iter().enumerate() {
            let held = &holdings.profiles[index];
            let links: Vec<&Path> = profile.generations.iter().map(|g| g.link.as_path()).collect();
            assert_eq!(held.together, host.share(&host.without(&links)));
            let stays: Vec<bool> = profile.generations.iter()
                .map(|g| profile.current == Some(g.id.number) || booted.as_ref() == Some(&g.id.target))
                .collect();
            let giving_up = |places: std::ops::Range<usize>| {
                let gone: Vec<&Path> = places.filter(|p| !stays[*p]).map(|p| links[p]).collect();
                host.share(&host.without(&gone))
            };
            for (place, holding) in held.generations.iter().enumerate() {
                let dies = host.without(&[links[place]]);
                assert_eq!(holding.alone, host.share(&dies));
                assert_eq!(holdings.alone(&host.graph, index, place), dies);
                assert_eq!(holding.stays, stays[place]);
                assert_eq!(holding.frees_older, giving_up(0..place));
            }
            // `nix-env --delete-generations +N`: from the current one downwards; newer ones stay.
            let count = profile.generations.len();
            let first = match profile.current.and_then(|n| profile.generation(n)) {
                Some(current) => (current.id.number / 2) as usize + 1,
                None => count,
            };
            for keep in 1..=count + 1 {
                assert_eq!(held.keeping(keep), giving_up(0..first.saturating_sub(keep)), "keep {keep}");
            }
            assert_eq!(held.keeping(0), held.keeping(1));
        }
    }
}
