//! What lies in the store directory, in the database or not.

use std::{ffi::OsString, fs, io, path::PathBuf};

use crate::{FactError, Layout, Result};

/// The names directly in the store directory, but for `.links`, which belongs to `--optimise`.
pub(super) fn names(layout: &Layout) -> Result<Vec<OsString>> {
    let directory = layout.store();
    let error = |source: &io::Error| {
        FactError::io(
            "list the store directory",
            PathBuf::from(&directory),
            source,
            "is this the root of a host that runs Nix? give another with --root",
        )
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).map_err(|source| error(&source))? {
        let name = entry.map_err(|source| error(&source))?.file_name();
        if name != ".links" {
            names.push(name);
        }
    }
    Ok(names)
}
