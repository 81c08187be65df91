//! Which paths of a graph are still valid: their ids alone are read, from the smallest index that
//! has them all.

use rusqlite::Connection;

use super::{
    Graph,
    decode::registrations,
    paths::{Paths, Positions},
};
use crate::store::{
    bitset::PathSet,
    pages::{Pages, Result, btree, odd, record, schema::Schema},
};

/// Who of those that were there is there.
#[derive(Debug, Clone)]
pub(in crate::store) enum Census {
    /// All of them.
    All,
    /// These, which are not all.
    Some(PathSet),
}

impl Graph {
    /// Out of the pages. How many paths there are tells that none was deleted.
    pub(in crate::store) fn census(&self, pages: &Pages) -> Result<Census> {
        let schema = Schema::read(pages)?;
        let root = schema.automatic_index("ValidPaths", "path text unique not null")?;
        // If all that came since is still there, the numbers tell. If not, the ids do. What the
        // newest path has for an id does not count: newer ones may have been deleted before.
        let added = registrations(pages, &schema)?.checked_sub(self.registrations);
        let added = added.and_then(|added| usize::try_from(added).ok());
        if added.is_some_and(|added| btree::count(pages, root) == Ok(self.len() + added)) {
            return Ok(Census::All);
        }
        let mut survivors = Survivors::of(&self.paths);
        btree::index(pages, root, |entry| {
            let [id] = record::columns(entry, [1])?;
            match id.integer()? {
                Some(id) => survivors.add(id),
                None => return odd("a path without an id"),
            }
            Ok(())
        })?;
        Ok(survivors.census()?)
    }

    /// Through SQLite; `added` paths came since.
    pub(super) fn census_by_sqlite(
        &self,
        db: &Connection,
        added: usize,
    ) -> rusqlite::Result<std::result::Result<Census, String>> {
        let count: i64 = db.query_row("SELECT count(*) FROM ValidPaths", [], |row| row.get(0))?;
        if usize::try_from(count) == Ok(self.len() + added) {
            return Ok(Ok(Census::All));
        }
        let mut survivors = Survivors::of(&self.paths);
        let mut query = db.prepare("SELECT id FROM ValidPaths")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            survivors.add(row.get(0)?);
        }
        Ok(survivors.census())
    }
}

fn last(paths: &Paths) -> usize {
    paths.rowids().last().map_or(0, |last| *last as usize)
}

struct Survivors<'a> {
    positions: Positions<'a>,
    last: i64,
    count: usize,
    kept: PathSet,
    found: usize,
    is_strange: bool,
}

impl<'a> Survivors<'a> {
    fn of(paths: &'a Paths) -> Self {
        Self {
            positions: Positions::of(paths.rowids()),
            last: i64::try_from(last(paths)).unwrap_or(i64::MAX),
            count: paths.len(),
            kept: PathSet::new(paths.len()),
            found: 0,
            is_strange: false,
        }
    }

    /// A row; one that came after the graph was read is none of its.
    fn add(&mut self, id: i64) {
        if id > self.last {
            return;
        }
        let known = u32::try_from(id)
            .ok()
            .and_then(|id| self.positions.find(id));
        match known {
            Some(path) if self.kept.insert(path) => self.found += 1,
            _ => self.is_strange = true,
        }
    }

    fn census(self) -> std::result::Result<Census, String> {
        if self.is_strange {
            return Err("a row that was not there before has an id that was given away".to_owned());
        }
        Ok(if self.found == self.count {
            Census::All
        } else {
            Census::Some(self.kept)
        })
    }
}
