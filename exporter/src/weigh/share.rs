//! How much of the time a walk may take.

use serde::{Deserialize, Deserializer, de};

use crate::units::Amount;

/// A share of the time, 1 to 100 per cent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u8);

impl Share {
    /// Gentle: a hundred thousand files of a warm cache take some ten seconds.
    pub const DEFAULT: Self = Self(10);

    /// For collections: what they cost builds on the same two cores is less than 3 %.
    pub const OF_COLLECTIONS: Self = Self(3);

    /// So many per cent; `None` for 0 and for more than 100.
    pub fn percent(percent: u8) -> Option<Self> {
        (1..=100).contains(&percent).then_some(Self(percent))
    }

    pub(crate) fn get(self) -> u32 {
        self.0.into()
    }
}

/// `exporter.weigh_share` as written: `"0%"` is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written(pub(crate) Option<Share>);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Amount::deserialize(deserializer)? {
            Amount::Percent(percent) => Ok(Self(Share::percent(percent))),
            Amount::Bytes(_) => Err(de::Error::custom(
                "is a share of the time: write whole per cent, such as \"10%\"",
            )),
        }
    }
}
