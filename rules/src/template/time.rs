//! Times as Go shows them (time/format.go, Go 1.24).

use crate::duration;

const OVERFLOW: &str = "cannot be represented as a nanoseconds timestamp since it overflows int64";

/// Seconds since 1970 as `2006-01-02 15:04:05.999 +0000 UTC`.
pub(super) fn timestamp(seconds: f64) -> Result<String, String> {
    if !seconds.is_finite() {
        return Err("value is NaN or Inf".to_owned());
    }
    let ms = nanoseconds(seconds).ok_or_else(|| format!("{seconds} {OVERFLOW}"))? / 1_000_000;
    let (day, in_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = date(day);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, ms) = (in_day / 1000 % 60, in_day % 1000);
    let fraction = match ms {
        0 => String::new(),
        ms => format!(".{ms:03}").trim_end_matches('0').to_owned(),
    };
    Ok(format!(
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction} +0000 UTC"
    ))
}

/// Nanoseconds as Go's `int64(seconds * 1e9)`, `None` if it overflows.
#[allow(clippy::cast_possible_truncation)] // A float is cut, and was checked to fit.
fn nanoseconds(seconds: f64) -> Option<i64> {
    let nanoseconds = seconds * 1e9;
    (nanoseconds.abs() < i64::MAX as f64).then_some(nanoseconds as i64)
}

/// The date of a day since 1970 in the Gregorian calendar. Years are counted from March of the
/// year 0, in eras of 400 years.
fn date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next, month, day)
}

/// The seconds of a duration such as `-1h30m`.
pub(super) fn parse_duration(text: &str) -> Result<f64, String> {
    let (sign, positive) = match text.strip_prefix('-') {
        Some(positive) => (-1.0, positive),
        None => (1.0, text),
    };
    let span = duration::parse(positive)
        .ok_or_else(|| format!("not a valid duration string: {text:?}"))?;
    Ok(sign * span.as_secs_f64())
}
