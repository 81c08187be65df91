//! The programs that remedies need, looked for before the first tick and not when the disk is full.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use snowguard_host::{Layout, store::FileSystem};

use super::{RUN_DIR, WatchError};
use crate::{
    act::{
        ballast::Ballast,
        boot_menu::BootMenu,
        delete_paths::{DEADLINE, DeletePaths},
        hold_updater::{HoldUpdater, Manager},
        reboot::Reboot,
        remove_generation::RemoveGeneration,
        stop::Stop,
        switch::{Switch, Systemd, Way},
    },
    config::Settings,
    gc::{host::RealHost, old_menu::OldMenuKept, run::Progress},
    probe::Means,
    record::Mode,
    rollback::fleet_lock,
    text::bytes,
};

/// How long to wait for Nix to let go of a profile.
pub(super) const PROFILE_LOCK: Duration = Duration::from_secs(30);
const SWITCH_DEADLINE: Duration = Duration::from_secs(600);
/// There where systemd runs the host; units of this boot go into it.
const RUNNING_SYSTEMD: &str = "/run/systemd/system";
/// At most so small a part of a disk is kept as ballast.
const BALLAST_SHARE: u64 = 5;

/// How a switch is started on this host.
fn way(layout: &Layout) -> Way {
    if !layout.is_live() {
        let root = layout.root().to_owned();
        return Way::Chroot {
            program: first_of(&[
                "/usr/sbin/chroot",
                "/run/current-system/sw/bin/chroot",
                "/usr/bin/chroot",
            ]),
            root,
        };
    }
    // As `sd_booted(3)` tells it.
    if Path::new(RUNNING_SYSTEMD).is_dir() {
        return Way::Systemd(Systemd {
            systemd_run: first_of(&[
                "/run/current-system/sw/bin/systemd-run",
                "/usr/bin/systemd-run",
            ]),
            systemctl: systemctl(),
        });
    }
    Way::Child
}

/// The program that asks systemd.
pub(super) fn systemctl() -> PathBuf {
    first_of(&["/run/current-system/sw/bin/systemctl", "/usr/bin/systemctl"])
}

/// What probes need. The routes are those of the watchdog's own network namespace.
pub(super) fn probe_means(layout: &Layout) -> Means {
    Means {
        systemctl: systemctl(),
        net: layout.proc_dir().join("net"),
        authorities: authorities(),
    }
}

/// Where distributions keep the certificates of those whom a host trusts. NixOS has the first two.
pub(crate) fn authorities() -> Vec<PathBuf> {
    [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/ssl/certs/ca-bundle.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/nix/var/nix/profiles/default/etc/ssl/certs/ca-bundle.crt",
    ]
    .map(PathBuf::from)
    .to_vec()
}

fn first_of(candidates: &[&str]) -> PathBuf {
    let found = candidates.iter().find(|path| Path::new(path).exists());
    PathBuf::from(found.or(candidates.last()).copied().unwrap_or_default())
}

/// What a remedy in mode `act` needs is looked for before the first tick, not when the disk is
/// full.
pub(super) fn able_to_act(layout: &Layout, settings: &Settings) -> Result<(), WatchError> {
    let found = nix_store(settings);
    if settings.gc.mode == Mode::Act && found.is_none() {
        return Err(WatchError::CannotAct(
            "there is no nix-store; name its directory as `watchdog.nix_bin`".to_owned(),
        ));
    }
    let modes = settings
        .profiles
        .values()
        .filter_map(|profile| profile.mode);
    let acts = [settings.gc.mode, settings.rollback.mode]
        .into_iter()
        .chain(modes)
        .any(|mode| mode == Mode::Act);
    if acts && !nix::unistd::geteuid().is_root() {
        return Err(WatchError::CannotAct(
            "only root can: run it as root".to_owned(),
        ));
    }
    // Two hosts of one id would hold one place and act at once.
    if settings.rollback.mode == Mode::Act
        && settings
            .fleet_lock
            .as_ref()
            .is_some_and(|lock| lock.id.is_empty())
        && fs::read_to_string(layout.inside("/etc/machine-id"))
            .ok()
            .and_then(|id| fleet_lock::id_of(&id))
            .is_none()
    {
        return Err(WatchError::CannotAct(
            "there is no /etc/machine-id to tell this host from others by: name it as \
             `rollback.fleet_lock.id`"
                .to_owned(),
        ));
    }
    fits(layout, settings).map_err(WatchError::CannotAct)
}

/// What only the host can tell of the limits: bytes against its disks.
///
/// # Errors
/// Which limit cannot be kept here, and what would be right.
pub fn fits(layout: &Layout, settings: &Settings) -> Result<(), String> {
    let gc = &settings.gc;
    if let Ok(file_system) = FileSystem::read(layout)
        && gc.mode != Mode::Off
    {
        let trigger = gc.trigger_on(&file_system).bytes;
        let target = gc.target_on(&file_system).bytes;
        if trigger >= target {
            return Err(format!(
                "`gc.trigger` is {} on this host's store and `gc.target` {}; the trigger must be \
                 below the target",
                bytes(trigger),
                bytes(target)
            ));
        }
    }
    if let Ok(state) = FileSystem::of_state(layout)
        && gc.mode == Mode::Act
    {
        // Beyond that the reserve is itself what fills the disk.
        let most = state.size_bytes / BALLAST_SHARE;
        if gc.ballast.0 > most {
            return Err(format!(
                "`gc.ballast` is {}, and the file system of {:?} bears {} at most (a \
                 {BALLAST_SHARE}th of it): make it smaller, or \"0B\" for none",
                bytes(gc.ballast.0),
                layout.state(),
                bytes(most)
            ));
        }
    }
    Ok(())
}

/// The program `nix-store`, if there is one.
fn nix_store(settings: &Settings) -> Option<PathBuf> {
    let in_dir = |dir: &Path| dir.join("nix-store");
    match &settings.nix_bin {
        Some(dir) => Some(in_dir(dir)).filter(|program| program.exists()),
        None => [
            "/run/current-system/sw/bin",
            "/nix/var/nix/profiles/default/bin",
            "/usr/local/bin",
            "/usr/bin",
        ]
        .iter()
        .map(|dir| in_dir(Path::new(dir)))
        .find(|program| program.exists()),
    }
}

/// A host as a collection acts on it. `good` are store paths of systems that are known good;
/// `stop` ends the collection between two paths.
pub fn collected_host(
    layout: &Layout,
    settings: &Settings,
    good: Vec<PathBuf>,
    stop: Stop,
) -> RealHost {
    let nix_store = nix_store(settings).unwrap_or_else(|| PathBuf::from("/usr/bin/nix-store"));
    let begun = Instant::now();
    let mut delete = DeletePaths::new(layout, nix_store, DEADLINE, stop);
    delete.ends = begun.checked_add(settings.gc.deadline);
    RealHost {
        layout: layout.clone(),
        good,
        delete,
        generations: RemoveGeneration {
            lock_deadline: PROFILE_LOCK,
        },
        boot_menu: BootMenu {
            layout: layout.clone(),
            // A menu cut in half would be worse than a late end.
            switch: switch(layout, Stop::new()),
        },
        old_menu: OldMenuKept::at(&layout.inside(&settings.state_dir), &layout.inside(RUN_DIR)),
        ballast: Ballast::of(layout, settings.gc.ballast.0),
        begun,
        progress: Progress::default(),
        watcher: Box::new(|_| {}),
    }
}

/// The verb that holds the updater of a host.
pub(super) fn hold_updater(layout: &Layout, settings: &Settings) -> HoldUpdater {
    HoldUpdater {
        updaters: settings.updaters.clone(),
        layout: layout.clone(),
        state_dir: settings.state_dir.clone(),
        run_dir: PathBuf::from(RUN_DIR),
        profile: None,
        systemd: match way(layout) {
            Way::Systemd(systemd) => Some(Manager {
                systemctl: systemd.systemctl,
                units: PathBuf::from(RUNNING_SYSTEMD),
            }),
            Way::Child | Way::Chroot { .. } => None,
        },
    }
}

/// The verb that reboots a host.
pub(super) fn reboot(layout: &Layout) -> Reboot {
    Reboot {
        systemctl: match way(layout) {
            Way::Systemd(systemd) => Some(systemd.systemctl),
            Way::Child | Way::Chroot { .. } => None,
        },
        unsaved: layout.inside(RUN_DIR).join("rollback.json"),
    }
}

/// The verb that switches systems of a host; `stop` ends the wait for a switch.
pub(super) fn switch(layout: &Layout, stop: Stop) -> Switch {
    Switch {
        way: way(layout),
        deadline: SWITCH_DEADLINE,
        log: Some(layout.inside(RUN_DIR).join("switch.log")),
        stop,
    }
}
