//! Standard output: lines and tables for people, or one document for machines.

use std::io::Write;

use serde::Serialize;

use super::{failure::Failure, table::Table, text};

/// Where an answer is written.
pub(super) struct Page<'a> {
    out: &'a mut dyn Write,
    bold: bool,
}

impl<'a> Page<'a> {
    /// A page; headings are bold if the reader is a terminal that wants it.
    pub(super) fn new(out: &'a mut dyn Write, bold: bool) -> Self {
        Self { out, bold }
    }

    /// One line of text.
    pub(super) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.raw(text::printable(line).as_bytes())
    }

    /// One line that stands out.
    pub(super) fn heading(&mut self, line: &str) -> Result<(), Failure> {
        let line = text::printable(line);
        if self.bold {
            self.raw(format!("\x1b[1m{line}\x1b[0m").as_bytes())
        } else {
            self.raw(line.as_bytes())
        }
    }

    /// A table, each line indented by `indent` blanks.
    pub(super) fn table(&mut self, table: &Table, indent: usize) -> Result<(), Failure> {
        let (heading, rows) = table.lines();
        let blanks = " ".repeat(indent);
        if let Some(heading) = heading {
            self.heading(&format!("{blanks}{heading}"))?;
        }
        for row in rows {
            self.line(&format!("{blanks}{row}"))?;
        }
        Ok(())
    }

    /// Bytes as they are, and the end of the line.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out
            .write_all(bytes)
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(Failure::Output)
    }

    /// Asks for what was written to be shown now.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(Failure::Output)
    }

    /// A JSON document over several lines.
    pub(super) fn json(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(document);
        self.raw(&text.map_err(|error| Failure::Output(error.into()))?)
    }

    /// A JSON document on one line.
    pub(super) fn json_line(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_vec(document);
        self.raw(&text.map_err(|error| Failure::Output(error.into()))?)
    }
}
