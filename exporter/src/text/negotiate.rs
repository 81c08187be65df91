//! Which format an `Accept` header asks for.

use super::Format;

/// The format for an `Accept` header: OpenMetrics 1.0 if the reader prefers it to plain text,
/// else 0.0.4, which is also the answer to a missing header, to `*/*` and to types that we do not
/// have. Among equal weights the first named wins, as in client_golang
/// (`expfmt.NegotiateIncludingOpenMetrics`); a weight of 0 is a refusal (RFC 9110, 12.4.2).
pub fn negotiate(accept: Option<&str>) -> Format {
    let mut best: Option<(u16, Format)> = None;
    for range in accept.unwrap_or_default().split(',') {
        if let Some((weight, format)) = offer(range)
            && weight > best.map_or(0, |(best, _)| best)
        {
            best = Some((weight, format));
        }
    }
    best.map_or(Format::Classic, |(_, format)| format)
}

/// The weight (in thousandths) and the format that one media range asks for, if it is one of ours.
fn offer(range: &str) -> Option<(u16, Format)> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    let mut version = None;
    let mut weight = 1000;
    for parameter in parts {
        let Some((key, value)) = parameter.split_once('=') else {
            continue;
        };
        let value = value.trim().trim_matches('"');
        match key.trim().to_ascii_lowercase().as_str() {
            "version" => version = Some(value),
            "q" => weight = thousandths(value)?,
            _ => {}
        }
    }
    let format = match (media.as_str(), version) {
        ("application/openmetrics-text", None | Some("1.0.0")) => Format::OpenMetrics,
        ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", _) => Format::Classic,
        _ => return None,
    };
    Some((weight, format))
}

/// A weight such as `0.75` in thousandths; a malformed one makes its range void.
fn thousandths(q: &str) -> Option<u16> {
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}
