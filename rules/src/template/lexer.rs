//! Templates as words (text/template/parse/lex.go, Go 1.24).

use crate::quote;

/// A word within an action. A field that follows a variable or a parenthesis without a space
/// belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    /// The name of a function or a keyword.
    Name(String),
    /// `$name`, `$`.
    Variable(String),
    /// `.Name`, with whether it belongs to what stands before it.
    Field(String, bool),
    Dot,
    Text(String),
    Int(i64),
    Number(f64),
    Open,
    Close,
    Pipe,
    Declare,
    Assign,
    Comma,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// What stands between `{{` and `}}`, with its text.
    Action(Vec<Word>, String),
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// Splits a template into text and actions; the error says what is wrong.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let (mut rest, mut trim) = (text, false);
    while let Some((before, after)) = rest.split_once("{{") {
        let inner = dashed(after);
        let mut before = if trim {
            before.trim_start_matches(SPACES)
        } else {
            before
        };
        if inner.is_some() {
            before = before.trim_end_matches(SPACES);
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let inner = inner.unwrap_or(after);
        (rest, trim) = match comment(inner)? {
            Some(done) => done,
            None => {
                let mut words = Words {
                    rest: inner,
                    words: Vec::new(),
                };
                let trim = words.read()?;
                let action = &inner[..inner.len() - words.rest.len()];
                let shown = format!("{{{{{action}");
                pieces.push(Piece::Action(words.words, shown));
                (words.rest, trim)
            }
        };
    }
    let rest = if trim {
        rest.trim_start_matches(SPACES)
    } else {
        rest
    };
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// What follows `{{-`, which needs a space behind it.
fn dashed(after: &str) -> Option<&str> {
    let inner = after.strip_prefix('-')?;
    inner.starts_with(SPACES).then_some(inner)
}

/// What follows a comment, and whether it trims the text behind it.
fn comment(inner: &str) -> Result<Option<(&str, bool)>, String> {
    let Some(comment) = inner.trim_start_matches(SPACES).strip_prefix("/*") else {
        return Ok(None);
    };
    let (_, after) = comment.split_once("*/").ok_or("a comment is not closed")?;
    let trimmed = after
        .strip_prefix(SPACES)
        .and_then(|rest| rest.trim_start_matches(SPACES).strip_prefix("-}}"));
    match (after.strip_prefix("}}"), trimmed) {
        (Some(rest), _) => Ok(Some((rest, false))),
        (None, Some(rest)) => Ok(Some((rest, true))),
        (None, None) => Err("a comment must end right before }}".to_owned()),
    }
}

struct Words<'a> {
    rest: &'a str,
    words: Vec<Word>,
}

impl<'a> Words<'a> {
    /// Reads until after `}}`, and says whether it trims the text behind it.
    fn read(&mut self) -> Result<bool, String> {
        loop {
            let spaceless = self.rest.trim_start_matches(SPACES);
            let space = spaceless.len() < self.rest.len();
            if let (true, Some(rest)) = (space, spaceless.strip_prefix("-}}")) {
                self.rest = rest;
                return Ok(true);
            }
            self.rest = spaceless;
            if let Some(rest) = self.rest.strip_prefix("}}") {
                self.rest = rest;
                return Ok(false);
            }
            let word = self.word(space)?;
            self.words.push(word);
        }
    }

    fn word(&mut self, space: bool) -> Result<Word, String> {
        let Some(first) = self.rest.chars().next() else {
            return Err("an action is not closed: }} is missing".to_owned());
        };
        let two = self.rest.get(..2).unwrap_or_default();
        if two == ":=" {
            return Ok(self.take(2, Word::Declare));
        }
        Ok(match first {
            '(' => self.take(1, Word::Open),
            ')' => self.take(1, Word::Close),
            '|' => self.take(1, Word::Pipe),
            '=' => self.take(1, Word::Assign),
            ',' => self.take(1, Word::Comma),
            '"' | '`' => self.quoted()?,
            '$' => {
                self.rest = &self.rest[1..];
                Word::Variable(self.name())
            }
            '.' if !self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                self.rest = &self.rest[1..];
                match self.name() {
                    name if name.is_empty() => Word::Dot,
                    name => Word::Field(name, !space),
                }
            }
            '+' | '-' | '.' | '0'..='9' => self.number()?,
            c if is_letter(c) => Word::Name(self.name()),
            c => return Err(format!("the character {c:?} has no meaning in an action")),
        })
    }

    fn take(&mut self, length: usize, word: Word) -> Word {
        self.rest = &self.rest[length..];
        word
    }

    fn name(&mut self) -> String {
        let end = self.rest.find(|c| !is_letter(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name.to_owned()
    }

    fn quoted(&mut self) -> Result<Word, String> {
        let end = quote::length(self.rest).ok_or("a text in quotes is not closed")?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(Word::Text(quote::unquote(text)?))
    }

    fn number(&mut self) -> Result<Word, String> {
        let end = self
            .rest
            .char_indices()
            .find(|(at, c)| {
                let sign =
                    matches!(c, '+' | '-') && (*at == 0 || self.rest[..*at].ends_with(['e', 'E']));
                !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || sign)
            })
            .map_or(self.rest.len(), |(at, _)| at);
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        let decimal = number.trim_start_matches(['+', '-']);
        let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
        let octal = decimal.len() > 1
            && decimal.starts_with('0')
            && decimal.chars().all(|c| c.is_ascii_digit());
        if octal || !decimal.chars().all(plain) {
            return Err(format!("the number {number} is not a plain decimal one"));
        }
        if let Ok(int) = number.parse() {
            return Ok(Word::Int(int));
        }
        number
            .parse()
            .map(Word::Number)
            .map_err(|_| format!("{number} is no number"))
    }
}

fn is_letter(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
