//! Strings in quotes, as PromQL has them (util/strutil/quote.go, Prometheus 3.5).

/// How long the string in quotes at the head of a text is, quotes and all; `None` if there is
/// none, or no end of it.
pub(crate) fn length(text: &str) -> Option<usize> {
    let quote = text
        .chars()
        .next()
        .filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if quote != '`' => {
                chars.next()?;
            }
            '\n' if quote != '`' => return None,
            _ if c == quote => return Some(at + c.len_utf8()),
            _ => {}
        }
    }
    None
}

/// What a string in quotes says; otherwise what is wrong with it.
pub(crate) fn unquote(text: &str) -> Result<String, &'static str> {
    let quote = text.chars().next().unwrap_or_default();
    let inside = text
        .strip_prefix(quote)
        .and_then(|text| text.strip_suffix(quote))
        .ok_or("a string must end with the quote that it begins with")?;
    if quote == '`' {
        return Ok(inside.to_owned());
    }
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        rest =
            unescape(escape, quote, &mut bytes).ok_or("an escape sequence must be a known one")?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).map_err(|_| "a string must be UTF-8")
}

/// Reads what follows a backslash.
fn unescape<'a>(text: &'a str, quote: char, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let kind = text.chars().next()?;
    let rest = &text[kind.len_utf8()..];
    let byte = match kind {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        _ if kind == quote => u8::try_from(kind).ok()?,
        'x' => u8::try_from(digits(rest, 2, 16)?).ok()?,
        '0'..='7' => u8::try_from(digits(text, 3, 8)?).ok()?,
        'u' => return character(rest, 4, bytes),
        'U' => return character(rest, 8, bytes),
        _ => return None,
    };
    bytes.push(byte);
    match kind {
        'x' => rest.get(2..),
        '0'..='7' => text.get(3..),
        _ => Some(rest),
    }
}

fn character<'a>(text: &'a str, length: usize, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let character = char::from_u32(digits(text, length, 16)?)?;
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    text.get(length..)
}

fn digits(text: &str, length: usize, radix: u32) -> Option<u32> {
    let digits = text.get(..length)?;
    let all = digits.chars().all(|c| c.is_digit(radix));
    all.then(|| u32::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_says_what_prometheus_reads_in_it() {
        let cases = [
            (r#""plain""#, "plain"),
            (r#"'it\'s "so"'"#, "it's \"so\""),
            (r"`\d+ 'as' is`", r"\d+ 'as' is"),
            (
                r#""\t\n\\\x41\101\u00e9\U0001f600""#,
                "\t\n\\AA\u{e9}\u{1f600}",
            ),
            (r#""\xc3\xa9""#, "\u{e9}"),
        ];
        for (text, said) in cases {
            assert_eq!(unquote(text).as_deref(), Ok(said), "{text}");
            assert_eq!(
                length(&format!("{text} tail\"'`")),
                Some(text.len()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_string_that_prometheus_would_not_read_is_none() {
        for text in [
            r#""\xff""#,
            r#""\d""#,
            r#""\x4""#,
            r#""\'""#,
            r#""\400""#,
            r#""\ud800""#,
        ] {
            assert!(unquote(text).is_err(), "{text}");
        }
        for text in ["plain", "\"open", "\"line\n\"", "\"\\\"", ""] {
            assert_eq!(length(text), None, "{text}");
        }
    }
}
