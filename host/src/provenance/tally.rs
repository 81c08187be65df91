//! Counters that only grow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Look, MissedBy, Origin};

/// Paths and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Store paths.
    pub paths: u64,
    /// The sum of their NAR sizes in bytes, uncompressed.
    pub nar_bytes: u64,
}

impl Count {
    fn add(&mut self, nar_bytes: u64) {
        self.paths = self.paths.saturating_add(1);
        self.nar_bytes = self.nar_bytes.saturating_add(nar_bytes);
    }
}

/// What one substituter was good for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubstituterTally {
    /// Paths that came from it.
    pub hits: Count,
    /// Paths that were built because it, asked, had them not.
    pub misses: Count,
    /// Bytes that came over the wire, compressed, as far as the substituter said them.
    pub download_bytes: u64,
}

/// Everything that came into the store since the first look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Paths from a substituter.
    pub substituted: Count,
    /// Paths that were built here or on a remote builder.
    pub built: Count,
    /// Paths that were copied in.
    pub copied: Count,
    /// Sources, derivations, texts.
    pub sources: Count,
    /// Paths that were built because every substituter that was asked had them not. Unlike the
    /// sum over substituters this counts each path once.
    pub misses: Count,
    /// By URL; what cannot be attributed is under [`Tally::UNKNOWN`].
    pub substituters: BTreeMap<String, SubstituterTally>,
    /// Paths that came and went between two looks.
    pub vanished: u64,
}

impl Tally {
    /// The name for a substituter that is not known, because what Nix remembers of them cannot be
    /// read. No URL is spelt like it.
    pub const UNKNOWN: &'static str = "unknown";

    /// Adds what one look found.
    pub fn count(&mut self, look: &Look) {
        self.vanished = self.vanished.saturating_add(look.vanished);
        for added in &look.added {
            let bytes = added.nar_bytes;
            match &added.origin {
                Origin::Substituted {
                    from,
                    download_bytes,
                } => {
                    self.substituted.add(bytes);
                    let tally = self.of(from.as_deref().unwrap_or(Self::UNKNOWN));
                    tally.hits.add(bytes);
                    let downloaded = download_bytes.unwrap_or(0);
                    tally.download_bytes = tally.download_bytes.saturating_add(downloaded);
                }
                Origin::Built => self.built.add(bytes),
                Origin::Copied => self.copied.add(bytes),
                Origin::Source => self.sources.add(bytes),
            }
            match &added.missed_by {
                MissedBy::Nobody => {}
                MissedBy::Substituters(urls) => {
                    self.misses.add(bytes);
                    for url in urls {
                        self.of(url).misses.add(bytes);
                    }
                }
                MissedBy::Unknown => {
                    self.misses.add(bytes);
                    self.of(Self::UNKNOWN).misses.add(bytes);
                }
            }
        }
    }

    fn of(&mut self, substituter: &str) -> &mut SubstituterTally {
        self.substituters.entry(substituter.to_owned()).or_default()
    }
}
