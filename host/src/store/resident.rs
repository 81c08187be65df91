//! The graph between two looks at a store: a refresh costs by what was added, and where something
//! was deleted by a look at the ids.
//!
//! Rows of valid paths are written once, and ids are handed out in order and never again
//! (`AUTOINCREMENT` in `schema.sql`). So what came is what lies beyond the last id; and if the valid
//! paths became more by fewer than there were ids handed out, something was deleted: the ids that
//! are left say what. What changes a row that stays (a repair writes another size, a path that is
//! registered a second time may get a reference) is not seen by that: [`Resident::HEALED_AFTER`].

use std::time::{Duration, SystemTime};

use super::{
    Graph, Snapshot,
    graph::{Census, Changes, Grown},
    snapshot::Files,
};
use crate::{Layout, Result};

/// A graph that is kept, and what the database's files were when it was read.
#[derive(Debug)]
pub struct Resident {
    graph: Graph,
    seen: Seen,
}

/// What a kept graph is the state of.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// None if they were being written, or could not be looked at: they are read again.
    files: Option<Files>,
    read_at: SystemTime,
}

/// What a refresh had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// Nothing: the files are as they were.
    Unchanged,
    /// To read what was added, and to drop what was deleted: so many paths.
    Changed {
        /// Paths that are new.
        added: usize,
        /// Paths that are gone.
        deleted: usize,
    },
    /// To read everything.
    Anew,
}

impl Resident {
    /// After this time the graph is read anew, whatever the files look like.
    pub const HEALED_AFTER: Duration = Duration::from_secs(300);

    /// Reads the graph for the first time.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn read(layout: &Layout, now: SystemTime) -> Result<Self> {
        // Before the graph: what is written while it is read is then seen as a change.
        let files = Files::now(layout).filter(Files::rest);
        let read_at = now;
        Ok(Self {
            graph: Graph::read(layout)?,
            seen: Seen { files, read_at },
        })
    }

    /// A graph that is kept from now on.
    pub fn keep(graph: Graph, seen: Seen) -> Self {
        Self { graph, seen }
    }

    /// The graph as of the last look.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The graph as of the last look, taken out; [`Resident::keep`] puts it back.
    pub fn take(self) -> (Graph, Seen) {
        (self.graph, self.seen)
    }

    /// Brings the graph up to date.
    ///
    /// # Errors
    /// If the database cannot be read: there is then no graph any more.
    pub fn refresh(mut self, layout: &Layout, now: SystemTime) -> Result<(Self, Refreshed)> {
        // A clock that was set back is no reason to wait.
        let age = now.duration_since(self.seen.read_at);
        if !age.is_ok_and(|age| age < Self::HEALED_AFTER) {
            return Ok((Self::read(layout, now)?, Refreshed::Anew));
        }
        let files = Files::now(layout).filter(Files::rest);
        if files.is_some() && files == self.seen.files {
            return Ok((self, Refreshed::Unchanged));
        }
        let Some(changes) = changes(layout, &self.graph, files)? else {
            return Ok((Self::read(layout, now)?, Refreshed::Anew));
        };
        match self.graph.grow(changes) {
            Grown::By { added, deleted } => {
                self.seen.files = files;
                Ok((self, Refreshed::Changed { added, deleted }))
            }
            Grown::Doubtful => Ok((Self::read(layout, now)?, Refreshed::Anew)),
        }
    }
}

/// What happened to the graph; `None` if reading everything is right, or cheaper.
fn changes(layout: &Layout, graph: &Graph, files: Option<Files>) -> Result<Option<Changes>> {
    let most = graph.len() / 8 + 64;
    let read = |census: Option<Census>| {
        Snapshot::with(layout, |snapshot| {
            Changes::read(snapshot, graph, most, census.as_ref())
        })
    };
    // While the files rest, their pages tell who is there in a fraction of the time.
    let census = files.and_then(|_| Snapshot::pages(layout, |pages| graph.census(pages)));
    if census.is_some() {
        let changes = read(census)?;
        // Census and rows are of one moment only if nothing was written from before the one until
        // after the other.
        if Files::now(layout) == files {
            return Ok(changes);
        }
    }
    read(None)
}

#[cfg(test)]
mod tests;
