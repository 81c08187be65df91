//! Which build users there are.

use std::fs;

use super::Slot;
use crate::{FactError, Kind, Layout, NixConf, Result, UidRange};

const ATTEMPT: &str = "list the build users";

/// The places of the pool: members of the build group as `getgrnam` lists them, or the slots of
/// `auto-allocate-uids`.
pub(super) fn read(layout: &Layout, conf: &NixConf) -> Result<Vec<Slot>> {
    match (conf.auto_allocate_uids, &conf.build_users_group) {
        (Some(range), _) => Ok(slots(layout, range)),
        (None, Some(group)) => members(layout, group),
        (None, None) => Ok(Vec::new()),
    }
}

fn slots(layout: &Layout, range: UidRange) -> Vec<Slot> {
    let pool = layout.state().join("userpool2");
    (0..range.count / UidRange::SLOT)
        .map(|i| {
            let start = range.start.saturating_add(i.saturating_mul(UidRange::SLOT));
            Slot {
                uids: start..start.saturating_add(UidRange::SLOT),
                lock: pool.join(format!("slot-{i}")),
            }
        })
        .collect()
}

fn members(layout: &Layout, group: &str) -> Result<Vec<Slot>> {
    let groups = Accounts::read(layout, "/etc/group")?;
    let fields = groups.of(group).ok_or_else(|| {
        let cause = format!("there is no group {group:?}");
        let cure = "create the build group with its users, or name it with build-users-group in \
                    nix.conf (set to nothing for a store without build users)";
        FactError::new(Kind::Missing, ATTEMPT, &groups.path, cause, cure)
    })?;
    let names: Vec<&str> = fields
        .get(3)
        .copied()
        .unwrap_or_default()
        .split(',')
        .collect();
    let users = Accounts::read(layout, "/etc/passwd")?;
    let mut slots: Vec<Slot> = Vec::new();
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        let uid = users
            .of(name)
            .and_then(|fields| fields.get(2)?.parse::<u32>().ok());
        let uid = uid.ok_or_else(|| {
            let cause = format!("there is no user {name:?}, who is a member of {group:?}");
            let cure = "create the user, or remove it from the group";
            FactError::new(Kind::Missing, ATTEMPT, &users.path, cause, cure)
        })?;
        let slot = Slot {
            uids: uid..uid.saturating_add(1),
            lock: layout.state().join("userpool").join(uid.to_string()),
        };
        if !slots.contains(&slot) {
            slots.push(slot);
        }
    }
    if slots.is_empty() {
        let cause = format!("the group {group:?} has no members");
        let cure = "add build users to it; without them Nix builds nothing as root";
        return Err(FactError::malformed(ATTEMPT, groups.path, cause, cure));
    }
    Ok(slots)
}

/// `/etc/group` or `/etc/passwd`: fields with colons between them, the name first.
struct Accounts {
    path: std::path::PathBuf,
    text: String,
}

impl Accounts {
    fn read(layout: &Layout, file: &str) -> Result<Self> {
        let path = layout.inside(file);
        match fs::read(&path) {
            Ok(bytes) => Ok(Self {
                path,
                text: String::from_utf8_lossy(&bytes).into_owned(),
            }),
            Err(e) => Err(FactError::io(ATTEMPT, path, &e, "make it readable to all")),
        }
    }

    fn of(&self, name: &str) -> Option<Vec<&str>> {
        let mut lines = self
            .text
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        lines.find(|fields| fields.first() == Some(&name))
    }
}
