//! Columns that stand under each other.

use std::collections::BTreeMap;

use super::text;

/// A table, with or without headings. Its cells are made printable, whatever they are.
#[derive(Debug, Default)]
pub(super) struct Table {
    headings: Vec<&'static str>,
    /// Columns of numbers, which stand at the right.
    right: Vec<usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without headings.
    pub(super) fn plain() -> Self {
        Self::default()
    }

    /// A table with headings; the columns at the indices `right` hold numbers.
    pub(super) fn new(headings: &[&'static str], right: &[usize]) -> Self {
        Self {
            headings: headings.to_vec(),
            right: right.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let cells = cells.iter().map(|cell| text::printable(cell));
        self.rows.push(cells.collect());
    }

    /// Adds a row of a name and what it is.
    pub(super) fn pair(&mut self, name: &str, what: impl Into<String>) {
        self.row([name.to_owned(), what.into()]);
    }

    /// The rows of a name and what it is.
    pub(super) fn pairs(&self) -> BTreeMap<String, String> {
        let pair = |row: &Vec<String>| Some((row.first()?.clone(), row.get(1)?.clone()));
        self.rows.iter().filter_map(pair).collect()
    }

    /// The line of the headings, if there are any, and the lines of the rows.
    pub(super) fn lines(&self) -> (Option<String>, Vec<String>) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns.max(self.headings.len())];
        for (column, heading) in self.headings.iter().enumerate() {
            widths[column] = heading.len();
        }
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                widths[column] = widths[column].max(cell.chars().count());
            }
        }
        let line = |cells: Vec<&str>| {
            let mut line = String::new();
            for (column, cell) in cells.into_iter().enumerate() {
                let width = widths[column];
                let gap = if column == 0 { "" } else { "  " };
                line += &if self.right.contains(&column) {
                    format!("{gap}{cell:>width$}")
                } else {
                    format!("{gap}{cell:<width$}")
                };
            }
            line.trim_end().to_owned()
        };
        let heading = (!self.headings.is_empty()).then(|| line(self.headings.clone()));
        let rows = self.rows.iter();
        let rows = rows.map(|row| line(row.iter().map(String::as_str).collect()));
        (heading, rows.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_and_numbers_at_the_right() {
        let mut table = Table::new(&["NAME", "N", "WHAT"], &[1]);
        table.row(["system".into(), "7".into(), "é\n".into()]);
        table.row(["a".into(), "123".into(), String::new()]);
        let (heading, rows) = table.lines();
        assert_eq!(heading.as_deref(), Some("NAME      N  WHAT"));
        assert_eq!(rows, ["system    7  é\\n", "a       123"]);
    }
}
