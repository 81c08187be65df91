//! Numbers as Go's `fmt` and the functions of Prometheus's templates write them
//! (template/template.go and prometheus/common `helpers/templates`, Prometheus 3.5).

use super::function::Function;

/// Digits of the `%.4g` that all humanize functions end in.
const HUMAN_DIGITS: usize = 4;
const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_1024: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// What a humanize function makes of a number; `None` if it is another function.
pub(super) fn humanized(function: Function, value: f64) -> Option<String> {
    let percentage = function == Function::HumanizePercentage;
    if !value.is_finite() {
        let sign = if percentage { "%" } else { "" };
        return Some(format!("{}{sign}", not_finite(value)));
    }
    Some(match function {
        Function::HumanizePercentage => format!("{}%", human(value * 100.0)),
        Function::Humanize if value.abs() >= 1.0 => scaled_down(value, 1000.0, &LARGE),
        Function::Humanize => scaled_up(value),
        Function::Humanize1024 => scaled_down(value, 1024.0, &LARGE_1024),
        Function::HumanizeDuration if value.abs() >= 1.0 => duration(value),
        Function::HumanizeDuration => format!("{}s", scaled_up(value)),
        _ => return None,
    })
}

/// Reads a number as Go's `strconv.ParseFloat` does, but for hexadecimal ones.
pub(super) fn parse(text: &str) -> Result<f64, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
    let number = text.chars().all(known).then(|| text.parse::<f64>().ok());
    match number.flatten() {
        Some(number) if number.is_infinite() && !text.to_ascii_lowercase().contains("inf") => Err(
            format!("strconv.ParseFloat: parsing {text:?}: value out of range"),
        ),
        Some(number) => Ok(number),
        None => Err(format!(
            "strconv.ParseFloat: parsing {text:?}: invalid syntax"
        )),
    }
}

pub(super) fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    }
}

fn human(value: f64) -> String {
    if value.is_finite() {
        general(value, Some(HUMAN_DIGITS))
    } else {
        not_finite(value).to_owned()
    }
}

fn scaled_down(mut value: f64, step: f64, prefixes: &[&'static str]) -> String {
    let mut used = "";
    for prefix in prefixes {
        if value.abs() < step {
            break;
        }
        used = prefix;
        value /= step;
    }
    format!("{}{used}", human(value))
}

fn scaled_up(mut value: f64) -> String {
    let mut used = "";
    for prefix in SMALL {
        if value == 0.0 || value.abs() >= 1.0 {
            break;
        }
        used = prefix;
        value *= 1000.0;
    }
    format!("{}{used}", human(value))
}

fn duration(value: f64) -> String {
    let sign = if value < 0.0 { "-" } else { "" };
    let seconds = value.abs();
    // A float beyond 64 bits becomes the least integer, as on the machines that Go runs on.
    #[allow(clippy::cast_possible_truncation)] // A float is cut, and was checked to fit.
    let whole = if seconds < i64::MAX as f64 {
        seconds as i64
    } else {
        i64::MIN
    };
    let (second, minute) = (whole % 60, whole / 60 % 60);
    let (hour, day) = (whole / 3600 % 24, whole / 86_400);
    if day != 0 {
        format!("{sign}{day}d {hour}h {minute}m {second}s")
    } else if hour != 0 {
        format!("{sign}{hour}h {minute}m {second}s")
    } else if minute != 0 {
        format!("{sign}{minute}m {second}s")
    } else {
        format!("{sign}{}s", human(seconds))
    }
}

/// Go's `%g`: `digits` significant ones, or as many as tell the value from its neighbours.
/// An exponent is written below 10^-4, and from 10^digits on (10^6 without `digits`).
pub(super) fn general(value: f64, digits: Option<usize>) -> String {
    if !value.is_finite() {
        return not_finite(value).to_owned();
    }
    let scientific = match digits {
        Some(digits) => format!("{value:.*e}", digits.saturating_sub(1)),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent = exponent.parse::<i32>().unwrap_or_default();
    let limit = match digits {
        Some(digits) => i32::try_from(digits).unwrap_or(i32::MAX),
        None => 6,
    };
    let trimmed = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    match digits {
        None => format!("{value}"),
        Some(_) => {
            let behind = usize::try_from(limit - 1 - exponent).unwrap_or_default();
            trimmed(&format!("{value:.behind$}"))
        }
    }
}

/// Go's `%e`: the exponent has a sign and at least two digits.
pub(super) fn scientific(value: f64, digits: usize) -> String {
    let shown = format!("{value:.digits$e}");
    match shown.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => shown,
    }
}
