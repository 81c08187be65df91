//! The host as the rollback remedy is told of it.

use std::{fs, io, path::Path};

use snowguard_host::{BootDefault, FactError, Generation, Layout, Profiles, System, store::Graph};

use crate::{
    act::target_root::TargetRoot,
    clock,
    rollback::facts::{BootSeen, GenerationId, SystemSeen},
};

/// Reads the system's links.
pub(super) fn system(layout: &Layout) -> Result<SystemSeen, FactError> {
    let profiles = Profiles::read(layout)?;
    let system = System::read(layout, &profiles)?;
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let id = |generation: &Generation| GenerationId {
        number: generation.id.number,
        store_path: path(&generation.id.target),
        linked_at_ms: clock::millis(generation.id.created),
    };
    let profile = profiles.get("system");
    let root = TargetRoot::of(layout).link;
    let kept = match fs::read_link(&root) {
        Ok(target) => Some(path(&target)),
        Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound) => None,
        Err(cause) => {
            return Err(FactError::io(
                "read our GC root",
                root,
                &cause,
                "run as root",
            ));
        }
    };
    // Where it cannot be read, no reboot is done: see the machine.
    let boot_id = fs::read_to_string(layout.proc_dir().join("sys/kernel/random/boot_id"));
    Ok(SystemSeen {
        boot_id: boot_id.ok().map(|id| id.trim().to_owned()),
        kept,
        boot: match system.boot_default {
            Ok(BootDefault::System(link)) => BootSeen::System(path(&link.path)),
            Ok(BootDefault::Unknown) => BootSeen::Unknown,
            Err(error) => BootSeen::Unreadable(error.to_string()),
        },
        running: system.running.map(|link| path(&link.path)),
        booted: system.booted.map(|link| path(&link.path)),
        current: profile
            .and_then(snowguard_host::Profile::current_generation)
            .map(id),
        generations: profile
            .map(|profile| profile.generations.iter().map(id).collect())
            .unwrap_or_default(),
    })
}

/// Whether a store path is valid and lies on disk with all that it refers to.
pub(super) fn is_whole(layout: &Layout, store_path: &str) -> Result<bool, String> {
    let graph = Graph::read(layout).map_err(|error| error.to_string())?;
    let Some(name) = Path::new(store_path)
        .file_name()
        .and_then(|name| name.to_str())
    else {
        return Ok(false);
    };
    let Some(id) = graph.find(name) else {
        return Ok(false);
    };
    let mut closure = snowguard_host::store::PathSet::new(graph.len());
    let mut whole = Ok(true);
    let references = snowguard_host::store::Keep {
        outputs: false,
        derivations: false,
    };
    snowguard_host::store::extend(&graph, references, &mut closure, [id], |path| {
        let place = layout.store().join(graph.name(path));
        match place.symlink_metadata() {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if whole.is_ok() {
                    whole = Ok(false);
                }
            }
            Err(error) => whole = Err(format!("cannot look at {place:?}: {error}")),
        }
    });
    whole
}
