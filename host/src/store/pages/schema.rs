//! Where the tables and indexes begin, and which column is which.

use super::{Pages, Result, btree, odd, record};

/// The trees of a store's database.
#[derive(Debug)]
pub(in crate::store) struct Schema {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    is_table: bool,
    name: String,
    root: u32,
    sql: String,
}

impl Schema {
    /// Reads `sqlite_schema`, which begins on page 1.
    pub(in crate::store) fn read(pages: &Pages) -> Result<Self> {
        let mut entries = Vec::new();
        btree::table(pages, 1, |_, row| {
            let [kind, name, root, sql] = record::columns(row, [0, 1, 3, 4])?;
            let (Some(kind), Some(name)) = (kind.text()?, name.text()?) else {
                return odd("an entry of the schema without a name");
            };
            entries.push(Entry {
                is_table: kind == "table",
                name: name.to_owned(),
                root: u32::try_from(root.integer()?.unwrap_or(0)).unwrap_or(0),
                sql: sql.text()?.map(plain).unwrap_or_default(),
            });
            Ok(())
        })?;
        Ok(Self { entries })
    }

    /// The root page of a table, and the places of these columns, which must be in this order.
    pub(in crate::store) fn table<const N: usize>(
        &self,
        name: &str,
        columns: [&str; N],
    ) -> Result<(u32, [usize; N])> {
        let entry = self.entry(name, true)?;
        let declared = declared(&entry.sql);
        let mut places = [0; N];
        for (place, column) in places.iter_mut().zip(columns) {
            *place = match declared.iter().position(|other| *other == column) {
                Some(place) => place,
                None => return odd(format!("a table {name} without a column {column}")),
            };
        }
        // Rows are read from left to right.
        if !places.is_sorted() {
            return odd(format!("a table {name} whose columns are in another order"));
        }
        // A generated column has no value in its row; a table without row ids is an index.
        if ["generated", " as(", "without", "/*"]
            .iter()
            .any(|word| entry.sql.contains(word))
        {
            return odd(format!("a table {name} of another kind"));
        }
        Ok((entry.root, places))
    }

    /// The root page of the index that SQLite makes for the one constraint of a table that needs
    /// an index, which must be `constraint`.
    pub(in crate::store) fn automatic_index(&self, table: &str, constraint: &str) -> Result<u32> {
        let sql = &self.entry(table, true)?.sql;
        let constraints = sql.matches("unique").count() + sql.matches("primary key").count()
            - sql.matches("integer primary key").count();
        if constraints != 1 || !sql.contains(constraint) {
            return odd(format!(
                "a table {table} whose one constraint is not {constraint}"
            ));
        }
        // Another order than that of the bytes and from small to large.
        if sql.contains("collate") || sql.contains(" desc") {
            return odd(format!("a table {table} of another order"));
        }
        let index = self.entry(&format!("sqlite_autoindex_{table}_1"), false)?;
        Ok(index.root)
    }

    fn entry(&self, name: &str, is_table: bool) -> Result<&Entry> {
        let mut entries = self.entries.iter();
        match entries.find(|entry| entry.is_table == is_table && entry.name == name) {
            Some(entry) => Ok(entry),
            None => odd(format!("no {name}")),
        }
    }
}

/// In small letters, without comments, with single spaces and none beside brackets and commas.
fn plain(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let code = |line: &str| {
        line.split("--")
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    for line in sql.lines().map(code) {
        for word in line.split_ascii_whitespace() {
            let closes = word.starts_with(['(', ')', ',']);
            if !closes && !out.is_empty() && !out.ends_with(['(', ',']) {
                out.push(' ');
            }
            out.push_str(word);
        }
    }
    out
}

/// The names of the columns that a `CREATE TABLE` declares.
fn declared(sql: &str) -> Vec<&str> {
    let Some((_, body)) = sql.split_once('(') else {
        return Vec::new();
    };
    let mut columns = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (at, letter) in body.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            ',' | ')' if depth == 0 => {
                columns.push(body[start..at].trim());
                start = at + 1;
                if letter == ')' {
                    break;
                }
            }
            _ => {}
        }
    }
    (columns.iter())
        .filter_map(|column| column.split(' ').next())
        .collect()
}
