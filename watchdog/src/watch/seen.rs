//! The host as the rollback remedy is told of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use snowguard_host::{
    BootDefault, FactError, Generation, Layout, Locks, Profile, Profiles, System, store::Graph,
};

use crate::{
    act::{hold_updater::SWITCH_LOCK, target_root::TargetRoot},
    clock,
    rollback::facts::{BootSeen, GenerationId, SystemSeen},
};

/// Reads the system's links.
pub(super) fn system(layout: &Layout) -> Result<SystemSeen, FactError> {
    let profiles = Profiles::read(layout)?;
    let system = System::read(layout, &profiles)?;
    let profile = profiles.get("system");
    let kept = kept(&TargetRoot::of(layout).link)?;
    let running = system.running.as_ref().map(|link| link.path.as_path());
    let boots_it = match &system.boot_default {
        Ok(BootDefault::System(link)) => Some(link.path.as_path()) == running,
        _ => false,
    };
    let (wraps, led_since_ms) = running.map_or((false, None), |running| leads_to(layout, running));
    Ok(SystemSeen {
        boot_id: boot_id(layout),
        kept,
        boot: match system.boot_default {
            Ok(BootDefault::System(link)) => BootSeen::System(text(&link.path)),
            Ok(BootDefault::Unknown) => BootSeen::Unknown,
            Err(error) => BootSeen::Unreadable(error.to_string()),
        },
        lasts: boots_it || led_since_ms.is_some(),
        wraps,
        led_since_ms,
        switching: switches(layout),
        running: system.running.map(|link| text(&link.path)),
        booted: system.booted.map(|link| text(&link.path)),
        current: profile.and_then(Profile::current_generation).map(id),
        generations: profile
            .map(|profile| profile.generations.iter().map(id).collect())
            .unwrap_or_default(),
    })
}

/// Whether a profile of systems leads to this one, though no generation of `system` is it, and since
/// when: another one (`nixos-rebuild --profile-name`, comin), or a wrapper in `system` (deploy-rs),
/// whose `init` is that of the system, or one of whose specialisations it is
/// (`nixos-rebuild switch --specialisation`). Of the last two it is told apart.
fn leads_to(layout: &Layout, running: &Path) -> (bool, Option<i64>) {
    let system = layout.profiles().join("system");
    let mut profiles = vec![system.clone()];
    // That there are no others is the rule.
    if let Ok(others) = fs::read_dir(layout.profiles().join("system-profiles")) {
        profiles.extend(others.flatten().map(|entry| entry.path()));
    }
    let mut wraps = false;
    let mut since = None;
    for profile in profiles {
        let Some((link, current)) = current_of(&profile) else {
            continue;
        };
        let init = fs::read_link(layout.inside(current.join("init"))).ok();
        let wrapped = init.as_deref().and_then(Path::parent) == Some(running)
            || specialises(&layout.inside(&current), running);
        if current != running && !wrapped {
            continue;
        }
        wraps |= wrapped && profile == system;
        let made = link.symlink_metadata().and_then(|meta| meta.modified());
        since = since.max(made.ok().map(clock::millis));
    }
    (wraps, since)
}

/// Whether a system has this one among its specialisations.
fn specialises(system: &Path, running: &Path) -> bool {
    let all = fs::read_dir(system.join("specialisation"));
    let mut links = all.into_iter().flatten().flatten();
    links.any(|link| fs::read_link(link.path()).is_ok_and(|target| target == running))
}

/// The link of the current generation of a profile, and where it leads.
fn current_of(profile: &Path) -> Option<(PathBuf, PathBuf)> {
    let link = profile.parent()?.join(fs::read_link(profile).ok()?);
    let current = fs::read_link(&link).ok()?;
    Some((link, current))
}

/// Whether the lock of `switch-to-configuration` is held. Where that cannot be read nothing says so,
/// and the switch that goes back asks for the lock itself.
fn switches(layout: &Layout) -> bool {
    let held = Locks::read(layout).and_then(|locks| locks.is_held(&layout.inside(SWITCH_LOCK)));
    held.unwrap_or(false)
}

/// Reads the links of a profile that is no system: what it points to is what runs.
pub(super) fn profile(
    layout: &Layout,
    profile: &Path,
    root: &Path,
) -> Result<SystemSeen, FactError> {
    let found = Profile::read(layout, profile)?;
    let current = found.current_generation().map(id);
    Ok(SystemSeen {
        running: current.as_ref().map(|current| current.store_path.clone()),
        current,
        generations: found.generations.iter().map(id).collect(),
        kept: kept(root)?,
        boot_id: boot_id(layout),
        ..SystemSeen::default()
    })
}

/// What tells this boot from others. Where it cannot be read, no reboot is done: see the machine.
fn boot_id(layout: &Layout) -> Option<String> {
    let id = fs::read_to_string(layout.proc_dir().join("sys/kernel/random/boot_id"));
    id.ok().map(|id| id.trim().to_owned())
}

/// What our own GC root keeps.
fn kept(root: &Path) -> Result<Option<String>, FactError> {
    match fs::read_link(root) {
        Ok(target) => Ok(Some(text(&target))),
        Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound) => Ok(None),
        Err(cause) => Err(FactError::io(
            "read our GC root",
            root,
            &cause,
            "run as root",
        )),
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn id(generation: &Generation) -> GenerationId {
    GenerationId {
        number: generation.id.number,
        store_path: text(&generation.id.target),
        linked_at_ms: clock::millis(generation.id.created),
    }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_specialisation_that_runs_lasts_as_long_as_its_system_is_what_the_profile_points_to() {
        let root = tempfile::tempdir().expect("temporary directory");
        let layout = Layout::new(root.path());
        let base = root.path().join("nix/store/a-base/specialisation");
        fs::create_dir_all(&base).expect("a system");
        fs::create_dir_all(layout.profiles()).expect("profiles");
        symlink("/nix/store/b-gpu", base.join("gpu")).expect("a specialisation");
        let link = layout.profiles().join("system-7-link");
        symlink("/nix/store/a-base", link).expect("a generation");
        symlink("system-7-link", layout.profiles().join("system")).expect("a profile");
        let (wraps, since) = leads_to(&layout, Path::new("/nix/store/b-gpu"));
        assert!(wraps && since.is_some());
        let (wraps, since) = leads_to(&layout, Path::new("/nix/store/c-tested"));
        assert_eq!((wraps, since), (false, None));
    }
}
