//! Durations as Prometheus writes them: `1h30m`, `15s`, `250ms`.

use std::time::Duration;

/// The units in the order in which they must stand, each with its milliseconds. A day has always
/// 24 hours, a week 7 days, a year 365 days (`model/time.go` of prometheus/common).
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 60 * 60 * 1000),
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// The longest duration that Prometheus holds: 2^63 nanoseconds, about 292 years.
pub(crate) const LONGEST: Duration = Duration::from_nanos(i64::MAX as u64);

/// Reads a duration; `None` if it is none. Units go from large to small, each at most once.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    if text.is_empty() {
        return None;
    }
    let (mut rest, mut units, mut total_ms) = (text, UNITS.as_slice(), 0_u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let place = units.iter().position(|(name, _)| *name == unit)?;
        let ms = number.parse::<u64>().ok()?.checked_mul(units[place].1)?;
        total_ms = total_ms.checked_add(ms)?;
        units = &units[place + 1..];
        rest = tail;
    }
    Some(Duration::from_millis(total_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_go_from_large_to_small_each_at_most_once() {
        let ms = |text: &str| parse(text).map(|d| d.as_millis());
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("1m500ms"), Some(60_500));
        assert_eq!(ms("1y2w3d"), Some((365 + 14 + 3) * 86_400_000));
        assert_eq!(ms("0"), Some(0));
        assert_eq!(ms("0s"), Some(0));
    }

    #[test]
    fn what_prometheus_would_not_read_is_no_duration() {
        let bad = [
            "",
            "5",
            "s",
            "1.5m",
            "-1m",
            "1m1h",
            "1m1m",
            "1 m",
            "5min",
            "99999999999999999999s",
            "9999999999999y",
        ];
        for text in bad {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
