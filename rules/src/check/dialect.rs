//! What Prometheus reads otherwise than the parser does, written so that both read the same.
//!
//! promql-parser 0.11 does not read strings in backquotes with a backslash, nor `1_000`; it takes
//! `\xff` for a letter, and `0e1` for no number; it counts a unit whose number is beyond 32 bits
//! as nothing, and panics over a duration without end. It reads the patterns of matchers as the
//! `regex` crate does.

use super::Unsupported;
use super::size::Size;
use crate::pattern::escapes;
use crate::{duration, quote};

/// The longest duration in seconds that Prometheus holds: 2^63 nanoseconds.
const LONGEST_SECONDS: f64 = 9_223_372_036.0;

/// Writes every string in double quotes, and every number and duration as a decimal number (of
/// seconds), both of which PromQL takes anywhere; comments become spaces. An expression that is too
/// large to go down safely is refused.
pub(super) fn normalized(text: &str) -> Result<String, Unsupported> {
    let mut written = String::with_capacity(text.len());
    let mut place = Place::Anywhere;
    let mut size = Size::default();
    let mut brackets = 0_u32;
    let mut operator = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            // Between range and step; elsewhere it can begin a metric's name.
            ':' if brackets > 0 => 1,
            _ => token_length(rest, c)?,
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        size.add(token)?;
        match c {
            '#' => written.push(' '),
            '"' | '\'' | '`' => {
                let pattern = matches!(operator.as_str(), "=~" | "!~");
                written.push_str(&string(token, pattern)?);
            }
            _ if begins_number(token) => {
                let plain = number(token);
                let value = plain.or_else(|| seconds(token));
                let value = value.ok_or_else(|| not_a_number(token))?;
                let duration = plain.is_none() || brackets > 0 || place == Place::Offset;
                if duration && value >= LONGEST_SECONDS {
                    return Err(Unsupported(format!("`{token}` is too long a duration")));
                }
                written.push_str(&value.to_string());
            }
            _ => {
                let lower = token.to_ascii_lowercase();
                if place == Place::Offset && matches!(lower.as_str(), "inf" | "nan") {
                    return Err(Unsupported(format!("`{token}` is not a duration")));
                }
                written.push_str(token);
            }
        }
        match c {
            '=' | '!' | '~' => operator.push(c),
            '#' => {}
            _ if c.is_whitespace() => {}
            _ => operator.clear(),
        }
        match c {
            '[' => brackets += 1,
            ']' => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        place = match place {
            _ if token.eq_ignore_ascii_case("offset") => Place::Offset,
            Place::Offset if c.is_whitespace() || matches!(c, '+' | '-' | '#') => Place::Offset,
            Place::Offset | Place::Anywhere => Place::Anywhere,
        };
    }
    Ok(written)
}

/// A part of an expression, and how many bytes into it it begins.
pub(super) struct Token<'t> {
    pub(super) at: usize,
    pub(super) text: &'t str,
}

/// The parts of an expression without spaces and comments; or where one begins that is none.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, usize> {
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut brackets = 0_u32;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match c {
            ':' if brackets > 0 => 1,
            _ => token_length(rest, c).map_err(|_| at)?,
        };
        let token = &rest[..length];
        let number = begins_number(token);
        if number && number_of(token).is_none() {
            return Err(at);
        }
        match c {
            '[' => brackets += 1,
            ']' => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        if !c.is_whitespace() && c != '#' {
            tokens.push(Token { at, text: token });
        }
        at += length;
    }
    Ok(tokens)
}

fn number_of(token: &str) -> Option<f64> {
    number(token).or_else(|| seconds(token))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Anywhere,
    /// Behind the word `offset`, and a sign.
    Offset,
}

fn token_length(text: &str, c: char) -> Result<usize, Unsupported> {
    let until = |end: fn(char) -> bool| text.find(end).unwrap_or(text.len());
    Ok(match c {
        '#' => until(|c| c == '\n' || c == '\r'),
        '"' | '\'' | '`' => quote::length(text)
            .ok_or_else(|| Unsupported::new("not PromQL: a string has no end"))?,
        _ if begins_number(text) => number_length(text),
        _ if c.is_ascii_alphabetic() || c == '_' || c == ':' => {
            until(|c| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
        }
        _ => c.len_utf8(),
    })
}

fn begins_number(text: &str) -> bool {
    let mut chars = text.chars();
    match chars.next() {
        Some('.') => chars.next().is_some_and(|c| c.is_ascii_digit()),
        first => first.is_some_and(|c| c.is_ascii_digit()),
    }
}

/// Digits, letters, dots, and the sign of an exponent: whether it is a number is seen later.
fn number_length(text: &str) -> usize {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let exponent = matches!(before, 'e' | 'E') && matches!(c, '+' | '-');
        if !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.') || exponent) {
            return at;
        }
        before = c;
    }
    text.len()
}

/// A number as Go reads it: with `_` between digits, hexadecimal, octal with a leading zero.
fn number(token: &str) -> Option<f64> {
    let chars = token.chars().collect::<Vec<_>>();
    let parts_digits = |at: usize| {
        let digit = |c: Option<&char>| c.is_some_and(char::is_ascii_hexdigit);
        let before = at.checked_sub(1).and_then(|before| chars.get(before));
        (digit(before) || matches!(before, Some('x' | 'X'))) && digit(chars.get(at + 1))
    };
    let underscores = (0..chars.len()).filter(|at| chars[*at] == '_');
    if !underscores.into_iter().all(parts_digits) {
        return None;
    }
    let digits = token.replace('_', "");
    let radix = |digits: &str, radix| {
        let value = i64::from_str_radix(digits, radix).ok()?;
        #[allow(clippy::cast_precision_loss)]
        Some(value as f64)
    };
    let octal = digits.strip_prefix('0').filter(|rest| !rest.is_empty());
    match octal {
        // Prometheus takes an `e` for an exponent there too, and then reads none of it, or all.
        Some(rest) if rest.starts_with(['x', 'X']) && rest.contains(['e', 'E']) => None,
        Some(rest) if rest.starts_with(['x', 'X']) => radix(&rest[1..], 16),
        Some(rest) if rest.chars().all(|c| ('0'..='7').contains(&c)) => radix(rest, 8),
        _ => digits.parse().ok().filter(|value: &f64| value.is_finite()),
    }
}

fn seconds(token: &str) -> Option<f64> {
    Some(duration::parse(token)?.as_secs_f64())
}

fn not_a_number(token: &str) -> Unsupported {
    let units = token.trim_start_matches(|c: char| c.is_ascii_digit());
    if units.starts_with(['y', 'w', 'd', 'h', 'm', 's']) && token.len() > 9 {
        return Unsupported(format!("`{token}` is too long a duration, or none"));
    }
    Unsupported(format!(
        "not PromQL: `{token}` is no number and no duration"
    ))
}

fn string(token: &str, pattern: bool) -> Result<String, Unsupported> {
    let mut said = quote::unquote(token)
        .map_err(|reason| Unsupported(format!("not PromQL: {reason}, not {token}")))?;
    if pattern {
        said = escapes::plain(&said);
    }
    let escaped = said
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    Ok(format!("\"{escaped}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_become_decimal() {
        let cases = [
            ("1_000 + 0x1F - 0X_ff", "1000 + 31 - 255"),
            ("0755 089 0 .5 2. 0e1 1e-3", "493 89 0 0.5 2 0 0.001"),
            ("a[1h30m:500ms] offset -1d", "a[5400:0.5] offset -86400"),
            ("x0y{a1=\"0x10\"}", "x0y{a1=\"0x10\"}"),
            ("1e3-1", "1000-1"),
            ("a # 0x10 \"\n+ 1", "a  \n+ 1"),
            (
                "predict_linear(a[1h], 4h)",
                "predict_linear(a[3600], 14400)",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(normalized(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn strings_become_double_quoted() {
        let text = r#"a{b=~`\d+"`, c='it\'s'}"#;
        let expected = r#"a{b=~"\\d+\"", c="it's"}"#;
        assert_eq!(normalized(text).unwrap(), expected);
    }

    #[test]
    fn only_patterns_are_rewritten() {
        let text = r"a{b=~`\Q.`, c !~ # \Q
            '\\101', d=`\Q.`}";
        let expected = r#"a{b=~"\\.", c !~  
            "\\x{41}", d="\\Q."}"#;
        assert_eq!(normalized(text).unwrap(), expected);
    }

    #[test]
    fn what_prometheus_would_not_read_is_refused() {
        let cases = [
            ("1__0", "no number"),
            ("1_", "no number"),
            ("0xg", "no number"),
            ("0x1e-1", "no number"),
            ("1x", "no number"),
            ("a[1m1h]", "no number"),
            ("a[99999999999999s]", "too long"),
            ("a[1e300]", "too long"),
            ("a offset 1e300", "too long"),
            ("a offset - Inf", "not a duration"),
            ("a offset NaN", "not a duration"),
            ("\"open", "no end"),
            (r#""\xff""#, "UTF-8"),
        ];
        for (text, reason) in cases {
            let Unsupported(refusal) = normalized(text).unwrap_err();
            assert!(refusal.contains(reason), "{text}: {refusal}");
        }
    }
}
