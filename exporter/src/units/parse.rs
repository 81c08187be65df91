//! From text to numbers; causes are phrases that complete "… is not a duration: ".

use std::time::Duration;

/// Units of time from the largest, in milliseconds (prometheus/common, `model.ParseDuration`).
pub(super) const TIME_UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

const SIZE_UNITS: [(&str, u64); 11] = [
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("PB", 1_000_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// The largest binary unit that the number is a whole multiple of.
pub(super) fn largest_unit(bytes: u64) -> (&'static str, u64) {
    SIZE_UNITS
        .into_iter()
        .filter(|(unit, _)| unit.ends_with("iB"))
        .find(|(_, size)| bytes != 0 && bytes.is_multiple_of(*size))
        .unwrap_or(("B", 1))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    let mut units = TIME_UNITS.iter();
    while !rest.is_empty() || text.is_empty() {
        let (number, after) = leading_number(rest, "30s, 5m or 1h30m")?;
        let end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        if unit.is_empty() {
            return Err("the unit is missing; write 30s, 5m or 1h30m".to_owned());
        }
        if !TIME_UNITS.iter().any(|(name, _)| *name == unit) {
            return Err(format!(
                "{unit:?} is no unit of time; the units are ms, s, m, h, d, w and y"
            ));
        }
        let Some((_, millis)) = units.find(|(name, _)| *name == unit) else {
            return Err("each unit stands once, the largest first, as in 1h30m".to_owned());
        };
        total = number
            .checked_mul(*millis)
            .and_then(|part| total.checked_add(part))
            .ok_or("it is too long")?;
        rest = after;
    }
    Ok(Duration::from_millis(total))
}

pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = leading_number(text, "20GiB or 500MB")?;
    if unit.is_empty() {
        return Err("the unit is missing; write 20GiB, 500MB or 4096B".to_owned());
    }
    if let Some((_, size)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) {
        return number
            .checked_mul(*size)
            .ok_or_else(|| "it is too large".to_owned());
    }
    let guess = SIZE_UNITS.iter().find(|(name, _)| {
        name.ends_with("iB") && name[..1].eq_ignore_ascii_case(unit.get(..1).unwrap_or_default())
    });
    Err(match guess {
        Some((binary, _)) => {
            let decimal = if *binary == "KiB" {
                "kB".to_owned()
            } else {
                binary.replace('i', "")
            };
            format!("{unit:?} is no unit of size; write {number}{binary} or {number}{decimal}")
        }
        None => format!(
            "{unit:?} is no unit of size; the units are B, KiB, MiB, GiB, TiB, PiB and kB, MB, GB, TB, PB"
        ),
    })
}

pub(super) fn percent(text: &str) -> Result<u8, String> {
    let (number, unit) = leading_number(text, "10%")?;
    if unit != "%" {
        return Err("write whole per cent, as in 10%".to_owned());
    }
    u8::try_from(number)
        .ok()
        .filter(|percent| *percent <= 100)
        .ok_or_else(|| "a share is at most 100%".to_owned())
}

fn leading_number<'t>(text: &'t str, example: &str) -> Result<(u64, &'t str), String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return Err(format!("it does not begin with a number; write {example}"));
    }
    if rest.starts_with(['.', ',']) {
        return Err("whole numbers only; take the next smaller unit".to_owned());
    }
    if rest.starts_with(char::is_whitespace) {
        return Err(format!("no space between number and unit; write {example}"));
    }
    let number = digits.parse().map_err(|_| "the number is too large")?;
    Ok((number, rest))
}
