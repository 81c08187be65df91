//! Where the YAML of Prometheus (go-yaml, after libyaml) is stricter than the parser, and where the
//! document ends that it reads.
//!
//! Prometheus reads the first document of a file, whatever follows it. It takes no tab for an
//! indentation, no other version than 1.1, no directive that it does not know and no `\/`.

/// The text of the first document, with what stands before it.
///
/// # Errors
/// What Prometheus would not read, with the line.
pub(super) fn first(text: &str) -> Result<&str, String> {
    let mut scan = Scan::default();
    let mut begun = false;
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let begin = offset;
        offset += line.len();
        let line = line.trim_end_matches(['\n', '\r']);
        let at = |reason: &str| format!("{reason} at line {}", index + 1);
        let marked = |mark| {
            let after = line.strip_prefix(mark);
            after.is_some_and(|after| after.is_empty() || after.starts_with([' ', '\t']))
        };
        let mut from = 0;
        if !begun && line.starts_with('%') {
            directive(line).map_err(|reason| at(&reason))?;
            continue;
        }
        if marked("...") && !begun {
            return Err(at("a document ends that has not begun"));
        } else if marked("---") && !begun {
            from = 3;
            begun = true;
        } else if marked("---") || marked("...") {
            return Ok(&text[..begin]);
        }
        scan.line(line, from).map_err(|reason| at(&reason))?;
        begun |= !line.trim_start().is_empty() && !line.trim_start().starts_with('#');
    }
    Ok(text)
}

/// Whether another document follows the first one.
pub(super) fn others(text: &str) -> bool {
    let first = first(text).map_or(text.len(), str::len);
    let content = |line: &&str| {
        let marks = ["---", "..."]
            .iter()
            .find_map(|mark| line.strip_prefix(mark));
        let line = marks.unwrap_or(line).trim();
        !line.is_empty() && !line.starts_with('#')
    };
    text[first..].lines().any(|line| content(&line))
}

fn directive(line: &str) -> Result<(), String> {
    let mut words = line.split_whitespace();
    match (words.next(), words.next()) {
        (Some("%YAML"), Some("1.1")) | (Some("%TAG"), _) => Ok(()),
        (Some("%YAML"), _) => Err("Prometheus reads YAML 1.1 and no other version".to_owned()),
        (name, _) => {
            let name = name.unwrap_or_default();
            Err(format!("`{name}` is no directive of YAML 1.1"))
        }
    }
}

/// Goes over lines, as far as it takes to know what a tab or a backslash means there.
#[derive(Default)]
struct Scan {
    /// How many brackets are open.
    flow: usize,
    /// The quote of a string that is open.
    quote: Option<char>,
    block: Option<Block>,
    /// Whether a plain text may go on with the next line.
    plain: bool,
    /// One more than the column of the innermost key or dash: what belongs to it stands there or
    /// further to the right.
    indent: usize,
}

/// A text behind `|` or `>`.
struct Block {
    /// The least column of its lines.
    least: usize,
    /// The column of its lines, once that is known.
    indent: Option<usize>,
    /// The longest of the empty lines that it begins with.
    longest: usize,
}

const TAB: &str = "a tab stands where YAML allows only spaces";

impl Scan {
    fn line(&mut self, line: &str, from: usize) -> Result<(), String> {
        if self.in_block(line)? {
            return Ok(());
        }
        let mut at = from;
        if let Some(quote) = self.quote {
            match self.string(line, 0, quote)? {
                Some(end) => at = end,
                None => return Ok(()),
            }
            return self.tokens(line, at, false);
        }
        let text = line[at..].trim_start_matches([' ', '\t']);
        let begin = line.len() - text.len();
        let belongs = |column: usize| self.flow > 0 || (self.plain && column >= self.indent);
        if from == 0 {
            let tab = line[..begin].find('\t');
            if tab.is_some_and(|column| !belongs(column)) {
                return Err(TAB.to_owned());
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        if self.plain && belongs(begin) && !text.starts_with('#') {
            // Signs that would begin something else are plain here.
            let end = self.plain_text(line, begin);
            return self.tokens(line, end, false);
        }
        self.plain = false;
        self.tokens(line, begin, from == 0)
    }

    /// Whether the line belongs to a block (`yaml_parser_scan_block_scalar`).
    fn in_block(&mut self, line: &str) -> Result<bool, String> {
        let Some(block) = &mut self.block else {
            return Ok(false);
        };
        let text = line.trim_start_matches(' ');
        let column = line.len() - text.len();
        let tab = text.starts_with('\t');
        let inside = match block.indent {
            Some(indent) if column >= indent => true,
            _ if tab => return Err(TAB.to_owned()),
            _ if text.is_empty() => {
                block.longest = block.longest.max(column);
                true
            }
            Some(_) => false,
            None => {
                let indent = column.max(block.longest).max(block.least);
                block.indent = Some(indent);
                column >= indent
            }
        };
        if !inside {
            self.block = None;
        }
        Ok(inside)
    }

    /// Goes over the rest of a line. `first` says that a key may stand here, and no tab before it.
    fn tokens(&mut self, line: &str, from: usize, first: bool) -> Result<(), String> {
        let (mut at, mut first, mut fresh) = (from, first, first || from == 3);
        let mut key = None;
        while let Some(c) = line[at..].chars().next() {
            let next = line[at + c.len_utf8()..].chars().next();
            let spaced = next.is_none_or(|next| matches!(next, ' ' | '\t'));
            let ends = spaced || (self.flow > 0 && next.is_some_and(|c| ",[]{}".contains(c)));
            match c {
                '\t' if first && self.flow == 0 => return Err(TAB.to_owned()),
                ' ' | '\t' => at += 1,
                '#' if at == 0 || line[..at].ends_with([' ', '\t']) => return Ok(()),
                '-' | '?' if fresh && spaced && self.flow == 0 => {
                    self.indent = at + 1;
                    first = true;
                    at += 1;
                }
                ':' if ends || (!fresh && self.flow > 0) => {
                    if let Some(column) = key.take().filter(|_| self.flow == 0) {
                        self.indent = column + 1;
                    }
                    (first, fresh) = (false, true);
                    at += 1;
                }
                '[' | '{' if fresh => {
                    self.flow += 1;
                    at += 1;
                }
                ']' | '}' if self.flow > 0 => {
                    self.flow -= 1;
                    fresh = false;
                    at += 1;
                }
                ',' if self.flow > 0 => {
                    fresh = true;
                    at += 1;
                }
                '|' | '>' if fresh && self.flow == 0 => {
                    let header = line[at + 1..].chars().take_while(|c| !c.is_whitespace());
                    let digit = header.into_iter().find_map(|c| c.to_digit(10));
                    let given = digit.map(|digit| self.indent.saturating_sub(1) + digit as usize);
                    self.block = Some(Block {
                        least: self.indent.max(1),
                        indent: given,
                        longest: 0,
                    });
                    return Ok(());
                }
                '&' | '*' | '!' if fresh => {
                    key.get_or_insert(at);
                    first = false;
                    let end = |c: char| matches!(c, ' ' | '\t') || ",[]{}".contains(c);
                    at += line[at..].find(end).unwrap_or(line.len() - at).max(1);
                }
                '"' | '\'' if fresh => {
                    key.get_or_insert(at);
                    (first, fresh) = (false, false);
                    match self.string(line, at + 1, c)? {
                        Some(end) => at = end,
                        None => return Ok(()),
                    }
                }
                _ => {
                    key.get_or_insert(at);
                    (first, fresh) = (false, false);
                    at = self.plain_text(line, at).max(at + c.len_utf8());
                }
            }
        }
        Ok(())
    }

    /// Where a string ends that is open at `at`; `None` if not on this line.
    fn string(&mut self, line: &str, at: usize, quote: char) -> Result<Option<usize>, String> {
        self.quote = Some(quote);
        let mut chars = line[at..].char_indices().peekable();
        while let Some((index, c)) = chars.next() {
            match c {
                '\\' if quote == '"' => {
                    let escaped = chars.next().map(|(_, escaped)| escaped);
                    if escaped == Some('/') {
                        return Err(r"`\/` is no escape in YAML 1.1".to_owned());
                    }
                }
                _ if c == quote => {
                    let doubled = quote == '\'' && chars.peek().is_some_and(|(_, c)| *c == '\'');
                    if !doubled {
                        self.quote = None;
                        return Ok(Some(at + index + 1));
                    }
                    chars.next();
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Where a plain text ends that is at `at`: at the end of the line it may go on.
    fn plain_text(&mut self, line: &str, at: usize) -> usize {
        let text = &line[at..];
        let bytes = text.as_bytes();
        let space = |index: usize| bytes.get(index).is_none_or(|b| matches!(b, b' ' | b'\t'));
        let flow =
            |index: usize| self.flow > 0 && bytes.get(index).is_some_and(|b| b",[]{}".contains(b));
        let end = (0..bytes.len()).find(|index| match bytes[*index] {
            b':' => space(index + 1) || flow(index + 1),
            b'#' => *index > 0 && space(index - 1),
            _ => flow(*index),
        });
        self.plain = end.is_none();
        at + end.unwrap_or(text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_document_ends_where_another_one_begins_or_it_is_said_to_end() {
        let cases = [
            ("a: b\n", "a: b\n", false),
            ("# c\n---\na: b\n", "# c\n---\na: b\n", false),
            ("a: b\n---\nc: d\n", "a: b\n", true),
            ("%YAML 1.1\n---\na\n...\n}{\n", "%YAML 1.1\n---\na\n", true),
            ("a: b\n---\n# nothing\n...\n", "a: b\n", false),
            ("--- {}\n--- {}\n", "--- {}\n", true),
            (
                "a: |\n  ---\n ...\n---x\n",
                "a: |\n  ---\n ...\n---x\n",
                false,
            ),
        ];
        for (text, expected, more) in cases {
            assert_eq!(first(text), Ok(expected), "{text}");
            assert_eq!(others(text), more, "{text}");
        }
    }

    #[test]
    fn a_tab_that_indents_is_refused_with_its_line_and_no_other_one() {
        let refused = [
            "\ta: b",
            "a:\n\t- b",
            "a:\n-\tb: c",
            "a: |\n  b\n\tc",
            "a: |\n  \tb",
            "a: b\n\n\t\nc: d",
        ];
        for text in refused {
            let reason = first(text).expect_err(text);
            let line = text.lines().position(|line| line.contains('\t')).unwrap() + 1;
            assert_eq!(reason, format!("{TAB} at line {line}"));
        }
        let taken = [
            "a:\tb",
            "{\n\t\"a\": [\n\t\tb\n\t]\n}",
            "a: |\n  b\n  \tc\n",
            "a: \"b\n\tc\"",
            "- expr: x\n   \t> 1",
            "a: b\t# c",
            "a: '\n\t'",
        ];
        for text in taken {
            assert_eq!(first(text), Ok(text));
        }
    }
}
