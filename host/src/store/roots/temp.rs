//! Roots of work in flight: `temproots/PID`, held locked by the process that wrote it
//! (`findTempRoots`): exclusively, or, up to Nix 2.4, shared once it was written (`addTempRoot`). A file that nobody holds is left over; Nix removes it, this passes over it.

use std::{fs, io};

use super::{RootKind, Roots};
use crate::{FactError, Layout, Locks, Result, store::Graph, store::graph::base_name};

const ATTEMPT: &str = "read the temporary roots";
const CURE: &str = "run as root; until then nothing is deleted";

pub(super) fn read(layout: &Layout, graph: &Graph, locks: &Locks, roots: &mut Roots) -> Result<()> {
    let directory = layout.state().join("temproots");
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        // Made by the first process that needs one.
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            roots
                .unreadable
                .push(FactError::io(ATTEMPT, directory, &source, CURE));
            return Ok(());
        }
    };
    for entry in entries {
        let path = entry
            .map_err(|source| FactError::io(ATTEMPT, &directory, &source, CURE))?
            .path();
        match locks.is_locked(&path) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                roots.unreadable.push(error);
                continue;
            }
        }
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(source) if source.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => {
                roots
                    .unreadable
                    .push(FactError::io(ATTEMPT, path, &source, CURE));
                continue;
            }
        };
        // An entry that is still being written has no NUL yet; its writer waits for the
        // collector before it relies on it.
        for entry in text
            .split(|byte| *byte == 0)
            .filter(|entry| !entry.is_empty())
        {
            let Some(name) = std::str::from_utf8(entry).ok().and_then(base_name) else {
                continue;
            };
            if let Some(hash) = name.get(..32) {
                roots.temporary_hashes.insert(hash.to_owned());
            }
            if let Some(id) = graph.find(name) {
                roots.add(id, &path, RootKind::Temporary);
            }
        }
    }
    Ok(())
}
