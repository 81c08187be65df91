//! Size of the store's database and of its write-ahead log.

use snowguard_host::store::DatabaseSize;

use super::{CollectError, Collector, Context, Name};
use crate::sample::{Family, count};

/// Stateless.
#[derive(Debug)]
pub(super) struct Database;

impl Collector for Database {
    fn name(&self) -> &'static str {
        Name::Database.as_str()
    }

    fn families(&self) -> &'static [&'static str] {
        &["nix_store_database_bytes", "nix_store_wal_bytes"]
    }

    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        let size = DatabaseSize::read(cx.layout())?;
        Ok(vec![
            Family::gauge(
                "nix_store_database_bytes",
                "Size of the store's database in bytes (db.sqlite)",
                count(size.database_bytes),
            ),
            Family::gauge(
                "nix_store_wal_bytes",
                "Size of the write-ahead log of the store's database in bytes (db.sqlite-wal); it grows while somebody reads for long",
                count(size.wal_bytes),
            ),
        ])
    }
}
