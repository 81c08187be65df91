//! How full the pool of build users is, and which builds run and wait.
//!
//! A build holds the lock of its build user from before its builder starts until its outputs are
//! registered (`SimpleUserLock` and `AutoUserLock` in `libstore/unix/user-lock.cc`). The lock
//! files stay for ever, so only a lock that is held counts.

mod builds;
mod pool;
mod processes;

use std::{path::PathBuf, time::SystemTime};

use crate::{FactError, Layout, Locks, NixConf, Result};

pub use builds::{ActiveBuild, Builds};

/// A build user that a build has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The build user, or the first user id of the slot.
    pub uid: u32,
    /// The process of Nix that took it: a worker of the daemon, or a command of root.
    pub pid: u32,
}

/// The pool of build users at one moment.
#[derive(Debug)]
pub struct BuildUsers {
    /// How many builds can run at once: members of the build group, or slots of user ids. Zero if
    /// this Nix builds without build users.
    pub users: usize,
    /// The build users that are taken.
    pub holders: Vec<Holder>,
    /// The builds by name. Only root may see them.
    pub builds: Result<Builds>,
    /// When the oldest process of a build user that is taken was started; `None` if there is none.
    pub oldest_start: Result<Option<SystemTime>>,
}

impl BuildUsers {
    /// Reads the pool from the host's users and groups, and who is taken from `locks`.
    ///
    /// # Errors
    /// If there is no state directory, the build group does not exist or has no members, or a
    /// lock file may not be looked at.
    pub fn read(layout: &Layout, conf: &NixConf, locks: &Locks) -> Result<Self> {
        let state = layout.state();
        std::fs::read_dir(&state).map_err(|e| {
            let cure = "is this the root of a host with Nix? see --root";
            FactError::io("find the build users' locks", &state, &e, cure)
        })?;
        let slots = pool::read(layout, conf)?;
        let mut holders = Vec::new();
        let mut taken = Vec::new();
        for slot in &slots {
            if let Some(pid) = locks.holder(&slot.lock)? {
                let uid = slot.uids.start;
                holders.push(Holder { uid, pid });
                taken.push(slot.uids.clone());
            }
        }
        Ok(Self {
            users: slots.len(),
            builds: builds::read(layout, conf, locks, &holders),
            oldest_start: processes::oldest_start(layout, &taken),
            holders,
        })
    }

    /// How many build users are taken.
    pub fn busy(&self) -> usize {
        self.holders.len()
    }
}

/// The user ids of each place of the pool, and the file whose lock says that it is taken.
pub(crate) fn slots(
    layout: &Layout,
    conf: &NixConf,
) -> Result<Vec<(std::ops::Range<u32>, PathBuf)>> {
    let slots = pool::read(layout, conf)?;
    Ok((slots.into_iter())
        .map(|slot| (slot.uids, slot.lock))
        .collect())
}

/// One place of the pool.
#[derive(Debug, PartialEq, Eq)]
struct Slot {
    /// The user ids that a build in this place runs as.
    uids: std::ops::Range<u32>,
    /// The file whose lock says that the place is taken.
    lock: PathBuf,
}

#[cfg(test)]
mod tests;
