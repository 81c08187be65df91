//! Sizes, times and names as people read them. No byte of a name reaches a terminal that could
//! move its cursor or forge a line.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path, time::SystemTime};

pub(super) use snowguard_watchdog::text::bytes as size;
use snowguard_watchdog::{clock, record::Mode};

/// `1 path`, `2 paths`.
pub(super) fn number(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A moment in UTC, to the second.
pub(super) fn time(at: SystemTime) -> String {
    time_ms(clock::millis(at))
}

/// A moment in UTC, to the second; the bare number if no calendar has it.
pub(super) fn time_ms(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(
        |_| format!("{at_ms} ms"),
        |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

/// The name of a mode, as the configuration writes it.
pub(super) const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "off",
        Mode::Observe => "observe",
        Mode::Act => "act",
    }
}

/// A name as text that loses nothing: bytes that are not UTF-8 become `\xff`, as in the metrics.
pub(super) fn lossless(name: impl AsRef<OsStr>) -> String {
    let mut out = String::new();
    for chunk in name.as_ref().as_bytes().utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// A path for people.
pub(super) fn path(path: &Path) -> String {
    printable(&lossless(path))
}

/// The text with everything escaped that is no visible character of one line.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Harmless, and easier to read as they are.
            '"' | '\'' | '\\' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    out
}

/// The same, for a message that may have several lines.
pub(super) fn printable_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_move_the_cursor_or_forge_a_line() {
        let hostile = "a\nb\x1b[2J\u{202e}\u{9b}\r\"c'";
        assert_eq!(printable(hostile), "a\\nb\\u{1b}[2J\\u{202e}\\u{9b}\\r\"c'");
        assert_eq!(lossless(OsStr::from_bytes(b"\xffz")), "\\xffz");
        assert_eq!(printable_lines("one\ntwo\x07"), "one\ntwo\\u{7}");
    }
}
