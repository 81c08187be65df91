//! What lies in the store directory, in the database or not.

use std::{ffi::OsStr, fs, io, os::unix::ffi::OsStrExt, path::PathBuf};

use crate::{FactError, Layout, Result};

/// Many names in one allocation.
#[derive(Debug, Default)]
pub(super) struct Entries {
    text: Vec<u8>,
    /// No file system takes a name of more than 255 bytes.
    lengths: Vec<u8>,
}

impl Entries {
    /// The names directly in the store directory, but for `.links`, which belongs to `--optimise`.
    pub(super) fn read(layout: &Layout) -> Result<Self> {
        let directory = layout.store();
        let error = |source: &io::Error| {
            FactError::io(
                "list the store directory",
                PathBuf::from(&directory),
                source,
                "is this the root of a host that runs Nix? give another with --root",
            )
        };
        let mut entries = Self::default();
        for entry in fs::read_dir(&directory).map_err(|source| error(&source))? {
            let name = entry.map_err(|source| error(&source))?.file_name();
            if name != ".links" {
                entries.text.extend_from_slice(name.as_bytes());
                entries.lengths.push(
                    u8::try_from(name.len())
                        .map_err(|_| error(&io::Error::other("a name of more than 255 bytes")))?,
                );
            }
        }
        Ok(entries)
    }

    /// The names, as they came.
    pub(super) fn names(&self) -> impl Iterator<Item = &OsStr> {
        let mut start = 0;
        self.lengths.iter().map(move |length| {
            let name = &self.text[start..start + usize::from(*length)];
            start += name.len();
            OsStr::from_bytes(name)
        })
    }
}
