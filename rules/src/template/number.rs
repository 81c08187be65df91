//! Numbers as Go's `fmt` and the functions of Prometheus's templates write them
//! (template/template.go and prometheus/common `helpers/templates`, Prometheus 3.5).

use super::Form;

/// Digits of the `%.4g` that all humanize functions end in.
const HUMAN_DIGITS: usize = 4;
const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_1024: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

pub(super) fn format(form: Form, value: f64) -> String {
    if !value.is_finite() {
        let sign = match form {
            Form::HumanizePercentage => "%",
            _ => "",
        };
        return format!("{}{sign}", not_finite(value));
    }
    match form {
        Form::Plain => general(value, None),
        Form::Fixed(digits) => format!("{value:.digits$}"),
        Form::HumanizePercentage => format!("{}%", human(value * 100.0)),
        Form::Humanize if value.abs() >= 1.0 => scaled_down(value, 1000.0, &LARGE),
        Form::Humanize => scaled_up(value),
        Form::Humanize1024 => scaled_down(value, 1024.0, &LARGE_1024),
        Form::HumanizeDuration if value.abs() >= 1.0 => duration(value),
        Form::HumanizeDuration => format!("{}s", scaled_up(value)),
    }
}

fn not_finite(value: f64) -> &'static str {
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
    let whole = seconds.trunc();
    let second = whole % 60.0;
    let minute = (whole / 60.0).trunc() % 60.0;
    let hour = (whole / 3600.0).trunc() % 24.0;
    let day = (whole / 86400.0).trunc();
    if day > 0.0 {
        format!("{sign}{day}d {hour}h {minute}m {second}s")
    } else if hour > 0.0 {
        format!("{sign}{hour}h {minute}m {second}s")
    } else if minute > 0.0 {
        format!("{sign}{minute}m {second}s")
    } else {
        format!("{sign}{}s", human(seconds))
    }
}

/// Go's `%g`: `digits` significant ones, or as many as tell the value from its neighbours.
/// An exponent is written below 10^-4, and from 10^digits on (10^6 without `digits`).
fn general(value: f64, digits: Option<usize>) -> String {
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
