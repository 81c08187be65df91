//! What the watchdog itself has to say as samples: limits, its own state, its decisions.

use std::collections::{BTreeMap, BTreeSet};

use snowguard_exporter::sample::{Family, Kind, count, flag};
use snowguard_host::store::FileSystem;
use snowguard_rules::{Alert, AlertState, Labels, Outcome, RuleError, Window};

use crate::{gc::policy::Policy, record::Remedy};

/// The limits as samples, so that one rule file serves every host. None while the size of the
/// file system is not known.
pub(super) fn limits(policy: &Policy, file_system: Option<&FileSystem>) -> Vec<Family> {
    let Some(file_system) = file_system else {
        return Vec::new();
    };
    let (trigger, target) = (
        policy.trigger_on(file_system),
        policy.target_on(file_system),
    );
    vec![
        Family::gauge(
            "snowguard_gc_trigger_bytes",
            "Bytes available on the store's file system below which garbage is to be collected",
            count(trigger.bytes),
        ),
        Family::gauge(
            "snowguard_gc_target_bytes",
            "Bytes that are to be available after a collection",
            count(target.bytes),
        ),
        Family::gauge(
            "snowguard_gc_trigger_files",
            "Free inodes on the store's file system below which garbage is to be collected",
            count(trigger.files),
        ),
        Family::gauge(
            "snowguard_gc_target_files",
            "Inodes that are to be free after a collection",
            count(target.files),
        ),
    ]
}

/// How each remedy is set.
pub(super) fn modes(modes: [(Remedy, &str); 2]) -> Family {
    let mut family = Family::of(
        Kind::Gauge,
        "snowguard_remedy_mode",
        "1 for the mode that the remedy is in: off, observe or act",
    );
    for (remedy, mode) in modes {
        for name in ["off", "observe", "act"] {
            let labels = vec![
                ("remedy", remedy.name().to_owned()),
                ("mode", name.to_owned()),
            ];
            family.push(labels, flag(name == mode));
        }
    }
    family
}

/// How many alerts of each name are pending and how many fire. Like `ALERTS` of Prometheus it has
/// no series for what is neither: two for each rule would be a quarter of what a host costs.
pub(super) fn alerts(alerts: &[Alert]) -> Family {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for alert in alerts {
        let state = match alert.state {
            AlertState::Pending => "pending",
            AlertState::Firing { .. } => "firing",
        };
        *counts.entry((&alert.rule.name, state)).or_default() += 1;
    }
    let mut family = Family::of(
        Kind::Gauge,
        "snowguard_alert_state",
        "Alerts of this name that are pending or firing by the watchdog's own evaluation",
    );
    for ((name, state), number) in counts {
        let labels = vec![("alertname", name.to_owned()), ("state", state.to_owned())];
        family.push(labels, count(number));
    }
    family
}

/// How many rules had no answer at the last evaluation, and for which kind of reason. While there
/// was no evaluation at all, because the samples could not be used, every rule is without one.
pub(super) fn blind(rules: usize, outcomes: &[Outcome]) -> Family {
    let mut counts = BTreeMap::from([("error", 0), ("unseen", 0), ("window", 0)]);
    // What a recording rule that waits for samples has not recorded, others wait for, too.
    let mut waiting = BTreeSet::new();
    for outcome in outcomes {
        let reason = match &outcome.result {
            Ok(_) => continue,
            // What every watchdog sees after a start, for as long as the rule looks back.
            Err(RuleError::WindowTooShort { .. }) => "window",
            Err(RuleError::Unseen { metric }) if waiting.contains(metric.as_str()) => "window",
            Err(RuleError::Unseen { .. }) => "unseen",
            Err(
                RuleError::Evaluation(_)
                | RuleError::SameLabels { .. }
                | RuleError::Limit { .. }
                | RuleError::Record(_),
            ) => "error",
        };
        if reason == "window" {
            waiting.insert(outcome.rule.name.as_str());
        }
        *counts.entry(reason).or_default() += 1;
    }
    let missing = rules.saturating_sub(outcomes.len());
    *counts.entry("error").or_default() += u64::try_from(missing).unwrap_or(u64::MAX);
    let family = Family::of(
        Kind::Gauge,
        "snowguard_rules_blind",
        "Rules that could not be evaluated at the last look, so that their alerts stay as they were: a collector fails (unseen), too few samples yet (window), or the evaluation itself (error)",
    );
    counts.into_iter().fold(family, |family, (reason, number)| {
        family.with(vec![("reason", reason.to_owned())], count(number))
    })
}

/// What the rules have to look back on.
pub(super) fn window(window: &Window, allowed: usize) -> Vec<Family> {
    let number = |number: usize| count(u64::try_from(number).unwrap_or(u64::MAX));
    vec![
        Family::gauge(
            "snowguard_rules_window_series",
            "Series that the watchdog keeps samples of, to evaluate its rules",
            number(window.series_count()),
        ),
        Family::gauge(
            "snowguard_rules_window_samples",
            "Samples that the watchdog keeps in memory",
            number(window.sample_count()),
        ),
        Family::gauge(
            "snowguard_rules_window_bytes",
            "Memory that these samples take, about",
            number(window.memory_bytes()),
        ),
        Family::gauge(
            "snowguard_rules_window_limit_bytes",
            "Memory that they may take; beyond it they begin anew, and no rule has an answer",
            number(allowed),
        ),
    ]
}

/// The facts that the exporter, which is not root, sees less of: what other users' processes
/// keep, whose builds run, and root's cache of lookups.
pub(super) fn only_root_sees(families: &[Family]) -> Vec<Family> {
    const PREFIXES: [&str; 11] = [
        "nix_store_dead_",
        "nix_store_reclaimable_",
        "nix_gc_roots",
        "nix_profile_reclaimable_",
        "nix_profiles_reclaimable_",
        "nix_store_paths_added_",
        "nix_store_nar_bytes_added_",
        "nix_substitut",
        "nix_builds_",
        "nix_build_oldest_",
        // Below /boot only root may look on some hosts.
        "nixos_boot_",
    ];
    let is_one = |family: &&Family| {
        PREFIXES
            .iter()
            .any(|prefix| family.name.starts_with(prefix))
    };
    families.iter().filter(is_one).cloned().collect()
}

/// Families as the window takes them.
pub(super) fn series(families: &[Family]) -> impl Iterator<Item = (Labels, f64)> + '_ {
    families.iter().flat_map(|family| {
        family.samples.iter().map(|sample| {
            let labels = sample.labels.iter().fold(
                Labels::metric(family.name.as_ref()),
                |labels, (name, value)| labels.with(name.as_ref(), value.as_str()),
            );
            (labels, sample.value)
        })
    })
}

#[cfg(test)]
mod tests {
    use snowguard_rules::RuleId;

    use super::*;

    #[test]
    fn a_rule_that_waits_for_what_another_is_to_record_waits_and_is_not_blind() {
        let outcome = |name: &str, error| Outcome {
            rule: RuleId {
                file: "f".to_owned(),
                group: "g".to_owned(),
                name: name.to_owned(),
            },
            result: Err(error),
        };
        let unseen = |metric: &str| RuleError::Unseen {
            metric: metric.to_owned(),
        };
        let short = RuleError::WindowTooShort {
            needed_ms: 2,
            collected_ms: 1,
        };
        let outcomes = [
            outcome("instance:hits:ratio", short),
            outcome("HitRateLow", unseen("instance:hits:ratio")),
            outcome("Down", unseen("up")),
        ];
        // And one rule of which nothing is known.
        let family = blind(4, &outcomes);
        let value = |reason: &str| {
            let mut samples = family.samples.iter();
            let sample = samples.find(|sample| sample.labels[0].1 == reason);
            sample.map(|sample| sample.value)
        };
        assert_eq!(value("window"), Some(2.0));
        assert_eq!(value("unseen"), Some(1.0));
        assert_eq!(value("error"), Some(1.0));
    }
}
