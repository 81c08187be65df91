//! Which valid path an operator means by what was typed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Graph, PathId, roots::valid_path};
use crate::{FactError, Kind, Layout, Result, STORE_DIR};

const ATTEMPT: &str = "find the store path";
/// So few letters are a slip of the hand.
const SHORTEST: usize = 4;
/// So many candidates are named.
const NAMED: usize = 5;

/// The valid path that `text` means: a store path or something in it, a link that leads there, a
/// base name (`HASH-NAME`), or the first letters of one that no other has, such as its hash part.
///
/// # Errors
/// If there is no such path, if it is not valid, or if several are meant.
pub fn lookup(layout: &Layout, graph: &Graph, text: &str) -> Result<PathId> {
    if text.contains('/') || text == "." || text == ".." {
        return by_place(layout, graph, text);
    }
    if let Some(id) = graph.find(text) {
        return Ok(id);
    }
    let name = text;
    // A left-over may have any name; the links that are shared are none.
    let is_left_over = !matches!(name, "" | ".links");
    if is_left_over && layout.store().join(name).symlink_metadata().is_ok() {
        return Err(not_valid(layout, name));
    }
    if name.len() < SHORTEST {
        let cause = format!("{text:?} is too short to tell a path by");
        return Err(error(
            Kind::Missing,
            text,
            cause,
            "give four letters at least",
        ));
    }
    let mut meant = graph.ids().filter(|id| graph.name(*id).starts_with(name));
    match (meant.next(), meant.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => Err(error(
            Kind::Missing,
            text,
            "no valid path has this name, and none begins with it".to_owned(),
            "give a store path, a base name, or the beginning of a hash part",
        )),
        (Some(first), Some(second)) => {
            let names = [first, second].into_iter().chain(meant);
            let names: Vec<&str> = names.map(|id| graph.name(id)).collect();
            let mut shown = names[..names.len().min(NAMED)].join(", ");
            if names.len() > NAMED {
                shown += &format!(" and {} more", names.len() - NAMED);
            }
            let cause = format!("{} paths begin with it: {shown}", names.len());
            Err(error(Kind::Malformed, text, cause, "give more letters"))
        }
    }
}

fn by_place(layout: &Layout, graph: &Graph, text: &str) -> Result<PathId> {
    let given = Path::new(text);
    let in_store = |path: &Path| -> Option<PathBuf> {
        let below = path
            .strip_prefix(STORE_DIR)
            .or_else(|_| path.strip_prefix(layout.store()));
        Some(PathBuf::from(below.ok()?.components().next()?.as_os_str()))
    };
    let name = match in_store(given) {
        Some(name) => name,
        None => {
            let cure = "give a store path, or a link that leads to one";
            // A link of the host leads within its root.
            let place = if given.is_absolute() && !given.starts_with(layout.root()) {
                layout.inside(layout.resolve(ATTEMPT, given)?)
            } else {
                fs::canonicalize(given).map_err(|e| FactError::io(ATTEMPT, given, &e, cure))?
            };
            in_store(&place).ok_or_else(|| {
                if let Err(e) = place.symlink_metadata() {
                    return FactError::io(ATTEMPT, &place, &e, cure);
                }
                let cause = format!("it is {place:?}, which is not in the store");
                error(Kind::Malformed, text, cause, cure)
            })?
        }
    };
    let name = name.to_string_lossy();
    match valid_path(graph, &format!("{STORE_DIR}/{name}")) {
        Some(id) => Ok(id),
        None => Err(not_valid(layout, &name)),
    }
}

fn not_valid(layout: &Layout, name: &str) -> FactError {
    let path = format!("{STORE_DIR}/{name}");
    match layout.store().join(name).symlink_metadata() {
        Ok(_) => error(
            Kind::Malformed,
            &path,
            "it lies in the store directory, but the database does not know it".to_owned(),
            "nothing keeps a left-over; a collection deletes it unless work in flight protects it",
        ),
        Err(_) => error(
            Kind::Missing,
            &path,
            "there is no such path in the store".to_owned(),
            "is this the right host? see --root",
        ),
    }
}

fn error(kind: Kind, path: &str, cause: String, cure: &str) -> FactError {
    FactError::new(kind, ATTEMPT, path, cause, cure)
}

#[cfg(test)]
mod tests;
