//! Where in an expression that stands for which it is refused. The parser says no place, so it is
//! looked for: a place that is not certain is none.

use super::dialect::{self, Token};

/// How many bytes into the expression what the reason names begins.
pub(super) fn find(text: &str, reason: &str) -> Option<usize> {
    let tokens = match dialect::tokens(text) {
        Ok(tokens) => tokens,
        Err(at) => return Some(at),
    };
    named(&tokens, reason).or_else(|| syntax(&tokens))
}

/// The only token that the reason has in quotes.
fn named(tokens: &[Token<'_>], reason: &str) -> Option<usize> {
    let mut found = None;
    for quote in ['`', '\''] {
        let parts = reason.split(quote).skip(1).step_by(2);
        for part in parts.filter(|part| !part.is_empty()) {
            let mut there = tokens.iter().filter(|token| token.text == part);
            match (there.next(), there.next(), found) {
                (Some(token), None, None) => found = Some(token.at),
                (None, ..) => {}
                _ => return None,
            }
        }
    }
    found
}

/// Words that join others, or stand before what is no operand.
const WORDS: [&str; 14] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "and",
    "or",
    "unless",
    "atan2",
    "start",
    "end",
];

/// A bracket without the other one, an operator without an operand, or two operands without an
/// operator.
fn syntax(tokens: &[Token<'_>]) -> Option<usize> {
    let mut open: Vec<&Token<'_>> = Vec::new();
    let mut before: Option<&Token<'_>> = None;
    for token in tokens {
        match token.text {
            "(" | "[" | "{" => open.push(token),
            ")" | "]" | "}" => {
                let other = open.pop().map(|open| open.text);
                if !matches!(
                    (other, token.text),
                    (Some("("), ")") | (Some("["), "]") | (Some("{"), "}")
                ) {
                    return Some(token.at);
                }
            }
            _ => {}
        }
        let wrong = before.is_some_and(|before| {
            let after_operator = matches!(before.text, "*" | "/" | "%" | "^" | "+" | "-");
            let no_operand = matches!(token.text, ")" | "]" | "}" | "," | "*" | "/" | "%" | "^");
            (after_operator && no_operand) || (is_operand(before) && is_operand(token))
        });
        if wrong {
            return Some(token.at);
        }
        before = Some(token);
    }
    if let Some(open) = open.last() {
        return Some(open.at);
    }
    // An expression that ends in an operator lacks what should follow.
    let last = before.filter(|last| matches!(last.text, "*" | "/" | "%" | "^" | "+" | "-"));
    last.map(|last| last.at)
}

fn is_operand(token: &Token<'_>) -> bool {
    let lower = token.text.to_ascii_lowercase();
    let begin = token.text.chars().next().unwrap_or_default();
    (begin.is_ascii_alphanumeric() || begin == '_') && !WORDS.contains(&lower.as_str())
}
