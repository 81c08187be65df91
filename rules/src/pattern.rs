//! Regular expressions, read as Go reads them: RE2 syntax with Perl's classes (`regexp/syntax` of
//! Go 1.24, which Prometheus 3.5 is built with).
//!
//! The `regex` crate matches as Go does, leftmost and first alternative first, but its syntax is
//! another dialect of the same family. What both take and read differently is written anew, or
//! refused by name; what only one of them takes is refused.

use regex::{Captures, Regex, RegexBuilder};
use regex_syntax::ast::{self, Ast, ClassSetItem, Span};

pub(crate) mod escapes;

/// A compiled pattern larger than this is refused: it would be matched at every tick.
const MOST_BYTES: usize = 1 << 20;

/// The highest count of a repetition, and the most that nested counts may multiply to
/// (`maxRepeat` and `repeatIsValid`, regexp/syntax/parse.go).
const MOST_REPEATED: u32 = 1000;

/// A pattern that matches a whole text, and whose dot matches a newline too
/// (`model/labels/regexp.go`, Prometheus 3.5).
pub(crate) fn whole(pattern: &str) -> Result<Regex, String> {
    compile(pattern, rewritten(pattern).map(within))
}

/// The same for `label_replace`, which writes the pattern into another one before it is read
/// (`evalLabelReplace`, promql/functions.go): a `\Q` without an end quotes what follows, too.
pub(crate) fn whole_in_place(pattern: &str) -> Result<Regex, String> {
    compile(pattern, rewritten(&within(pattern.to_owned())))
}

/// A pattern that matches anywhere in a text, as in templates.
pub(crate) fn anywhere(pattern: &str) -> Result<Regex, String> {
    compile(pattern, rewritten(pattern))
}

fn within(pattern: String) -> String {
    format!("^(?s:{pattern})$")
}

fn compile(pattern: &str, written: Result<String, String>) -> Result<Regex, String> {
    let refused =
        |reason: String| format!("`{pattern}` is not a regular expression here: {reason}");
    RegexBuilder::new(&written.map_err(refused)?)
        .size_limit(MOST_BYTES)
        .build()
        .map_err(|error| refused(last_line(&error.to_string())))
}

fn last_line(reason: &str) -> String {
    let line = reason.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

/// The pattern so that the `regex` crate reads it as Go reads the given one.
fn rewritten(pattern: &str) -> Result<String, String> {
    let pattern = &escapes::plain(pattern);
    let tree = ast::parse::Parser::new().parse(pattern);
    let tree = tree.map_err(|error| last_line(&error.to_string()))?;
    let reader = Reader {
        pattern,
        edits: Vec::new(),
        repeated: vec![MOST_REPEATED],
    };
    let mut written = String::with_capacity(pattern.len());
    let mut rest = 0;
    for (span, text) in ast::visit(&tree, reader)? {
        written.push_str(&pattern[rest..span.start.offset]);
        written.push_str(text);
        rest = span.end.offset;
    }
    written.push_str(&pattern[rest..]);
    Ok(written)
}

/// Walks over a pattern in the order in which it is written.
struct Reader<'p> {
    pattern: &'p str,
    edits: Vec<(Span, &'static str)>,
    /// How often what stands here may still be repeated.
    repeated: Vec<u32>,
}

impl Reader<'_> {
    fn text(&self, span: Span) -> &str {
        &self.pattern[span.start.offset..span.end.offset]
    }

    fn refuse<T>(&self, span: Span, why: &str) -> Result<T, String> {
        Err(format!("`{}` {why}", self.text(span)))
    }

    fn literal(&self, literal: &ast::Literal) -> Result<(), String> {
        use ast::{HexLiteralKind as Hex, LiteralKind as Kind};
        match &literal.kind {
            Kind::Verbatim | Kind::Meta | Kind::Superfluous | Kind::Special(_) => Ok(()),
            Kind::HexFixed(Hex::X) | Kind::HexBrace(Hex::X) => Ok(()),
            Kind::HexFixed(_) | Kind::HexBrace(_) | Kind::Octal => {
                self.refuse(literal.span, "is no escape to Go; write \\x{...}")
            }
        }
    }

    /// Go's classes are those of ASCII.
    fn perl_class(&mut self, class: &ast::ClassPerl) {
        use ast::ClassPerlKind as Kind;
        let ascii = match (&class.kind, class.negated) {
            (Kind::Digit, false) => "[0-9]",
            (Kind::Digit, true) => "[^0-9]",
            (Kind::Space, false) => r"[\t\n\f\r ]",
            (Kind::Space, true) => r"[^\t\n\f\r ]",
            (Kind::Word, false) => "[0-9A-Za-z_]",
            (Kind::Word, true) => "[^0-9A-Za-z_]",
        };
        self.edits.push((class.span, ascii));
    }

    fn assertion(&mut self, assertion: &ast::Assertion) -> Result<(), String> {
        use ast::AssertionKind as Kind;
        match &assertion.kind {
            Kind::StartLine | Kind::EndLine | Kind::StartText | Kind::EndText => {}
            Kind::WordBoundary => self.edits.push((assertion.span, r"(?-u:\b)")),
            // To Go any sign behind a backslash is that sign.
            Kind::WordBoundaryStartAngle => self.edits.push((assertion.span, "<")),
            Kind::WordBoundaryEndAngle => self.edits.push((assertion.span, ">")),
            Kind::NotWordBoundary
            | Kind::WordBoundaryStart
            | Kind::WordBoundaryEnd
            | Kind::WordBoundaryStartHalf
            | Kind::WordBoundaryEndHalf => {
                return self.refuse(assertion.span, "is read differently by Go");
            }
        }
        Ok(())
    }

    fn flags(&self, flags: &ast::Flags) -> Result<(), String> {
        use ast::{Flag, FlagsItemKind};
        for item in &flags.items {
            match item.kind {
                FlagsItemKind::Negation
                | FlagsItemKind::Flag(
                    Flag::CaseInsensitive
                    | Flag::MultiLine
                    | Flag::DotMatchesNewLine
                    | Flag::SwapGreed,
                ) => {}
                FlagsItemKind::Flag(Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace) => {
                    return self.refuse(item.span, "is no flag to Go");
                }
            }
        }
        Ok(())
    }

    fn repetition(&mut self, repetition: &ast::Repetition) -> Result<(), String> {
        use ast::{RepetitionKind as Kind, RepetitionRange as Range};
        if matches!(*repetition.ast, Ast::Repetition(_)) {
            return self.refuse(
                repetition.span,
                "repeats a repetition; group it with (?:...)",
            );
        }
        let left = self.repeated.last().copied().unwrap_or(MOST_REPEATED);
        let left = match &repetition.op.kind {
            Kind::ZeroOrOne | Kind::ZeroOrMore | Kind::OneOrMore => left,
            Kind::Range(range) => {
                let braces = self.text(repetition.op.span).trim_end_matches('?');
                let plain = |c: char| c.is_ascii_digit() || matches!(c, '{' | ',' | '}');
                if braces.starts_with("{,") || !braces.chars().all(plain) {
                    return self.refuse(
                        repetition.op.span,
                        "is no repetition to Go; escape the brace",
                    );
                }
                let (least, most) = match range {
                    Range::Exactly(count) => (*count, *count),
                    Range::AtLeast(count) => (*count, *count),
                    Range::Bounded(least, most) => (*least, *most),
                };
                if least.max(most) > left {
                    return self.refuse(
                        repetition.span,
                        "repeats more than 1000 times, by itself or within another repetition",
                    );
                }
                left.checked_div(most).unwrap_or(left)
            }
        };
        self.repeated.push(left);
        Ok(())
    }

    fn group(&self, group: &ast::Group) -> Result<(), String> {
        match &group.kind {
            ast::GroupKind::CaptureIndex(_) => Ok(()),
            ast::GroupKind::NonCapturing(flags) => self.flags(flags),
            ast::GroupKind::CaptureName { name, .. } => {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
                if name.name.chars().all(plain) {
                    Ok(())
                } else {
                    self.refuse(name.span, "is no name of a group to Go")
                }
            }
        }
    }
}

const BY_VERSION: &str = "depends on the version of Unicode; list the letters";

impl<'p> ast::Visitor for Reader<'p> {
    type Output = Vec<(Span, &'static str)>;
    type Err = String;

    fn finish(self) -> Result<Self::Output, String> {
        Ok(self.edits)
    }

    fn visit_pre(&mut self, tree: &Ast) -> Result<(), String> {
        match tree {
            Ast::Empty(_) | Ast::Dot(_) | Ast::Alternation(_) | Ast::Concat(_) => Ok(()),
            Ast::ClassBracketed(_) => Ok(()),
            Ast::Flags(set) => self.flags(&set.flags),
            Ast::Literal(literal) => self.literal(literal),
            Ast::Assertion(assertion) => self.assertion(assertion),
            Ast::ClassUnicode(class) => self.refuse(class.span, BY_VERSION),
            Ast::ClassPerl(class) => {
                self.perl_class(class);
                Ok(())
            }
            Ast::Repetition(repetition) => self.repetition(repetition),
            Ast::Group(group) => self.group(group),
        }
    }

    fn visit_post(&mut self, tree: &Ast) -> Result<(), String> {
        if let Ast::Repetition(_) = tree {
            self.repeated.pop();
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), String> {
        match item {
            ClassSetItem::Empty(_) | ClassSetItem::Ascii(_) | ClassSetItem::Union(_) => Ok(()),
            ClassSetItem::Literal(literal) => self.literal(literal),
            ClassSetItem::Range(range) => {
                self.literal(&range.start)?;
                self.literal(&range.end)
            }
            ClassSetItem::Unicode(class) => self.refuse(class.span, BY_VERSION),
            ClassSetItem::Perl(class) => {
                self.perl_class(class);
                Ok(())
            }
            ClassSetItem::Bracketed(class) => self.refuse(
                class.span,
                "is no class within a class to Go; escape the bracket",
            ),
        }
    }

    fn visit_class_set_binary_op_pre(
        &mut self,
        operation: &ast::ClassSetBinaryOp,
    ) -> Result<(), String> {
        self.refuse(
            operation.span,
            "are single signs to Go; write each once, and escaped",
        )
    }
}

/// What takes the place of a match, as Go writes it out (`Regexp.Expand`, regexp/regexp.go):
/// `$name`, `${name}`, `$1`, and `$$` for a dollar. A name is as long as it can be; one that no
/// group has is nothing, and a dollar without a name is a dollar.
#[derive(Debug, Clone)]
pub(crate) struct Replacement(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Group(String),
}

impl Replacement {
    /// Reads a replacement. One in which other letters than those of ASCII follow a dollar is
    /// refused: whether Go counts them to the name depends on its version of Unicode.
    pub(crate) fn read(template: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('$') {
            let mut text = before.to_owned();
            let mut group = None;
            rest = if let Some(after) = after.strip_prefix('$') {
                text.push('$');
                after
            } else if let Some((name, after)) = name(after)? {
                group = Some(Piece::Group(name.to_owned()));
                after
            } else {
                text.push('$');
                after
            };
            pieces.push(Piece::Text(text));
            pieces.extend(group);
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// Writes it out for one match.
    pub(crate) fn expand(&self, captures: &Captures<'_>, into: &mut String) {
        for piece in &self.0 {
            into.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Group(name) => group(captures, name),
            });
        }
    }
}

/// The name behind a dollar, and what follows it.
fn name(text: &str) -> Result<Option<(&str, &str)>, String> {
    let inside = text.strip_prefix('{');
    let text = inside.unwrap_or(text);
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let (name, after) = text.split_at(text.find(ends).unwrap_or(text.len()));
    if after.starts_with(|c: char| !c.is_ascii()) {
        return Err(format!(
            "where the name behind the dollar of `${}` ends is not certain; write ${{NAME}}",
            text.chars().take(name.len() + 1).collect::<String>()
        ));
    }
    let after = match inside {
        Some(_) => after.strip_prefix('}'),
        None => Some(after),
    };
    Ok(after
        .filter(|_| !name.is_empty())
        .map(|after| (name, after)))
}

/// A number with a leading zero is the name of a group, not its number (`extract`).
fn group<'t>(captures: &Captures<'t>, name: &str) -> &'t str {
    let number = name.bytes().all(|byte| byte.is_ascii_digit());
    let found = match name.parse() {
        Ok(index) if number && (name == "0" || !name.starts_with('0')) => captures.get(index),
        _ => captures.name(name),
    };
    found.map_or("", |found| found.as_str())
}

#[cfg(test)]
mod tests;
