//! Escapes that Go has and the `regex` crate has not: `\Q...\E` and octal numbers (`parse` and
//! `parseEscape`, regexp/syntax/parse.go, Go 1.24).

/// The pattern with `\Q...\E` written sign by sign, and octal numbers as hexadecimal ones.
/// Everything else, whatever is wrong with it too, stays as it is.
pub(crate) fn plain(pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = match c {
            '\\' if rest.starts_with(r"\Q") => {
                // Up to the first `\E`, whatever stands before it, or to the end.
                let quoted = &rest[2..];
                let (quoted, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
                written.push_str(&regex_syntax::escape(quoted));
                after
            }
            '\\' => escape(rest, &mut written),
            '[' => class(rest, &mut written),
            _ => {
                written.push(c);
                &rest[c.len_utf8()..]
            }
        };
    }
    written
}

/// Writes the class at the head of a text, and gives what follows it. In it `\Q` means nothing.
fn class<'p>(text: &'p str, written: &mut String) -> &'p str {
    let mut rest = text;
    // A bracket that comes first is a sign like any other.
    for first in ["[", "^", "]"] {
        if let Some(after) = rest.strip_prefix(first) {
            written.push_str(first);
            rest = after;
        }
    }
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\\' => {
                rest = escape(rest, written);
                continue;
            }
            '[' if rest.starts_with("[:") => rest.find(":]").map_or(1, |end| end + 2),
            _ => c.len_utf8(),
        };
        written.push_str(&rest[..length]);
        rest = &rest[length..];
        if c == ']' {
            break;
        }
    }
    rest
}

/// Writes the escape at the head of a text, and gives what follows it.
fn escape<'p>(text: &'p str, written: &mut String) -> &'p str {
    let after = &text[1..];
    let octal = |c: char| ('0'..='7').contains(&c);
    let digits = after.chars().take_while(|c| octal(*c)).take(3).count();
    // One digit that is not zero would be what a group matched, which Go does not have.
    let number = match digits {
        0 => None,
        1 if !after.starts_with('0') => None,
        _ => u32::from_str_radix(&after[..digits], 8).ok(),
    };
    if let Some(number) = number {
        written.push_str(&format!("\\x{{{number:x}}}"));
        return &after[digits..];
    }
    let length = 1 + after.chars().next().map_or(0, char::len_utf8);
    written.push_str(&text[..length]);
    &text[length..]
}
