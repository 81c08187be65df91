//! Reads the whole graph out of the database's pages, without SQLite.

use super::{
    Graph, Outputs, base_name,
    edges::{MOST, References},
    paths::{Paths, Positions, Unresolved},
};
use crate::store::pages::{Pages, Result, btree, odd, record, schema::Schema};

pub(super) fn graph(pages: &Pages) -> Result<Graph> {
    let schema = Schema::read(pages)?;
    let paths = paths(pages, &schema)?;
    let positions = Positions::of(paths.rowids());
    let references = references(pages, &schema)?.finish(&positions, paths.len())?;
    let outputs = outputs(pages, &schema, &paths, &positions)?;
    let registrations = registrations(pages, &schema)?;
    Ok(Graph::assemble(paths, references, outputs, registrations)?)
}

fn paths(pages: &Pages, schema: &Schema) -> Result<Paths> {
    let mut paths = Paths::for_bytes(pages.bytes());
    let mut unresolved = Unresolved::default();
    let (root, places) = schema.table("ValidPaths", ["path", "deriver", "narsize"])?;
    btree::table(pages, root, |rowid, row| {
        let [path, deriver, size] = record::columns(row, places)?;
        let Some(path) = path.text()? else {
            return odd("a path without a name");
        };
        paths.push(
            rowid,
            path,
            size.integer()?,
            deriver.text()?,
            &mut unresolved,
        )?;
        Ok(())
    })?;
    paths.resolve(&unresolved);
    Ok(paths)
}

fn references(pages: &Pages, schema: &Schema) -> Result<References> {
    let mut references = References::at_most(MOST);
    references.reserve(pages.bytes());
    // The index holds all that there is, in the order that is wanted.
    let root = schema.automatic_index("Refs", "primary key(referrer,reference)")?;
    btree::index(pages, root, |entry| {
        let (referrer, reference) = record::two_integers(entry)?;
        references.push(referrer, reference)?;
        Ok(())
    })?;
    Ok(references)
}

fn outputs(
    pages: &Pages,
    schema: &Schema,
    paths: &Paths,
    positions: &Positions<'_>,
) -> Result<Outputs> {
    let (mut outputs, mut named) = (Outputs::default(), Unresolved::default());
    let (root, places) = schema.table("DerivationOutputs", ["drv", "path"])?;
    btree::table(pages, root, |_, row| {
        let [drv, path] = record::columns(row, places)?;
        let drv = drv.integer()?.and_then(|drv| u32::try_from(drv).ok());
        let Some(drv) = drv.and_then(|drv| positions.find(drv)) else {
            return odd("an output belongs to no valid derivation");
        };
        if let Some(name) = path.text()?.and_then(base_name) {
            named.push(drv, name)?;
        }
        if named.is_full() {
            paths.pair(&mut named, &mut outputs.pairs, &mut outputs.awaited);
        }
        Ok(())
    })?;
    // An output that is not valid (not built yet, or collected) is no edge.
    paths.pair(&mut named, &mut outputs.pairs, &mut outputs.awaited);
    Ok(outputs)
}

pub(super) fn registrations(pages: &Pages, schema: &Schema) -> Result<u64> {
    let mut registrations = 0;
    let (root, places) = schema.table("sqlite_sequence", ["name", "seq"])?;
    btree::table(pages, root, |_, row| {
        let [name, sequence] = record::columns(row, places)?;
        if name.text()? == Some("ValidPaths") {
            registrations = sequence.integer()?.unwrap_or(0);
        }
        Ok(())
    })?;
    Ok(u64::try_from(registrations).unwrap_or(0))
}
