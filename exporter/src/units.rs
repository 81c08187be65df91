//! Durations, sizes and shares as an operator writes them in the configuration.
//!
//! Whole numbers only, and every number has its unit: `30` is refused rather than guessed, and
//! bytes never pass through a floating-point number.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

mod parse;

/// A length of time: `30s`, `5m`, `1h30m` (units `ms s m h d w y`, as in Prometheus).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(pub Duration);

/// A number of bytes: `20GiB` (1024 based: `KiB MiB GiB TiB PiB`) or `20GB` (1000 based:
/// `kB MB GB TB PB`), or `4096B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A part of something whose size is known later: a number of bytes, or whole per cent of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Amount {
    /// So many bytes, whatever the whole is.
    Bytes(ByteSize),
    /// So many hundredths of the whole, 0 to 100.
    Percent(u8),
}

impl Amount {
    /// The amount in bytes, of a whole of `total` bytes; per cent are rounded down.
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Bytes(ByteSize(bytes)) => bytes,
            // total * percent / 100 without overflow.
            Self::Percent(percent) => {
                let percent = u64::from(percent);
                total / 100 * percent + total % 100 * percent / 100
            }
        }
    }
}

/// A value that is not of its unit. The message says what was written and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {wanted}: {cause}")]
pub struct UnitError {
    /// What was written.
    text: String,
    /// What it should have been.
    wanted: &'static str,
    /// Why it is not, and how to write it.
    cause: String,
}

impl FromStr for TimeSpan {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse::duration(text)
            .map(Self)
            .map_err(|cause| UnitError::new(text, "duration", cause))
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse::bytes(text)
            .map(Self)
            .map_err(|cause| UnitError::new(text, "size", cause))
    }
}

impl FromStr for Amount {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let amount = if text.ends_with('%') {
            parse::percent(text).map(Self::Percent)
        } else {
            parse::bytes(text).map(|bytes| Self::Bytes(ByteSize(bytes)))
        };
        amount.map_err(|cause| UnitError::new(text, "size or share", cause))
    }
}

impl UnitError {
    fn new(text: &str, wanted: &'static str, cause: String) -> Self {
        Self {
            text: text.to_owned(),
            wanted,
            cause,
        }
    }
}

impl fmt::Display for TimeSpan {
    /// The same length of time in the form that is read: `1h30m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.as_millis();
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, millis) in parse::TIME_UNITS {
            let millis = u128::from(millis);
            if left >= millis {
                write!(f, "{}{unit}", left / millis)?;
                left %= millis;
            }
        }
        Ok(())
    }
}

impl fmt::Display for ByteSize {
    /// The same number of bytes in the largest unit that it is a whole number of: `20GiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = parse::largest_unit(self.0);
        write!(f, "{}{unit}", self.0 / size)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Reads a unit from a string of the configuration. A bare number is refused with the same words
/// as a string without a unit.
struct Written<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = UnitError>> de::Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number with its unit, as a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

macro_rules! deserialize_as_written {
    ($($unit:ty),*) => {$(
        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Written(std::marker::PhantomData))
            }
        }
    )*};
}
deserialize_as_written!(TimeSpan, ByteSize, Amount);

#[cfg(test)]
mod tests;
