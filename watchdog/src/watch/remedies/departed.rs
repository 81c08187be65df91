//! Profiles that the configuration names no more. What was done for their rollback and would last
//! ends: the hold of the updater, and the root that keeps the target from the garbage collector.
//! What was found good or bad stays on disk, should the profile come back.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use snowguard_host::Layout;
use tracing::warn;

use super::{
    Counters, Counting, Remedies, load_machine,
    profiles::{FILE, Instance},
};
use crate::{
    act::hold_updater::Updaters,
    config::Settings,
    record::Mode,
    rollback::{
        machine::Machine,
        profile::{Named, Profile},
        run::{Hands, let_go},
        state::Updater,
    },
    watch::RUN_DIR,
};

/// The machines on disk of profiles that are not in the configuration.
pub(super) fn find(layout: &Layout, settings: &Settings) -> BTreeMap<String, Instance> {
    let mut all = BTreeMap::new();
    for directory in [settings.state_dir.as_path(), Path::new(RUN_DIR)] {
        // That there is none is said by whoever keeps something there.
        let entries = fs::read_dir(layout.inside(directory)).into_iter().flatten();
        for entry in entries.flatten() {
            let file = entry.file_name();
            let stem = file.to_str().and_then(|name| name.strip_suffix(".json"));
            let Some(name) = stem.and_then(|stem| stem.strip_prefix(FILE)) else {
                continue;
            };
            if settings.profiles.contains_key(name) || all.contains_key(name) {
                continue;
            }
            match load_machine(layout, settings, &format!("{FILE}{name}")) {
                Ok((machine, kept)) => {
                    all.insert(name.to_owned(), Instance { machine, kept });
                }
                Err(error) => {
                    warn!(profile = name, %error, "what was done for a profile that is not configured any more stands");
                }
            }
        }
    }
    all
}

impl Remedies {
    /// Ends what is owed of each; what fails is tried again at the next look.
    pub(super) fn let_departed_go(&mut self, now_ms: i64, counters: &mut Counters) {
        for (name, mut instance) in std::mem::take(&mut self.departed) {
            if !self.end_of(&name, &mut instance, now_ms, counters) {
                self.departed.insert(name, instance);
            }
        }
    }

    fn end_of(
        &self,
        name: &str,
        instance: &mut Instance,
        now_ms: i64,
        counters: &mut Counters,
    ) -> bool {
        let nobody = Profile {
            profile: PathBuf::new(),
            activate: Vec::new(),
            mode: Some(Mode::Off),
            updaters: Updaters {
                units: Vec::new(),
                ..Updaters::default()
            },
        };
        let mut verbs = self.profile_verbs(name, &nobody);
        if matches!(instance.machine.updater(), Updater::Free {}) && !verbs.root.link.is_symlink() {
            return true;
        }
        let unrooted = verbs.root.run(None);
        if let Err(error) = &unrooted {
            warn!(profile = name, %error, "the target of a profile that is not configured any more is still kept");
        }
        let kept = &mut instance.kept;
        let mut persist = |machine: &Machine| kept.save(machine).map_err(|error| error.to_string());
        let mut journal = self.journal.clone();
        let mut counting = Counting {
            counters,
            inner: &mut journal,
        };
        let mut hands = Hands {
            verbs: &mut verbs,
            persist: &mut persist,
            recorder: &mut Named {
                profile: name,
                inner: &mut counting,
            },
        };
        let machine = std::mem::take(&mut instance.machine);
        instance.machine = let_go(machine, &self.settings.rollback, now_ms, &mut hands);
        unrooted.is_ok() && matches!(instance.machine.updater(), Updater::Free {})
    }
}
