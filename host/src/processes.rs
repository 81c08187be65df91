//! Whether `/proc` shows every process of the host. What it hides seems not to exist, and nothing
//! that was asked for is refused: this has to be asked for by itself.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use crate::{FactError, Kind, Layout, Result};

/// The inode of the PID namespace that a kernel begins with (`PROC_PID_INIT_INO` of Linux).
const FIRST_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Fails if processes of the host may be hidden from this one.
///
/// # Errors
/// `Denied`, with `attempt`, if they are hidden; or if it cannot be found out.
pub(crate) fn all_are_visible(layout: &Layout, attempt: &str) -> Result<()> {
    let denied = |cause: &str, cure: &str| {
        FactError::new(Kind::Denied, attempt, layout.proc_dir(), cause, cure)
    };
    if !nix::unistd::geteuid().is_root() && hides_other_users(layout.proc_dir(), attempt)? {
        return Err(denied(
            "it hides the processes of other users",
            "mount it without hidepid, or let this unit have ProtectProc=default",
        ));
    }
    if is_of_another_namespace(layout, attempt)? {
        return Err(denied(
            "it shows a PID namespace, and not the processes of the host, which systemd runs",
            "let this unit have PrivatePIDs=no, or the container the PID namespace of the host",
        ));
    }
    Ok(())
}

/// `hidepid` (systemd: `ProtectProc=`) leaves other users' processes out of the listing. Root sees
/// them all the same.
fn hides_other_users(proc_dir: &Path, attempt: &str) -> Result<bool> {
    let path = proc_dir.join("self/mountinfo");
    let text = fs::read(&path).map_err(|e| FactError::io(attempt, &path, &e, "mount /proc"))?;
    Ok(String::from_utf8_lossy(&text).lines().any(|line| {
        line.split(' ').nth(4).map(Path::new) == Some(proc_dir)
            && line.rsplit(' ').next().is_some_and(|options| {
                options.split(',').any(|o| {
                    matches!(
                        o,
                        "hidepid=2" | "hidepid=invisible" | "hidepid=4" | "hidepid=ptraceable"
                    )
                })
            })
    }))
}

/// A namespace shows its own processes and, in `/proc/locks`, their locks. Where a container has a
/// store of its own, these are all that matter. So there must be a sign that the host has others:
/// systemd booted it (`sd_booted(3)`), and the first process seen is not systemd.
fn is_of_another_namespace(layout: &Layout, attempt: &str) -> Result<bool> {
    let proc_dir = layout.proc_dir();
    let namespace = fs::metadata(proc_dir.join("self/ns/pid"));
    if namespace.is_ok_and(|meta| meta.ino() == FIRST_NAMESPACE) {
        return Ok(false);
    }
    let booted = layout.inside("/run/systemd/system");
    if !(booted.try_exists()).map_err(|e| FactError::io(attempt, &booted, &e, "run as root"))? {
        return Ok(false);
    }
    let first = fs::read(proc_dir.join("1/comm")).unwrap_or_default();
    Ok(first.trim_ascii_end() != b"systemd")
}
