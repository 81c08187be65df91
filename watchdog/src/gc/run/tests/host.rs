//! A host that is a model: Nix judges each deletion, faults come at given calls, and whatever
//! must not be asked of it is a panic.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::PathBuf,
    time::Duration,
};

use snowguard_host::{FactError, Kind, LeftOver, LeftOverKind, store::FileSystem};

use crate::{
    act::delete_paths::Deleted,
    gc::{
        facts::{Facts, Scales},
        ladder::{StaleRoot, Victim},
        model::{FakeScales, Names, World},
        old_menu::OldMenu,
        policy::{HARD_FULL, Policy, Space},
        run::{Host, Progress},
    },
    keep::KeepError,
    record::Mode,
};

/// What goes wrong at one call.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The call fails and does nothing.
    Fails,
    /// What is deleted frees nothing: a snapshot holds it.
    FreesNothing,
    /// A generation stays; anything else works.
    Unremovable,
    /// Somebody else collects, for so many looks.
    Others(usize),
    /// Somebody writes to the database, for so many looks.
    Locked(usize),
    /// The end is asked for.
    Stop,
    /// Somebody else takes so many bytes and inodes.
    Fills(Space),
    /// A path is taken into use, and only Nix knows.
    Hidden(usize),
    /// A build begins to use what another one left.
    Begun(usize),
    /// A path gets a root.
    Rooted(usize),
    /// The deadline passes.
    Late,
    /// `/boot` is full from now on.
    BootFull,
    /// Nix holds a profile from now on: the system's, or another one's.
    Held(bool),
    /// The watchdog is killed.
    Killed,
}

/// What a kill unwinds with.
pub(crate) struct Killed;

/// More calls than any collection on a small host has reason for.
const CALLS: usize = 3000;

pub(crate) struct FakeHost {
    pub(crate) world: World,
    pub(crate) policy: Policy,
    pub(crate) faults: BTreeMap<usize, Fault>,
    pub(crate) ballast: Space,
    /// Calls that change something, in order.
    pub(crate) acts: Vec<&'static str>,
    /// What deletions have freed.
    pub(crate) freed: Space,
    /// Left-overs that could not be removed.
    pub(crate) refused: usize,
    calls: usize,
    late: bool,
    pub(crate) slices: usize,
    others: usize,
    locked: usize,
    waited: Duration,
    stopped: bool,
    /// Systems whose generations are gone and that the boot menu names still.
    pub(crate) menu: Names,
    /// What is kept on disk of that.
    pub(crate) kept: OldMenu,
    boot_full: bool,
    /// As it was when the host was read last.
    seen_boot_full: bool,
    /// Profiles that Nix holds, and those of them that were waited for.
    pub(crate) held: Names,
    waited_for: Names,
    /// Links of generations and roots that were given up.
    pub(crate) given_up: Vec<PathBuf>,
    /// So many further calls of Nix fail, whatever is to be deleted.
    pub(crate) failing: usize,
    /// After more of these than so many Nix is not asked again.
    pub(crate) refusals: usize,
    /// The disk of the database, if that is another one.
    pub(crate) state_disk: Option<FileSystem>,
    /// Bytes of the reserve of Nix.
    pub(crate) reserve: u64,
    /// Nix does nothing while less is free.
    pub(crate) needs: Space,
    /// Bytes of names that one call takes.
    pub(crate) room_for_names: usize,
    /// Entries of each call that deletes.
    pub(crate) batches: Vec<usize>,
    /// What Nix fails at whenever it is given it.
    pub(crate) fails_at: Names,
    pub(crate) progress: Progress,
    scales: Option<FakeScales>,
    seen_alive: Names,
}

impl FakeHost {
    pub(crate) fn new(world: World, policy: Policy) -> Self {
        Self {
            world,
            policy,
            faults: BTreeMap::new(),
            ballast: Space {
                bytes: 16 << 20,
                files: 32,
            },
            acts: Vec::new(),
            freed: Space::NONE,
            refused: 0,
            calls: 0,
            late: false,
            slices: 4,
            others: 0,
            locked: 0,
            waited: Duration::ZERO,
            stopped: false,
            menu: Names::new(),
            kept: OldMenu::default(),
            boot_full: false,
            seen_boot_full: false,
            held: Names::new(),
            waited_for: Names::new(),
            given_up: Vec::new(),
            failing: 0,
            refusals: usize::MAX,
            state_disk: None,
            reserve: 0,
            needs: Space::NONE,
            room_for_names: 1 << 20,
            batches: Vec::new(),
            fails_at: Names::new(),
            progress: Progress::default(),
            scales: None,
            seen_alive: Names::new(),
        }
    }

    /// A watchdog begins on the same host.
    pub(crate) fn begin_again(&mut self, policy: Policy, faults: BTreeMap<usize, Fault>) {
        let world = self.world.clone();
        *self = Self {
            ballast: Space {
                bytes: 4096,
                files: 1,
            },
            faults,
            menu: std::mem::take(&mut self.menu),
            kept: std::mem::take(&mut self.kept),
            ..Self::new(world, policy)
        };
    }

    /// Counts the call and returns what goes wrong in it.
    fn call(&mut self) -> Option<Fault> {
        self.calls += 1;
        assert!(self.calls < CALLS, "it does not end");
        let fault = self.faults.remove(&self.calls)?;
        let at = |position: usize| {
            let names: Vec<&String> = self.world.entries.keys().collect();
            names
                .get(position % names.len().max(1))
                .map(|name| (*name).clone())
        };
        match fault {
            Fault::Fails | Fault::FreesNothing | Fault::Unremovable => return Some(fault),
            Fault::Fills(space) => {
                let disk = &mut self.world.disk;
                disk.avail_bytes = disk.avail_bytes.saturating_sub(space.bytes);
                disk.files_free = disk.files_free.saturating_sub(space.files);
            }
            Fault::Hidden(position) => {
                let name = at(position);
                self.world.hidden.extend(name);
            }
            Fault::Begun(position) => {
                let names: Vec<&String> = self.world.left.keys().collect();
                let name = names.get(position % names.len().max(1));
                let name = name.map(|name| (*name).clone());
                self.world.begun.extend(name);
            }
            Fault::Rooted(position) => {
                let name = at(position);
                self.world.roots.extend(name);
            }
            Fault::Late => self.late = true,
            Fault::Others(looks) => self.others += looks,
            Fault::Locked(looks) => self.locked += looks,
            Fault::Stop => self.stopped = true,
            Fault::BootFull => self.boot_full = true,
            Fault::Held(system) => {
                let name = if system { "system" } else { "user" };
                self.held.insert(name.to_owned());
            }
            // No message: nothing is wrong.
            Fault::Killed => std::panic::resume_unwind(Box::new(Killed)),
        }
        None
    }

    /// Nothing dear is given up where no more is missing.
    fn is_no_crumb(&self) {
        assert!(!self.policy.is_reached(&self.world.disk), "for a crumb");
    }

    fn act(&mut self, verb: &'static str) {
        assert_eq!(self.policy.mode, Mode::Act, "{verb}");
        self.acts.push(verb);
    }
}

fn error(attempt: &str) -> FactError {
    FactError::malformed(attempt, "/", "a fault", "")
}

impl Host for FakeHost {
    fn facts(&mut self) -> Result<Facts, FactError> {
        if let Some(Fault::Fails) = self.call() {
            return Err(error("read"));
        }
        self.seen_alive = self.world.alive_without(&BTreeSet::new());
        let (mut facts, scales) = self.world.facts();
        self.scales = Some(scales);
        self.seen_boot_full = self.boot_full;
        facts.boot_menu_stays = self.boot_full.then(|| "/boot is full".to_owned());
        Ok(facts)
    }

    fn scales(&self) -> &dyn Scales {
        self.scales.as_ref().unwrap()
    }

    fn file_system(&mut self) -> Result<FileSystem, FactError> {
        // A fault that changes the host comes with another call: this one only looks.
        if let Some(Fault::Fails) = self.faults.get(&(self.calls + 1)) {
            self.call();
            return Err(error("statvfs"));
        }
        Ok(self.world.disk)
    }

    fn state_file_system(&mut self) -> Result<FileSystem, FactError> {
        Ok(self.state_disk.unwrap_or(self.world.disk))
    }

    fn delete(&mut self, entries: &[OsString]) -> Result<Deleted, FactError> {
        assert!(!self.late, "a deletion after the deadline");
        assert!(!self.stopped, "a deletion after the end was asked for");
        assert!(!entries.is_empty());
        self.act("delete");
        let bytes: usize = entries.iter().map(|name| name.len()).sum();
        assert!(bytes <= self.room_for_names || entries.len() == 1);
        self.batches.push(entries.len());
        let names: Names = entries
            .iter()
            .map(|n| n.to_str().unwrap().to_owned())
            .collect();
        let wrong: Vec<&String> = names.intersection(&self.seen_alive).collect();
        assert!(wrong.is_empty(), "alive when the host was read: {wrong:?}");
        let fault = self.call();
        let is_immutable = !names.is_disjoint(&self.fails_at);
        let is_down = self.failing > 0 || !Space::free(&self.world.disk).covers(self.needs);
        self.failing = self.failing.saturating_sub(1);
        if matches!(fault, Some(Fault::Fails)) || is_down || is_immutable {
            return Err(error("delete"));
        }
        // Nix goes through them by name, takes all that keeps one along, and stops at the first
        // that is alive (`collectGarbage`, gcDeleteSpecific). The verb asks again without it.
        let alive = self.world.alive_to_nix();
        let mut deleted = Deleted::default();
        for name in &names {
            if alive.contains(name) {
                deleted.refused.push(name.into());
                continue;
            }
            if deleted.refused.len() > self.refusals {
                let there =
                    self.world.entries.contains_key(name) || self.world.strays.contains_key(name);
                deleted.left += usize::from(there);
                continue;
            }
            let mut closure = Names::from([name.clone()]);
            while let more = closure
                .iter()
                .flat_map(|n| self.world.keepers(n))
                .collect::<Names>()
                && !more.is_subset(&closure)
            {
                closure.extend(more);
            }
            let named: Vec<String> = self
                .world
                .with_kept(&self.menu)
                .intersection(&closure)
                .cloned()
                .collect();
            assert!(
                named.is_empty(),
                "the menu names what is deleted: {named:?}"
            );
            let before = self.world.disk;
            self.world.delete(&closure);
            if let Some(Fault::FreesNothing) = fault {
                self.world.disk = before;
            }
            self.freed = self
                .freed
                .plus(Space::free(&self.world.disk).minus(Space::free(&before)));
        }
        Ok(deleted)
    }

    fn room_for_names(&self) -> usize {
        self.room_for_names
    }

    fn settle(&mut self) {}

    fn remove_left_over(&mut self, left: &LeftOver) -> Result<(), FactError> {
        assert!(!self.late, "a removal after the deadline");
        assert!(!self.stopped, "a removal after the end was asked for");
        let verb = match left.kind {
            LeftOverKind::BuildDirectory => "remove_build_directory",
            LeftOverKind::Log => "remove_build_log",
        };
        self.act(verb);
        self.is_no_crumb();
        let name = left.path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(self.world.is_removable(&name, &self.policy), "{name} stays");
        let fault = self.call();
        if matches!(fault, Some(Fault::Fails)) || self.world.begun.contains(&name) {
            self.refused += 1;
            return Err(error("remove what a build has begun to use"));
        }
        self.given_up.push(left.path.clone());
        let own = self.world.left.remove(&name).unwrap().own;
        if !matches!(fault, Some(Fault::FreesNothing)) {
            let before = self.world.disk;
            self.world.free(own);
            let freed = Space::free(&self.world.disk).minus(Space::free(&before));
            self.freed = self.freed.plus(freed);
        }
        Ok(())
    }

    fn remove_root(&mut self, root: &StaleRoot) -> Result<(), FactError> {
        assert!(!self.late, "a root given up after the deadline");
        self.act("remove_root");
        self.is_no_crumb();
        let name = root.auto.file_name().unwrap().to_str().unwrap().to_owned();
        let removable = self.world.removable_autos(&self.policy);
        assert!(removable.contains(&name), "{name} must stay");
        if let Some(Fault::Fails | Fault::Unremovable) = self.call() {
            return Err(error("give up a root"));
        }
        self.world.autos.remove(&name);
        self.given_up.push(root.auto.clone());
        Ok(())
    }

    fn remove_generation(&mut self, victim: &Victim) -> Result<(), FactError> {
        assert!(!self.late, "a generation given up after the deadline");
        self.act("remove_generation");
        self.is_no_crumb();
        let handle = (
            victim.profile.to_str().unwrap().to_owned(),
            victim.id.number,
        );
        let removable = self.world.removable(&self.policy);
        assert!(removable.contains(&handle), "{handle:?} must stay");
        if handle.0 == "system" {
            assert!(
                !self.seen_boot_full,
                "the menu cannot be written without it"
            );
            let is_kept = self.kept.named.contains(&victim.id.target);
            assert!(is_kept, "a kill now, and nobody would know of the menu");
        }
        if self.held.contains(&handle.0) {
            assert!(self.waited_for.insert(handle.0), "waited for twice");
            let cause = "it was held";
            return Err(FactError::new(Kind::Busy, "lock", "/", cause, ""));
        }
        if let Some(Fault::Fails | Fault::Unremovable) = self.call() {
            return Err(error("give up"));
        }
        let profile = self
            .world
            .profiles
            .iter_mut()
            .find(|p| p.name == handle.0)
            .unwrap();
        profile
            .generations
            .retain(|generation| generation.number != handle.1);
        if handle.0 == "system" {
            let name = victim.id.target.file_name().unwrap();
            self.menu.insert(name.to_str().unwrap().to_owned());
        }
        self.given_up.push(victim.link.clone());
        Ok(())
    }

    fn rewrite_boot_menu(&mut self, _: &str) -> Result<Option<String>, FactError> {
        self.act("rewrite_boot_menu");
        if let Some(Fault::Fails) = self.call() {
            return Err(error("write the boot menu"));
        }
        if self.boot_full {
            return Err(error("write to a full /boot"));
        }
        self.menu.clear();
        Ok(Some("written".to_owned()))
    }

    fn old_menu(&mut self) -> Result<OldMenu, KeepError> {
        Ok(self.kept.clone())
    }

    fn keep_old_menu(&mut self, menu: &OldMenu) -> Result<(), KeepError> {
        assert_eq!(self.policy.mode, Mode::Act);
        if let Some(Fault::Fails) = self.call() {
            let (path, cause) = (PathBuf::from("/"), "a fault".to_owned());
            return Err(KeepError::Malformed { path, cause });
        }
        self.kept = menu.clone();
        Ok(())
    }

    fn drop_ballast(&mut self) -> Result<bool, FactError> {
        let disk = self.world.disk;
        let inodes_short = disk.files > 0 && disk.files_free < HARD_FULL.files;
        assert!(
            disk.avail_bytes < HARD_FULL.bytes || inodes_short,
            "not hard full"
        );
        if self.slices == 0 {
            return Ok(false);
        }
        self.act("drop_ballast");
        if let Some(Fault::Fails) = self.call() {
            return Err(error("drop"));
        }
        self.slices -= 1;
        self.world.disk.avail_bytes += self.ballast.bytes / 4;
        self.world.disk.files_free += self.ballast.files / 4 * u64::from(disk.files > 0);
        Ok(true)
    }

    fn drop_reserve(&mut self) -> Result<bool, FactError> {
        assert_eq!(self.slices, 0, "the ballast goes first");
        if self.reserve == 0 {
            return Ok(false);
        }
        self.act("drop_reserve");
        self.world.disk.avail_bytes += std::mem::take(&mut self.reserve);
        Ok(true)
    }

    fn other_collector(&mut self) -> Result<Option<String>, FactError> {
        if let Some(Fault::Fails) = self.call() {
            return Err(error("see who collects"));
        }
        let there = self.others > 0;
        self.others = self.others.saturating_sub(1);
        Ok(there.then(|| "somebody".to_owned()))
    }

    fn database_writer(&mut self) -> Result<Option<String>, FactError> {
        let there = self.locked > 0;
        self.locked = self.locked.saturating_sub(1);
        Ok(there.then(|| "a writer".to_owned()))
    }

    fn pause(&mut self, span: Duration) {
        self.waited += span;
        assert!(
            self.waited <= self.policy.wait.max(self.policy.deadline) + span,
            "no end"
        );
    }

    fn is_asked_to_stop(&self) -> bool {
        self.stopped
    }

    fn report(&mut self, progress: Progress) {
        assert!(progress.deleted_paths >= self.progress.deleted_paths);
        self.progress = progress;
    }

    fn elapsed(&self) -> Duration {
        if self.late {
            self.policy.deadline
        } else {
            self.waited
        }
    }

    fn now_ms(&self) -> i64 {
        0
    }
}
