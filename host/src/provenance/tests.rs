//! Each row of the table of origins, decided without a store.

use std::time::{Duration, SystemTime};

use super::{
    cache::{Lookup, NarInfo},
    classify::classify,
    evidence::Evidence,
    rows::Row,
    *,
};

const HASH: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const HASH_BASE32: &str = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn output() -> Row {
    Row {
        path: "/nix/store/00000000000000000000000000000000-a".to_owned(),
        nar_hash: HASH.to_owned(),
        nar_bytes: 100,
        registered: at(100_000),
        deriver: Some("/nix/store/00000000000000000000000000000000-a.drv".to_owned()),
        ultimate: false,
        signatures: Vec::new(),
        content_addressed: false,
        is_output: true,
    }
}

fn built() -> Row {
    Row {
        ultimate: true,
        ..output()
    }
}

fn source() -> Row {
    Row {
        deriver: None,
        is_output: false,
        content_addressed: true,
        ..output()
    }
}

fn signed() -> Row {
    Row {
        signatures: vec!["cache-1:abc".to_owned()],
        ..output()
    }
}

fn has(url: &str, priority: i64) -> Lookup {
    Lookup {
        url: url.to_owned(),
        priority,
        at: at(99_990),
        found: Some(NarInfo {
            nar_hash: HASH_BASE32.to_owned(),
            signatures: vec!["cache-1:abc".to_owned()],
            file_size: Some(40),
        }),
    }
}

fn has_not(url: &str, seconds: u64) -> Lookup {
    Lookup {
        url: url.to_owned(),
        priority: 40,
        at: at(seconds),
        found: None,
    }
}

fn knowing(lookups: &[Lookup]) -> Evidence<'_> {
    Evidence {
        lookups: Some(lookups),
        log_begun: None,
        may_be_substituted: true,
        negative_ttl: HOUR,
    }
}

fn blind() -> Evidence<'static> {
    Evidence {
        lookups: None,
        ..knowing(&[])
    }
}

fn origin(row: Row, evidence: &Evidence<'_>) -> Origin {
    classify(row, evidence).origin
}

fn missed_by(row: Row, lookups: &[Lookup]) -> MissedBy {
    classify(row, &knowing(lookups)).missed_by
}

fn substituted_from(url: &str) -> Origin {
    Origin::Substituted {
        from: Some(url.to_owned()),
        download_bytes: Some(40),
    }
}

#[test]
fn a_path_is_from_the_substituter_that_is_asked_first_of_those_that_have_it() {
    let lookups = [
        has("http://b", 50),
        has("http://a", 10),
        has_not("http://c", 99_990),
    ];
    assert_eq!(
        origin(signed(), &knowing(&lookups)),
        substituted_from("http://a")
    );
}

#[test]
fn a_substituter_that_has_another_content_under_that_name_gave_nothing() {
    let mut lookup = has("http://a", 10);
    lookup.found.as_mut().unwrap().nar_hash = "sha256:other".to_owned();
    assert_eq!(origin(signed(), &knowing(&[lookup])), Origin::Copied);
}

#[test]
fn a_path_that_came_without_the_substituters_signature_came_from_elsewhere() {
    assert_eq!(
        origin(output(), &knowing(&[has("http://a", 10)])),
        Origin::Copied
    );
}

#[test]
fn what_was_built_here_is_built_although_a_substituter_has_it_too() {
    assert_eq!(
        origin(built(), &knowing(&[has("http://a", 10)])),
        Origin::Built
    );
}

#[test]
fn what_a_remote_builder_sent_back_is_built_because_there_is_a_log() {
    let evidence = Evidence {
        log_begun: Some(at(99_000)),
        ..knowing(&[])
    };
    assert_eq!(origin(output(), &evidence), Origin::Built);
}

#[test]
fn a_path_that_nobody_makes_is_a_source_unless_it_came_from_a_substituter() {
    assert_eq!(origin(source(), &knowing(&[])), Origin::Source);
    let mut lookup = has("http://a", 10);
    lookup.found.as_mut().unwrap().signatures.clear();
    assert_eq!(
        origin(source(), &knowing(&[lookup])),
        substituted_from("http://a")
    );
}

#[test]
fn a_build_that_could_have_been_spared_is_a_miss_of_those_who_were_asked() {
    let lookups = [has_not("http://a", 99_990), has_not("http://b", 99_991)];
    let expected = ["http://a", "http://b"].map(str::to_owned).to_vec();
    assert_eq!(
        missed_by(built(), &lookups),
        MissedBy::Substituters(expected)
    );
}

#[test]
fn a_build_that_nobody_was_asked_for_is_no_miss() {
    assert_eq!(missed_by(built(), &[]), MissedBy::Nobody);
    let long_ago = has_not("http://a", 100_000 - 3601);
    assert_eq!(missed_by(built(), &[long_ago]), MissedBy::Nobody);
    let afterwards = has_not("http://a", 100_001);
    assert_eq!(missed_by(built(), &[afterwards]), MissedBy::Nobody);
}

#[test]
fn a_build_longer_than_refusals_are_remembered_is_still_a_miss() {
    let lookups = [has_not("http://a", 89_999)];
    let evidence = Evidence {
        log_begun: Some(at(90_000)),
        ..knowing(&lookups)
    };
    let expected = MissedBy::Substituters(vec!["http://a".to_owned()]);
    assert_eq!(classify(built(), &evidence).missed_by, expected);
}

#[test]
fn a_build_that_may_not_be_substituted_is_no_miss() {
    let lookups = [has_not("http://a", 99_990)];
    for evidence in [knowing(&lookups), blind()] {
        let evidence = Evidence {
            may_be_substituted: false,
            ..evidence
        };
        assert_eq!(classify(built(), &evidence).missed_by, MissedBy::Nobody);
    }
}

#[test]
fn without_the_memory_of_nix_hits_and_misses_have_no_name_but_are_not_lost() {
    let unnamed = Origin::Substituted {
        from: None,
        download_bytes: None,
    };
    assert_eq!(origin(signed(), &blind()), unnamed);
    assert_eq!(origin(output(), &blind()), Origin::Copied);
    assert_eq!(classify(built(), &blind()).missed_by, MissedBy::Unknown);
}

#[test]
fn a_tally_counts_paths_once_and_substituters_each() {
    let added = |origin, missed_by| Added {
        path: String::new(),
        nar_bytes: 100,
        origin,
        missed_by,
    };
    let urls = ["http://a", "http://b"].map(str::to_owned).to_vec();
    let look = Look {
        cursor: Cursor { last_id: 1 },
        added: vec![
            added(substituted_from("http://a"), MissedBy::Nobody),
            added(Origin::Built, MissedBy::Substituters(urls)),
            added(Origin::Built, MissedBy::Unknown),
            added(Origin::Source, MissedBy::Nobody),
        ],
        vanished: 3,
        substituters: Ok(()),
    };
    let mut tally = Tally::default();
    tally.count(&look);
    tally.count(&look);
    let count = |paths| Count {
        paths,
        nar_bytes: 100 * paths,
    };
    assert_eq!((tally.substituted, tally.built), (count(2), count(4)));
    assert_eq!((tally.sources, tally.copied), (count(2), count(0)));
    assert_eq!((tally.misses, tally.vanished), (count(4), 6));
    let a = tally.substituters["http://a"];
    assert_eq!(
        (a.hits, a.misses, a.download_bytes),
        (count(2), count(2), 80)
    );
    assert_eq!(tally.substituters[Tally::UNKNOWN].misses, count(2));
}
