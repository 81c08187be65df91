//! Walks a b-tree in the order of its keys.

use super::{Pages, Result, be16, be32, odd, record::varint};

const TABLE_LEAF: u8 = 0x0d;
const TABLE_INTERIOR: u8 = 0x05;
const INDEX_LEAF: u8 = 0x0a;
const INDEX_INTERIOR: u8 = 0x02;

/// Deeper than any tree of 2^32 pages that have two children.
const DEEPEST: usize = 40;

/// Calls `visit` with row id and record of each row of a table.
pub(in crate::store) fn table(
    pages: &Pages,
    root: u32,
    mut visit: impl FnMut(i64, &[u8]) -> Result<()>,
) -> Result<()> {
    walk(pages, root, Kind::Table, 0, &mut 0, &mut visit)
}

/// Calls `visit` with the record of each entry of an index.
pub(in crate::store) fn index(
    pages: &Pages,
    root: u32,
    mut visit: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut visit = |_, record: &[u8]| visit(record);
    walk(pages, root, Kind::Index, 0, &mut 0, &mut visit)
}

/// How many entries an index has. Of its leaves, which are nearly all of its pages, no more than
/// the header is read.
pub(in crate::store) fn count(pages: &Pages, root: u32) -> Result<usize> {
    entries(pages, root, 0, &mut 0)
}

fn entries(pages: &Pages, number: u32, depth: usize, seen: &mut u32) -> Result<usize> {
    *seen += 1;
    if depth > DEEPEST || *seen > pages.count() {
        return odd("a tree with a loop");
    }
    let mut head = [0; 8];
    pages.read(number, &mut head)?;
    match head[0] {
        INDEX_LEAF => be16(&head, 3),
        INDEX_INTERIOR => pages.look(number, |page| {
            let header = Header::of(page, number, pages.usable())?;
            let mut sum = header.cells;
            for cell in header.cells() {
                sum += entries(pages, be32(header.cell(cell)?, 0)?, depth + 1, seen)?;
            }
            Ok(sum + entries(pages, header.rightmost()?, depth + 1, seen)?)
        }),
        other => odd(format!("a page of kind {other}")),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Table,
    Index,
}

fn walk(
    pages: &Pages,
    number: u32,
    kind: Kind,
    depth: usize,
    seen: &mut u32,
    visit: &mut impl FnMut(i64, &[u8]) -> Result<()>,
) -> Result<()> {
    // A page that is its own descendant would never end.
    *seen += 1;
    if depth > DEEPEST || *seen > pages.count() {
        return odd("a tree with a loop");
    }
    pages.look(number, |page| {
        let header = Header::of(page, number, pages.usable())?;
        match (header.kind, kind) {
            (TABLE_LEAF, Kind::Table) | (INDEX_LEAF, Kind::Index) => {
                for cell in header.cells() {
                    visit_cell(pages, header.cell(cell)?, kind, visit)?;
                }
            }
            (TABLE_INTERIOR, Kind::Table) | (INDEX_INTERIOR, Kind::Index) => {
                for cell in header.cells() {
                    let cell = header.cell(cell)?;
                    walk(pages, be32(cell, 0)?, kind, depth + 1, seen, visit)?;
                    if kind == Kind::Index {
                        visit_cell(pages, &cell[4..], kind, visit)?;
                    }
                }
                walk(pages, header.rightmost()?, kind, depth + 1, seen, visit)?;
            }
            (other, _) => return odd(format!("a page of kind {other}")),
        }
        Ok(())
    })
}

/// A page's header and the places of its cells.
pub(super) struct Header<'a> {
    page: &'a [u8],
    at: usize,
    pub(super) kind: u8,
    cells: usize,
}

impl<'a> Header<'a> {
    fn of(page: &'a [u8], number: u32, usable: usize) -> Result<Self> {
        // The database's header comes before that of page 1.
        let at = if number == 1 { 100 } else { 0 };
        Ok(Self {
            page: &page[..usable],
            at,
            kind: page[at],
            cells: be16(page, at + 3)?,
        })
    }

    fn is_leaf(&self) -> bool {
        matches!(self.kind, TABLE_LEAF | INDEX_LEAF)
    }

    /// Where the offsets of the cells stand.
    fn cells(&self) -> impl Iterator<Item = usize> + use<> {
        let first = self.at + if self.is_leaf() { 8 } else { 12 };
        (0..self.cells).map(move |cell| first + 2 * cell)
    }

    fn cell(&self, offset: usize) -> Result<&'a [u8]> {
        match self.page.get(be16(self.page, offset)?..) {
            Some(cell) if cell.len() >= 4 => Ok(cell),
            _ => odd("a cell outside of its page"),
        }
    }

    fn rightmost(&self) -> Result<u32> {
        be32(self.page, self.at + 8)
    }
}

#[inline]
fn visit_cell(
    pages: &Pages,
    cell: &[u8],
    kind: Kind,
    visit: &mut impl FnMut(i64, &[u8]) -> Result<()>,
) -> Result<()> {
    let (length, cell) = varint(cell)?;
    let (rowid, cell) = match kind {
        Kind::Table => varint(cell)?,
        Kind::Index => (0, cell),
    };
    let Ok(length) = usize::try_from(length) else {
        return odd("a record of negative length");
    };
    let usable = pages.usable();
    let most = match kind {
        Kind::Table => usable - 35,
        Kind::Index => (usable - 12) * 64 / 255 - 23,
    };
    if length <= most {
        let Some(record) = cell.get(..length) else {
            return odd("a record outside of its page");
        };
        return visit(rowid, record);
    }
    let least = (usable - 12) * 32 / 255 - 23;
    let here = least + (length - least) % (usable - 4);
    let here = if here <= most { here } else { least };
    let Some(start) = cell.get(..here) else {
        return odd("a record outside of its page");
    };
    visit(rowid, &overflow(pages, start, be32(cell, here)?, length)?)
}

/// The record of a cell that did not fit its page.
fn overflow(pages: &Pages, start: &[u8], mut page: u32, length: usize) -> Result<Vec<u8>> {
    if length as u64 > u64::from(pages.count()) * pages.usable() as u64 {
        return odd("a record longer than the database");
    }
    let mut record = start.to_vec();
    while record.len() < length {
        page = pages.look(page, |content| {
            let more = (length - record.len()).min(pages.usable() - 4);
            record.extend_from_slice(&content[4..4 + more]);
            be32(content, 0)
        })?;
    }
    Ok(record)
}
