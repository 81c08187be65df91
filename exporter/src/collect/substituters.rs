//! Where new paths came from, and what the substituters were good for.
//!
//! Counted from the first collection on: the exporter keeps nothing on disk, and a counter that
//! begins anew is what Prometheus expects of a program that was restarted.

use std::collections::BTreeMap;

use snowguard_host::{
    NixConf,
    provenance::{Cursor, Look, SubstituterTally, Tally, default_dir},
};

use super::{CollectError, Collector, Context, Name};
use crate::sample::{Family, Kind, count, flag};

/// What came so far, and where the next look begins.
#[derive(Debug, Default)]
pub(super) struct Substituters {
    cursor: Option<Cursor>,
    tally: Tally,
}

impl Collector for Substituters {
    fn name(&self) -> &'static str {
        Name::Substituters.as_str()
    }

    fn families(&self) -> &'static [&'static str] {
        &[
            "nix_substituter_cache_readable",
            "nix_store_paths_added_total",
            "nix_store_nar_bytes_added_total",
            "nix_substitution_misses_total",
            "nix_substitution_missed_nar_bytes_total",
            "nix_substituter_hits_total",
            "nix_substituter_misses_total",
            "nix_substituter_hit_nar_bytes_total",
            "nix_substituter_missed_nar_bytes_total",
            "nix_substituter_download_bytes_total",
        ]
    }

    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        let conf = NixConf::read(cx.layout())?;
        let cache_dir = default_dir(cx.layout());
        let look = Look::take(cx.layout(), &conf, &cache_dir, self.cursor)?;
        self.tally.count(&look);
        let is_readable = look.substituters.is_ok();
        self.cursor = Some(look.cursor);
        let mut families = totals(&self.tally);
        families.extend(by_substituter(&self.tally, &conf));
        families.push(Family::gauge(
            "nix_substituter_cache_readable",
            "1 if what root's Nix remembers of its substituters (the narinfo cache) could be read; if 0, hits and misses have no substituter's name",
            flag(is_readable),
        ));
        Ok(families)
    }
}

fn totals(tally: &Tally) -> Vec<Family> {
    let mut paths = Family::of(
        Kind::Counter,
        "nix_store_paths_added_total",
        "Paths registered in the store, by origin; vanished is what was deleted again before it was seen",
    );
    let mut bytes = Family::of(
        Kind::Counter,
        "nix_store_nar_bytes_added_total",
        "NAR sizes in bytes of the paths registered in the store, by origin",
    );
    for (origin, added) in [
        ("substituted", tally.substituted),
        ("built", tally.built),
        ("copied", tally.copied),
        ("source", tally.sources),
    ] {
        let label = || vec![("origin", origin.to_owned())];
        paths.push(label(), count(added.paths));
        bytes.push(label(), count(added.nar_bytes));
    }
    paths.push(
        vec![("origin", "vanished".to_owned())],
        count(tally.vanished),
    );
    vec![
        paths,
        bytes,
        Family::counter(
            "nix_substitution_misses_total",
            "Paths that were built because no substituter that was asked had them, each counted once",
            count(tally.misses.paths),
        ),
        Family::counter(
            "nix_substitution_missed_nar_bytes_total",
            "NAR sizes in bytes of the paths that were built because no substituter that was asked had them",
            count(tally.misses.nar_bytes),
        ),
    ]
}

fn by_substituter(tally: &Tally, conf: &NixConf) -> Vec<Family> {
    let counter = |name, help| Family::of(Kind::Counter, name, help);
    let mut hits = counter(
        "nix_substituter_hits_total",
        "Paths that came from the substituter",
    );
    let mut misses = counter(
        "nix_substituter_misses_total",
        "Paths that were built although the substituter was asked: it had them not",
    );
    let mut hit_bytes = counter(
        "nix_substituter_hit_nar_bytes_total",
        "NAR sizes in bytes, uncompressed, of the paths that came from the substituter",
    );
    let mut missed_bytes = counter(
        "nix_substituter_missed_nar_bytes_total",
        "NAR sizes in bytes of the paths that the substituter was asked for and had not",
    );
    let mut downloads = counter(
        "nix_substituter_download_bytes_total",
        "Compressed bytes that came from the substituter, as far as it said them",
    );
    for (substituter, tally) in labelled(tally, conf) {
        let label = || vec![("substituter", substituter.clone())];
        hits.push(label(), count(tally.hits.paths));
        misses.push(label(), count(tally.misses.paths));
        hit_bytes.push(label(), count(tally.hits.nar_bytes));
        missed_bytes.push(label(), count(tally.misses.nar_bytes));
        downloads.push(label(), count(tally.download_bytes));
    }
    vec![hits, misses, hit_bytes, missed_bytes, downloads]
}

/// The tallies by label: those of the substituters that are configured, from zero on, and of all
/// others that were met.
fn labelled(tally: &Tally, conf: &NixConf) -> BTreeMap<String, SubstituterTally> {
    let mut all: BTreeMap<String, SubstituterTally> = conf
        .substituters
        .iter()
        // Nix remembers no others, so that they could never leave zero.
        .filter(|url| {
            ["http://", "https://", "s3://"]
                .iter()
                .any(|s| url.starts_with(s))
        })
        .map(|url| (label_value(url), SubstituterTally::default()))
        .collect();
    for (url, tally) in &tally.substituters {
        add(all.entry(label_value(url)).or_default(), tally);
    }
    all
}

fn add(sum: &mut SubstituterTally, part: &SubstituterTally) {
    for (sum, part) in [(&mut sum.hits, part.hits), (&mut sum.misses, part.misses)] {
        sum.paths = sum.paths.saturating_add(part.paths);
        sum.nar_bytes = sum.nar_bytes.saturating_add(part.nar_bytes);
    }
    sum.download_bytes = sum.download_bytes.saturating_add(part.download_bytes);
}

/// The URL without user, password and parameters: a metric is readable to anyone, and those may
/// be secrets. Substituters that differ in nothing else share one label.
pub(super) fn label_value(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{}", path.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::{NixConf, SubstituterTally, Tally, label_value, labelled};

    #[test]
    fn no_secret_of_a_url_becomes_a_label() {
        let cases = [
            ("https://cache.nixos.org/", "https://cache.nixos.org"),
            (
                "https://me:pass@word@cache/x/?priority=1#f",
                "https://cache/x",
            ),
            ("https://c?user=me@x/y", "https://c"),
            ("s3://bucket?secret-key=/x", "s3://bucket"),
            (Tally::UNKNOWN, Tally::UNKNOWN),
        ];
        for (url, label) in cases {
            assert_eq!(label_value(url), label);
        }
    }

    #[test]
    fn configured_substituters_begin_at_zero_and_equal_labels_are_one_sum() {
        let conf = NixConf {
            substituters: ["https://a/", "https://b", "file:///c", "ssh://d"]
                .map(str::to_owned)
                .into(),
            ..NixConf::default()
        };
        let mut met = Tally::default();
        for url in ["https://a", "https://u:p@a"] {
            let mut one = SubstituterTally::default();
            one.hits.paths = 2;
            one.download_bytes = 5;
            met.substituters.insert(url.to_owned(), one);
        }
        let labelled = labelled(&met, &conf);
        let names: Vec<_> = labelled.keys().map(String::as_str).collect();
        assert_eq!(names, ["https://a", "https://b"]);
        assert_eq!(labelled["https://a"].hits.paths, 4);
        assert_eq!(labelled["https://a"].download_bytes, 10);
        assert_eq!(labelled["https://b"], SubstituterTally::default());
    }
}
