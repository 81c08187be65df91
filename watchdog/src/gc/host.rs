//! The host that a collection works on, through the verbs of [`crate::act`].

use std::{
    ffi::OsString,
    fs::File,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use snowguard_host::{Collector, FactError, Layout, LeftOver, LeftOverKind, store::FileSystem};

use super::{
    facts::{Facts, Scales},
    ladder::{StaleRoot, Victim},
    old_menu::{OldMenu, OldMenuKept},
    run::{Host, Progress},
};
use crate::{
    act::{
        ballast::Ballast,
        boot_menu::BootMenu,
        delete_paths::{self, DeletePaths, Deleted},
        drop_reserve::DropReserve,
        remove_build_directory::RemoveBuildDirectory,
        remove_build_log::RemoveBuildLog,
        remove_generation::RemoveGeneration,
        remove_root::RemoveRoot,
    },
    clock,
    keep::KeepError,
};

/// How often a pause looks whether the end is asked for.
const LOOK: Duration = Duration::from_millis(100);

/// One host, and how it is acted on.
pub struct RealHost {
    /// Where it is.
    pub layout: Layout,
    /// Systems that are known good, by store path.
    pub good: Vec<PathBuf>,
    /// Deletes paths.
    pub delete: DeletePaths,
    /// Gives generations up.
    pub generations: RemoveGeneration,
    /// Writes the boot menu.
    pub boot_menu: BootMenu,
    /// What it may name, on disk.
    pub old_menu: OldMenuKept,
    /// The reserve.
    pub ballast: Ballast,
    /// When the collection began.
    pub begun: Instant,
    /// How far it is.
    pub progress: Progress,
    /// Who is told of it, for each path.
    pub watcher: Box<dyn FnMut(Progress) + Send>,
}

impl Host for RealHost {
    fn facts(&mut self) -> Result<Facts, FactError> {
        Facts::read(&self.layout, &self.good, clock::now())
    }

    fn scales(&self) -> &dyn Scales {
        &self.layout
    }

    fn file_system(&mut self) -> Result<FileSystem, FactError> {
        FileSystem::read(&self.layout)
    }

    fn state_file_system(&mut self) -> Result<FileSystem, FactError> {
        FileSystem::of_state(&self.layout)
    }

    fn delete(&mut self, entries: &[OsString]) -> Result<Deleted, FactError> {
        let (watcher, mut progress) = (&mut self.watcher, self.progress);
        self.delete.run(entries, &mut || {
            progress.deleted_paths += 1;
            watcher(progress);
        })
    }

    fn room_for_names(&self) -> usize {
        delete_paths::room_for_names()
    }

    fn settle(&mut self) {
        // If it cannot be asked, the next look is as good as this one was.
        if let Ok(store) = File::open(self.layout.store()) {
            let _ = nix::unistd::syncfs(&store);
        }
    }

    fn remove_left_over(&mut self, left: &LeftOver) -> Result<(), FactError> {
        let layout = self.layout.clone();
        match left.kind {
            LeftOverKind::BuildDirectory => RemoveBuildDirectory { layout }.run(left),
            LeftOverKind::Log => RemoveBuildLog { layout }.run(left),
        }
    }

    fn remove_root(&mut self, root: &StaleRoot) -> Result<(), FactError> {
        RemoveRoot.run(root)
    }

    fn remove_generation(&mut self, victim: &Victim) -> Result<(), FactError> {
        self.generations.run(victim)
    }

    fn rewrite_boot_menu(&mut self, incident: &str) -> Result<Option<String>, FactError> {
        self.boot_menu.run(incident)
    }

    fn old_menu(&mut self) -> Result<OldMenu, KeepError> {
        self.old_menu.load()
    }

    fn keep_old_menu(&mut self, menu: &OldMenu) -> Result<(), KeepError> {
        self.old_menu.save(menu)
    }

    fn drop_ballast(&mut self) -> Result<bool, FactError> {
        self.ballast.drop_slice()
    }

    fn drop_reserve(&mut self) -> Result<bool, FactError> {
        let layout = self.layout.clone();
        DropReserve { layout }.run()
    }

    fn other_collector(&mut self) -> Result<Option<String>, FactError> {
        Ok(Collector::find(&self.layout)?.map(|other| other.to_string()))
    }

    fn database_writer(&mut self) -> Result<Option<String>, FactError> {
        let writer = snowguard_host::database_writer(&self.layout)?;
        Ok(writer.map(|pid| format!("process {pid} holds the store database for writing")))
    }

    fn pause(&mut self, span: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < span && !self.is_asked_to_stop() {
            thread::sleep(LOOK.min(span));
        }
    }

    fn is_asked_to_stop(&self) -> bool {
        self.delete.stop.is_asked()
    }

    fn report(&mut self, progress: Progress) {
        self.progress = progress;
        (self.watcher)(progress);
    }

    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn now_ms(&self) -> i64 {
        clock::now_ms()
    }
}
