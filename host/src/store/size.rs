//! How large the store's database and its write-ahead log are.

use std::{fs, io, path::Path};

use crate::{FactError, Layout, Result};

const ATTEMPT: &str = "measure the store database";

/// Sizes of the files of the store's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseSize {
    /// `db.sqlite` in bytes.
    pub database_bytes: u64,
    /// `db.sqlite-wal` in bytes; 0 if there is none, as before Nix 2.23 while nobody has the
    /// store open, and with `use-sqlite-wal = false`.
    pub wal_bytes: u64,
}

impl DatabaseSize {
    /// Asks for the sizes alone; nothing is opened.
    ///
    /// # Errors
    /// If there is no database, or one of the two may not be looked at.
    pub fn read(layout: &Layout) -> Result<Self> {
        let database = layout.database();
        let mut wal = database.as_os_str().to_owned();
        wal.push("-wal");
        let database_bytes = size(&database)?.ok_or_else(|| {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            let cure = "is this the root of a host that runs Nix? give another with --root";
            FactError::io(ATTEMPT, &database, &missing, cure)
        })?;
        Ok(Self {
            database_bytes,
            wal_bytes: size(Path::new(&wal))?.unwrap_or(0),
        })
    }
}

fn size(path: &Path) -> Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(meta.len())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => {
            let cure = "let this user search the state directory, or run as root";
            Err(FactError::io(ATTEMPT, path, &e, cure))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn host(files: &[(&str, usize)]) -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let db = layout.state().join("db");
        fs::create_dir_all(&db).unwrap();
        for (name, size) in files {
            fs::write(db.join(name), vec![0; *size]).unwrap();
        }
        (dir, layout)
    }

    #[test]
    fn a_log_that_is_not_there_holds_nothing() {
        let (_dir, layout) = host(&[("db.sqlite", 8192)]);
        let size = DatabaseSize::read(&layout).unwrap();
        assert_eq!((size.database_bytes, size.wal_bytes), (8192, 0));
        let (_dir, layout) = host(&[("db.sqlite", 4096), ("db.sqlite-wal", 321)]);
        let size = DatabaseSize::read(&layout).unwrap();
        assert_eq!((size.database_bytes, size.wal_bytes), (4096, 321));
    }

    #[test]
    fn a_database_that_is_not_there_is_no_database_of_zero_bytes() {
        let (_dir, layout) = host(&[("db.sqlite-wal", 321)]);
        let error = DatabaseSize::read(&layout).unwrap_err();
        assert_eq!(error.kind, Kind::Missing);
        assert!(error.to_string().contains("db.sqlite"), "{error}");
    }
}
