//! The JSON of the state file.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io,
    time::{Duration, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{StateFile, millis, names};
use crate::sample::{Family, Kind, Sample};

const VERSION: u32 = 1;

/// Read first and alone, so that a file of another version is called that.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    version: u32,
    written_at_ms: u64,
    tick_seconds: u64,
    families: Vec<WireFamily>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireFamily {
    name: String,
    help: String,
    kind: WireKind,
    samples: Vec<WireSample>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireKind {
    Gauge,
    Counter,
    Info,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSample {
    labels: BTreeMap<String, String>,
    value: WireValue,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WireValue {
    Number(f64),
    Other(NotANumber),
}

#[derive(Serialize, Deserialize)]
enum NotANumber {
    NaN,
    #[serde(rename = "+Inf")]
    Infinite,
    #[serde(rename = "-Inf")]
    NegativeInfinite,
}

/// The state in `text`, or what is wrong with it.
pub(super) fn parse(text: &[u8]) -> Result<StateFile, String> {
    let not_json = |error: serde_json::Error| format!("it is not a state file: {error}");
    let Versioned { version } = serde_json::from_slice(text).map_err(not_json)?;
    if version != VERSION {
        return Err(format!(
            "it is of version {version}, this program reads {VERSION}"
        ));
    }
    let wire: Wire = serde_json::from_slice(text).map_err(not_json)?;
    if wire.tick_seconds == 0 {
        return Err("its tick_seconds is 0".to_owned());
    }
    let state = StateFile {
        written_at: UNIX_EPOCH
            .checked_add(Duration::from_millis(wire.written_at_ms))
            .ok_or("its written_at_ms is no time")?,
        tick: Duration::from_secs(wire.tick_seconds),
        families: wire.families.into_iter().map(Family::from).collect(),
    };
    names::check(&state.families)?;
    Ok(state)
}

/// The state as JSON.
pub(super) fn text(state: &StateFile) -> io::Result<Vec<u8>> {
    let wire = Wire {
        version: VERSION,
        written_at_ms: millis(state.written_at),
        tick_seconds: state.tick.as_secs().max(1),
        families: state.families.iter().map(WireFamily::from).collect(),
    };
    let mut text = serde_json::to_vec(&wire)?;
    text.push(b'\n');
    Ok(text)
}

impl From<WireFamily> for Family {
    fn from(wire: WireFamily) -> Self {
        Self {
            name: Cow::Owned(wire.name),
            help: Cow::Owned(wire.help),
            kind: match wire.kind {
                WireKind::Gauge => Kind::Gauge,
                WireKind::Counter => Kind::Counter,
                WireKind::Info => Kind::Info,
            },
            samples: wire.samples.into_iter().map(Sample::from).collect(),
        }
    }
}

impl From<&Family> for WireFamily {
    fn from(family: &Family) -> Self {
        Self {
            name: family.name.to_string(),
            help: family.help.to_string(),
            kind: match family.kind {
                Kind::Gauge => WireKind::Gauge,
                Kind::Counter => WireKind::Counter,
                Kind::Info => WireKind::Info,
            },
            samples: family.samples.iter().map(WireSample::from).collect(),
        }
    }
}

impl From<WireSample> for Sample {
    fn from(wire: WireSample) -> Self {
        Self {
            labels: wire
                .labels
                .into_iter()
                .map(|(name, value)| (Cow::Owned(name), value))
                .collect(),
            value: match wire.value {
                WireValue::Number(value) => value,
                WireValue::Other(NotANumber::NaN) => f64::NAN,
                WireValue::Other(NotANumber::Infinite) => f64::INFINITY,
                WireValue::Other(NotANumber::NegativeInfinite) => f64::NEG_INFINITY,
            },
        }
    }
}

impl From<&Sample> for WireSample {
    fn from(sample: &Sample) -> Self {
        let value = sample.value;
        Self {
            labels: sample
                .labels
                .iter()
                .map(|(name, value)| (name.to_string(), value.clone()))
                .collect(),
            value: if value.is_nan() {
                WireValue::Other(NotANumber::NaN)
            } else if value == f64::INFINITY {
                WireValue::Other(NotANumber::Infinite)
            } else if value == f64::NEG_INFINITY {
                WireValue::Other(NotANumber::NegativeInfinite)
            } else {
                WireValue::Number(value)
            },
        }
    }
}
