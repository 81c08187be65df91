//! The decision, from a row and the evidence beside it.

use std::time::SystemTime;

use super::{
    Added, MissedBy, Origin,
    cache::{Lookup, NarInfo},
    evidence::Evidence,
    hash,
    rows::Row,
};

pub(super) fn classify(row: Row, evidence: &Evidence<'_>) -> Added {
    let origin = origin(&row, evidence);
    let missed_by = if origin == Origin::Built && evidence.may_be_substituted {
        missed_by(&row, evidence)
    } else {
        MissedBy::Nobody
    };
    Added {
        path: row.path,
        nar_bytes: row.nar_bytes,
        origin,
        missed_by,
    }
}

fn origin(row: &Row, evidence: &Evidence<'_>) -> Origin {
    if row.ultimate {
        return Origin::Built;
    }
    if let Some((lookup, info)) = hit(row, evidence.lookups.unwrap_or_default()) {
        return Origin::Substituted {
            from: Some(lookup.url.clone()),
            download_bytes: info.file_size,
        };
    }
    let made = row.deriver.is_some() || row.is_output;
    if !made && row.content_addressed {
        return Origin::Source;
    }
    // A remote builder's output is copied back without a mark of its own.
    if evidence.log_begun.is_some() {
        return Origin::Built;
    }
    if evidence.lookups.is_none() && !row.signatures.is_empty() {
        return Origin::Substituted {
            from: None,
            download_bytes: None,
        };
    }
    Origin::Copied
}

/// The substituter that Nix took the path from: the first by priority that has this very NAR. All
/// its signatures came along (`ValidPathInfo` is taken over whole); a path that was copied in with
/// others was not taken from there.
fn hit<'a>(row: &Row, lookups: &'a [Lookup]) -> Option<(&'a Lookup, &'a NarInfo)> {
    had_by(row, lookups)
        .filter_map(|lookup| Some((lookup, lookup.found.as_ref()?)))
        .filter(|(_, info)| info.signatures.iter().all(|s| row.signatures.contains(s)))
        .min_by_key(|(lookup, _)| lookup.priority)
}

/// The answers of substituters that had just these contents, wherever the path came from.
pub(super) fn had_by<'a>(row: &Row, lookups: &'a [Lookup]) -> impl Iterator<Item = &'a Lookup> {
    let nar_hash = hash::to_base32(&row.nar_hash);
    lookups.iter().filter(move |lookup| {
        let found = lookup.found.as_ref();
        found.is_some_and(|info| hash::to_base32(&info.nar_hash) == nar_hash)
    })
}

fn missed_by(row: &Row, evidence: &Evidence<'_>) -> MissedBy {
    let Some(lookups) = evidence.lookups else {
        return MissedBy::Unknown;
    };
    // Asked before the build, which may have been long, or within the time that a refusal is
    // remembered before that.
    let begun = evidence
        .log_begun
        .map_or(row.registered, |t| t.min(row.registered));
    let since = begun
        .checked_sub(evidence.negative_ttl)
        .unwrap_or(SystemTime::UNIX_EPOCH);
    let refusals: Vec<String> = lookups
        .iter()
        .filter(|l| l.found.is_none() && l.at >= since && l.at <= row.registered)
        .map(|l| l.url.clone())
        .collect();
    if refusals.is_empty() {
        MissedBy::Nobody
    } else {
        MissedBy::Substituters(refusals)
    }
}
