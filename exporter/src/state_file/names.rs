//! What may be published in the watchdog's name: one malformed name would make a reader refuse
//! the whole page, the exporter's own facts included.

use std::collections::HashSet;

use crate::sample::{Family, Kind};

const PREFIXES: [&str; 3] = ["snowguard_", "nix_", "nixos_"];

/// Checks families that were read from outside the program.
pub(super) fn check(families: &[Family]) -> Result<(), String> {
    let mut seen = HashSet::new();
    for family in families {
        check_family(family).map_err(|cause| format!("family {:?} {cause}", family.name))?;
        if !seen.insert(family.base_name()) {
            return Err(format!("family {:?} is there twice", family.name));
        }
    }
    Ok(())
}

fn check_family(family: &Family) -> Result<(), String> {
    let name = family.name.as_ref();
    if !is_name(name) || !PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(format!("must begin with one of {}", PREFIXES.join(", ")));
    }
    let kind = if name.ends_with("_total") {
        Kind::Counter
    } else if name.ends_with("_info") {
        Kind::Info
    } else {
        Kind::Gauge
    };
    if kind != family.kind {
        return Err("has a name that does not fit its kind".to_owned());
    }
    if ["_bucket", "_count", "_sum", "_created"]
        .iter()
        .any(|suffix| family.base_name().ends_with(suffix))
    {
        return Err("ends in a suffix that OpenMetrics reserves".to_owned());
    }
    if family.help.contains('\0') {
        return Err("has a NUL in its help".to_owned());
    }
    let mut seen = HashSet::new();
    for sample in &family.samples {
        for (name, value) in &sample.labels {
            if !is_name(name) || name.starts_with("__") || matches!(&**name, "le" | "quantile") {
                return Err(format!("has a label that may not be called {name:?}"));
            }
            if value.contains('\0') {
                return Err(format!("has a NUL in its label {name:?}"));
            }
        }
        let mut labels = sample.labels.clone();
        labels.sort();
        if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("has a label twice in one sample".to_owned());
        }
        if !seen.insert(labels) {
            return Err("has the same labels on two samples".to_owned());
        }
        if family.kind == Kind::Info && sample.value != 1.0 {
            return Err("is an info whose value is not 1".to_owned());
        }
        if family.kind == Kind::Counter && (sample.value.is_nan() || sample.value < 0.0) {
            return Err("is a counter below zero".to_owned());
        }
    }
    Ok(())
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`: no colon, which is for recording rules.
fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
