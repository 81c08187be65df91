//! The model as facts, without a disk: what [`super::files`] would have been read as, a thousand
//! times faster.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsString,
    path::PathBuf,
};

use snowguard_host::{
    Generation, GenerationId, Profile, Profiles,
    provenance::Regrets,
    store::{Analysis, Footprint, Given, Graph, PathId, Root, RootKind, Roots, SharedFile, mark},
};

use super::{BLOCK, FakeScales, NOW, Names, World, at};
use crate::gc::facts::{Facts, Protected};

impl World {
    /// What a reader of the host would find, and what its scales would show.
    pub(crate) fn facts(&self) -> (Facts, FakeScales) {
        let graph = self.graph();
        let find = |name: &String| graph.find(name);
        let profiles = self.profiles_read();
        let mut roots = Roots::default();
        let root = |roots: &mut Roots, path: Option<PathId>, link: PathBuf, kind| {
            roots.found.extend(path.map(|path| Root {
                path,
                link,
                kind,
                via: None,
                made: None,
            }));
        };
        for name in &self.roots {
            let link = PathBuf::from("/nix/var/nix/gcroots").join(name);
            root(&mut roots, find(name), link, RootKind::Permanent);
        }
        for (what, system) in [("booted", &self.booted), ("current", &self.running)] {
            let link = PathBuf::from(format!("/run/{what}-system"));
            root(
                &mut roots,
                system.as_ref().and_then(find),
                link,
                RootKind::Permanent,
            );
        }
        for (name, auto) in &self.autos {
            if let Some(path) = graph.find(&auto.target) {
                roots.found.push(Root {
                    path,
                    link: PathBuf::from("/outside").join(auto.link(name)),
                    kind: RootKind::Indirect,
                    via: Some(PathBuf::from("/nix/var/nix/gcroots/auto").join(name)),
                    made: Some(at(auto.made.1)),
                });
            }
        }
        for generation in profiles.iter().flat_map(|profile| &profile.generations) {
            let target = generation.id.target.file_name().unwrap().to_str().unwrap();
            root(
                &mut roots,
                graph.find(target),
                generation.link.clone(),
                RootKind::Profile,
            );
        }
        let alive = mark(&graph, self.keep, roots.paths());
        let is_dead = |name: &String| graph.find(name).is_some_and(|id| !alive.contains(id));
        let mut regrets = Regrets::default();
        for id in graph.ids() {
            let regret = self.regrets.get(graph.name(id)).copied();
            regrets = regrets.with(
                id,
                regret.unwrap_or(snowguard_host::provenance::Regret::Fetch),
            );
        }
        let dead = (graph.ids())
            .filter(|id| !alive.contains(*id))
            .filter(|id| self.is_listed(graph.name(*id), is_dead))
            .collect();
        let facts = Facts {
            file_system: self.disk,
            profiles: Profiles {
                profiles,
                unreadable: Vec::new(),
            },
            protected: (self.protected().iter())
                .map(|name| Protected {
                    store_path: store_path(name),
                    what: "protected",
                })
                .collect(),
            regrets,
            now: at(NOW),
            optimised: (1..)
                .zip(&self.shared)
                .filter(|(_, file)| file.optimised)
                .map(|(inode, _)| inode)
                .collect::<HashSet<u64>>(),
            collector: None,
            boot_menu_stays: None,
            named_by_menu: Vec::new(),
            analysis: Analysis {
                dead,
                strays: self.strays.keys().map(OsString::from).collect(),
                keep: self.keep,
                roots,
                alive,
                graph,
            },
        };
        (facts, self.scales())
    }

    /// Whether Nix lists a dead path: it is there, or keeps a dead one that is.
    fn is_listed(&self, name: &str, is_dead: impl Fn(&String) -> bool) -> bool {
        let mut keeps = Names::from([name.to_owned()]);
        if !self.is_there(name) {
            self.spread(&mut keeps);
        }
        keeps
            .iter()
            .any(|kept| self.is_there(kept) && is_dead(kept))
    }

    fn graph(&self) -> Graph {
        let positions: BTreeMap<&String, usize> = self.entries.keys().zip(0..).collect();
        let place = |name: &String| positions.get(name).copied();
        let given: Vec<Given> = (self.entries.iter())
            .map(|(name, entry)| Given {
                name: name.clone(),
                references: entry.references.iter().filter_map(place).collect(),
                outputs: entry.outputs.iter().filter_map(place).collect(),
                deriver: entry.deriver.as_ref().and_then(place),
            })
            .collect();
        Graph::given(&given).unwrap()
    }

    fn profiles_read(&self) -> Vec<Profile> {
        let read = |profile: &super::Profile| {
            let path = format!("/nix/var/nix/profiles/{}", profile.name);
            let generation = |generation: &super::Generation| Generation {
                id: GenerationId {
                    number: generation.number,
                    target: store_path(&generation.target),
                    created: at(generation.created),
                },
                link: PathBuf::from(format!("{path}-{}-link", generation.number)),
                valid: self.entries.contains_key(&generation.target),
            };
            Profile {
                name: PathBuf::from(&profile.name),
                link: PathBuf::from(&path),
                current: profile.current,
                generations: profile.generations.iter().map(generation).collect(),
            }
        };
        self.profiles.iter().map(read).collect()
    }

    fn scales(&self) -> FakeScales {
        let there = self.entries.iter().filter(|(_, entry)| entry.on_disk);
        let entries = there.map(|(name, entry)| (name, entry.own, entry.readable));
        let strays = self.strays.iter().map(|(name, own)| (name, *own, true));
        let mut weights = BTreeMap::new();
        for (name, own, readable) in entries.chain(strays) {
            let mut footprint = Footprint {
                own_bytes: own.bytes,
                own_files: own.files,
                shared: Vec::new(),
            };
            for (inode, file) in (1..).zip(&self.shared) {
                if !file.holders.contains(name) {
                    continue;
                }
                let holders = file
                    .holders
                    .iter()
                    .filter(|name| self.is_there(name))
                    .count();
                let links = holders + usize::from(file.optimised) + usize::from(file.outside);
                let bytes = file.blocks * BLOCK;
                if links == 1 {
                    footprint.own_bytes += bytes;
                    footprint.own_files += 1;
                } else {
                    let links = u64::try_from(links).unwrap();
                    footprint.shared.push(SharedFile::new(inode, links, bytes));
                }
            }
            weights.insert(OsString::from(name), readable.then_some(footprint));
        }
        let recent = self.recent.iter();
        FakeScales {
            weights,
            arrived: recent
                .map(|name| (OsString::from(name), NOW - 10))
                .collect(),
            left: self.left_overs(),
            made: self.made(),
        }
    }
}

fn store_path(name: &str) -> PathBuf {
    PathBuf::from(format!("/nix/store/{name}"))
}
