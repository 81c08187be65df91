//! Random models: references without cycles, derivers and outputs with any, roots, profiles,
//! hard links, entries that cannot be read and entries that are gone.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::{Just, Strategy, any},
    prop_compose, prop_oneof,
};
use snowguard_host::{
    LeftOverKind,
    provenance::Regret,
    store::{FileSystem, Keep},
};

use super::{Auto, Entry, Generation, Left, NOW, Names, Profile, Shared, World};
use crate::gc::policy::Space;

/// Positions are taken modulo the number of paths, whatever that turns out to be.
type Position = usize;

/// A host that is full to the last byte and inode.
pub(crate) fn world() -> impl Strategy<Value = World> {
    let entries = vec(entry(), 1..20);
    let profiles = (profile(), profile(), 0..3_usize);
    let systems = vec(option::weighted(0.4, any::<Position>()), 4);
    let links = (
        vec(any::<Position>(), 0..4),
        btree_map(0..9_u8, space(), 0..3),
    );
    let keep = any::<(bool, bool)>();
    let beside = (vec(left(), 0..5), vec(auto(), 0..4));
    (
        entries,
        profiles,
        systems,
        links,
        vec(shared(), 0..4),
        keep,
        beside,
    )
        .prop_map(
            |(
                seeds,
                (system, user, count),
                systems,
                (roots, strays),
                shared,
                keep,
                (left, autos),
            )| {
                let name = |position: Position| name(position % seeds.len());
                let system_at = |which: usize| systems[which].map(name);
                let mut profiles = vec![system.named("system", name), user.named("user", name)];
                profiles.truncate(count);
                let mut world = World {
                    keep: Keep {
                        outputs: keep.0,
                        derivations: keep.1,
                    },
                    entries: seeds
                        .iter()
                        .enumerate()
                        .map(|(at, seed)| (self::name(at), seed.entry(at)))
                        .collect(),
                    strays: strays
                        .into_iter()
                        .map(|(at, own)| (stray(at), own))
                        .collect(),
                    shared: shared.into_iter().map(|seed| seed.file(name)).collect(),
                    roots: roots.into_iter().map(name).collect(),
                    hidden: Names::new(),
                    profiles,
                    left: (left.into_iter().enumerate())
                        .map(|(at, left)| (format!("left-{at}"), left))
                        .collect(),
                    begun: Names::new(),
                    autos: (autos.into_iter().enumerate())
                        .map(|(at, (to, made, is_generation))| {
                            let auto = Auto {
                                target: name(to),
                                made,
                                is_generation,
                            };
                            (format!("auto{at}"), auto)
                        })
                        .collect(),
                    booted: system_at(0),
                    running: system_at(1),
                    boot_default: system_at(2),
                    good: system_at(3).into_iter().collect(),
                    recent: (seeds.iter().enumerate())
                        .filter(|(_, seed)| seed.recent && seed.on_disk)
                        .map(|(at, _)| self::name(at))
                        .collect(),
                    regrets: (seeds.iter().enumerate())
                        .filter_map(|(at, seed)| Some((self::name(at), seed.regret?)))
                        .collect(),
                    disk: FileSystem {
                        size_bytes: 1 << 30,
                        avail_bytes: 0,
                        files: 1000,
                        files_free: 0,
                    },
                };
                for (at, seed) in seeds.iter().enumerate() {
                    let deriver = seed
                        .deriver
                        .map(|to| to % seeds.len())
                        .filter(|to| *to != at);
                    if let Some(deriver) = deriver.map(self::name) {
                        let outputs = &mut world.entries.get_mut(&deriver).unwrap().outputs;
                        outputs.insert(self::name(at));
                        world.entries.get_mut(&self::name(at)).unwrap().deriver = Some(deriver);
                    }
                    if let Some(other) = seed.output.map(name) {
                        world
                            .entries
                            .get_mut(&self::name(at))
                            .unwrap()
                            .outputs
                            .insert(other);
                    }
                }
                world
            },
        )
}

/// The base name of the path at a position.
pub(crate) fn name(at: usize) -> String {
    format!("{at:0>32}-path")
}

/// The last ones are no names that Nix could be asked to delete.
fn stray(at: u8) -> String {
    match at {
        0..7 => format!("{at:z>32}-stray"),
        _ => format!("stray-{at}"),
    }
}

#[derive(Debug, Clone)]
struct EntrySeed {
    references: Vec<Position>,
    itself: bool,
    deriver: Option<Position>,
    output: Option<Position>,
    own: Space,
    on_disk: bool,
    readable: bool,
    recent: bool,
    regret: Option<Regret>,
}

fn regret() -> impl Strategy<Value = Option<Regret>> {
    prop_oneof![
        Just(None),
        Just(Some(Regret::Download)),
        Just(Some(Regret::Fetch)),
        option::of(0..2000_u64).prop_map(|seconds| Some(Regret::Build { seconds })),
    ]
}

prop_compose! {
    fn entry()(
        references in vec(any::<Position>(), 0..3),
        itself in any::<bool>(),
        deriver in option::weighted(0.3, any::<Position>()),
        output in option::weighted(0.1, any::<Position>()),
        own in space(),
        gone in 0..20_u8,
        unreadable in 0..20_u8,
        recent in 0..10_u8,
        regret in regret(),
    ) -> EntrySeed {
        let (on_disk, readable, recent) = (gone < 19, unreadable < 19, recent == 9);
        EntrySeed { references, itself, deriver, output, own, on_disk, readable, recent, regret }
    }
}

impl EntrySeed {
    fn entry(&self, at: usize) -> Entry {
        let earlier = self
            .references
            .iter()
            .filter(|_| at > 0)
            .map(|to| to % at.max(1));
        let mut references: Names = earlier.map(name).collect();
        if self.itself {
            references.insert(name(at));
        }
        Entry {
            references,
            deriver: None,
            outputs: Names::new(),
            own: self.own,
            on_disk: self.on_disk,
            readable: self.readable || !self.on_disk,
        }
    }
}

fn space() -> impl Strategy<Value = Space> {
    (0..50_u64, 1..9_u64).prop_map(|(blocks, files)| Space {
        bytes: blocks * super::BLOCK,
        files,
    })
}

fn left() -> impl Strategy<Value = Left> {
    let kind = prop_oneof![Just(LeftOverKind::BuildDirectory), Just(LeftOverKind::Log)];
    (kind, space(), 0..30_i64).prop_map(|(kind, own, ago)| Left {
        kind,
        own,
        changed: NOW - ago,
    })
}

/// What it keeps, when its two links were made, and whether it is a generation.
fn auto() -> impl Strategy<Value = (Position, (i64, i64), bool)> {
    let ago = (0..30_i64, 0..30_i64);
    (any::<Position>(), ago, 0..5_u8)
        .prop_map(|(at, (a, b), kind)| (at, (NOW - a, NOW - b), kind == 0))
}

#[derive(Debug, Clone)]
struct SharedSeed {
    holders: Vec<Position>,
    blocks: u64,
    optimised: bool,
    outside: bool,
}

prop_compose! {
    fn shared()(
        holders in vec(any::<Position>(), 1..4),
        blocks in 1..9_u64,
        optimised in any::<bool>(),
        outside in 0..8_u8,
    ) -> SharedSeed {
        SharedSeed { holders, blocks, optimised, outside: outside == 7 }
    }
}

impl SharedSeed {
    fn file(self, name: impl Fn(Position) -> String) -> Shared {
        Shared {
            holders: self.holders.into_iter().map(name).collect(),
            blocks: self.blocks,
            optimised: self.optimised,
            outside: self.outside,
        }
    }
}

#[derive(Debug, Clone)]
struct ProfileSeed {
    generations: Vec<(u64, Position, i64)>,
    current: Option<usize>,
}

prop_compose! {
    fn profile()(
        generations in vec((1..4_u64, any::<Position>(), 0..20_i64), 0..9),
        current in option::weighted(0.8, any::<usize>()),
    ) -> ProfileSeed {
        ProfileSeed { generations, current }
    }
}

impl ProfileSeed {
    /// Numbers ascend with gaps; ages are any, as after a restore from a backup.
    fn named(self, profile: &str, name: impl Fn(Position) -> String) -> Profile {
        let mut number = 0;
        let mut generations = Vec::new();
        let mut seen = BTreeSet::new();
        for (step, target, created) in self.generations {
            number += step;
            seen.insert(number);
            generations.push(Generation {
                number,
                target: name(target),
                created: 1_700_000_000 + created,
            });
        }
        let current = self.current.filter(|_| !seen.is_empty());
        Profile {
            name: profile.to_owned(),
            current: current.and_then(|at| seen.iter().nth(at % seen.len().max(1)).copied()),
            generations,
        }
    }
}

/// A base name made of a word.
pub(crate) fn named(word: &str) -> String {
    format!("{word:0>32}-path")
}

/// A full disk of 1000 blocks with an empty store.
pub(crate) fn empty() -> World {
    World {
        keep: Keep::default(),
        entries: BTreeMap::new(),
        strays: BTreeMap::new(),
        shared: Vec::new(),
        roots: Names::new(),
        hidden: Names::new(),
        profiles: Vec::new(),
        left: BTreeMap::new(),
        begun: Names::new(),
        autos: BTreeMap::new(),
        booted: None,
        running: None,
        boot_default: None,
        good: Names::new(),
        recent: Names::new(),
        regrets: BTreeMap::new(),
        disk: FileSystem {
            size_bytes: 1000 * super::BLOCK,
            avail_bytes: 0,
            files: 1000,
            files_free: 1000,
        },
    }
}

impl World {
    /// A path of so many blocks and one inode that nothing keeps.
    pub(crate) fn add(&mut self, word: &str, blocks: u64) {
        let entry = Entry {
            own: Space {
                bytes: blocks * super::BLOCK,
                files: 1,
            },
            on_disk: true,
            readable: true,
            ..Entry::default()
        };
        self.entries.insert(named(word), entry);
    }

    /// Something of so many blocks and one inode that a build left an hour ago.
    pub(crate) fn leave(&mut self, name: &str, kind: LeftOverKind, blocks: u64) {
        let left = Left {
            kind,
            own: Space {
                bytes: blocks * super::BLOCK,
                files: 1,
            },
            changed: NOW - 3600,
        };
        self.left.insert(name.to_owned(), left);
    }

    /// An automatic root that has been the same for an hour, with a path of its own.
    pub(crate) fn add_auto(&mut self, word: &str, blocks: u64) {
        self.add(word, blocks);
        let auto = Auto {
            target: named(word),
            made: (NOW - 3600, NOW - 7200),
            is_generation: false,
        };
        self.autos.insert(word.to_owned(), auto);
    }

    /// A generation with a path of its own, made at second `number`.
    pub(crate) fn add_generation(&mut self, profile: &str, number: u64, blocks: u64) {
        let word = format!("{profile}{number}");
        self.add(&word, blocks);
        if !self.profiles.iter().any(|other| other.name == profile) {
            self.profiles.push(Profile {
                name: profile.to_owned(),
                current: None,
                generations: Vec::new(),
            });
        }
        let profile = self
            .profiles
            .iter_mut()
            .find(|other| other.name == profile)
            .unwrap();
        profile.current = Some(number);
        profile.generations.push(Generation {
            number,
            target: named(&word),
            created: i64::try_from(number).unwrap(),
        });
    }
}
