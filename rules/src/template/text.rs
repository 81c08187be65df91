//! Functions of texts (template/template.go, Prometheus 3.5).

use std::net::IpAddr;

use crate::pattern::{self, Replacement};

/// `reReplaceAll` (template/template.go): `Regexp.ReplaceAllString` of Go.
pub(super) fn replace_all(pattern: &str, replacement: &str, text: &str) -> Result<String, String> {
    let replacement = Replacement::read(replacement)?;
    let replaced = |captures: &regex::Captures<'_>| {
        let mut written = String::new();
        replacement.expand(captures, &mut written);
        written
    };
    let all = pattern::anywhere(pattern)?.replace_all(text, replaced);
    Ok(all.into_owned())
}

/// Go's simple mapping: a letter becomes one letter.
pub(super) fn upper(text: &str) -> String {
    let one = |c: char| {
        let mut upper = c.to_uppercase();
        match (upper.next(), upper.next()) {
            (Some(one), None) => one,
            _ => c,
        }
    };
    text.chars().map(one).collect()
}

pub(super) fn lower(text: &str) -> String {
    let one = |c: char| {
        let mut lower = c.to_lowercase();
        match (lower.next(), lower.next()) {
            (Some(one), None) => one,
            _ => c.to_lowercase().next().unwrap_or(c),
        }
    };
    text.chars().map(one).collect()
}

/// The first letter of each word as a capital (`cases.Title` without lowering, x/text: map.go).
///
/// A digit or an underscore does not end a word, and neither does a single sign that joins words.
pub(super) fn title(text: &str) -> String {
    let joins = |c: char| matches!(c, '\'' | '.' | ':' | '\u{b7}' | '\u{2019}');
    let mut out = String::with_capacity(text.len());
    let (mut within, mut joined) = (false, false);
    for c in text.chars() {
        if joined && joins(c) {
            within = false;
        }
        joined = joins(c);
        if c.is_lowercase() || c.is_uppercase() {
            let shown = if within {
                c.to_string()
            } else {
                upper(&c.to_string())
            };
            out.push_str(&shown);
            within = true;
        } else {
            out.push(c);
            within &= joined || c == '_' || c.is_alphanumeric();
        }
    }
    out
}

/// The host of `host:port`; the text itself if it is none.
pub(super) fn strip_port(text: &str) -> &str {
    split_host_port(text).map_or(text, |(host, _)| host)
}

/// The first part of the host's name; an address stays as it is.
pub(super) fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let host = host.split('.').next().unwrap_or_default();
    match port {
        "" => host.to_owned(),
        port if host.contains(':') => format!("[{host}]:{port}"),
        port => format!("{host}:{port}"),
    }
}

/// `net.SplitHostPort` of Go.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inside) => inside.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let plain = |part: &str| !part.contains(['[', ']']);
    (plain(host) && plain(port)).then_some((host, port))
}

/// Where a Prometheus shows an expression, as a graph (0) or a table (1) (util/strutil/strconv.go).
pub(super) fn link(expr: &str, tab: u8) -> String {
    let mut escaped = String::new();
    for byte in expr.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("/graph?g0.expr={escaped}&g0.tab={tab}")
}
