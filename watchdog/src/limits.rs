//! `[limits]`: what the shipped rules compare samples with. Each limit is a metric, so that one
//! rule file serves every host and each host has its own limits.

use serde::Deserialize;
use snowguard_exporter::{
    sample::{Family, count},
    units::{Amount, ByteSize, TimeSpan},
};
use snowguard_host::store::FileSystem;

/// The limits that no remedy depends on; those of the gc remedy are in its policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How soon the store's disk may be full at the pace of the last hour.
    pub filling: TimeSpan,
    /// With more than this free, nobody is told how soon.
    pub filling_below: Amount,
    /// How long the lock of the garbage collector may be held.
    pub gc_lock: TimeSpan,
    /// How much of the store's disk garbage may take.
    pub reclaimable: Amount,
    /// How many generations a profile may have.
    pub generations: u32,
    /// How large the store's database may be.
    pub database: ByteSize,
    /// How large the write-ahead log of the database may be.
    pub wal: ByteSize,
    /// How much must be free for the next kernel.
    pub boot: ByteSize,
    /// How long a build may take.
    pub build: TimeSpan,
    /// For which share of the time builds may stand still for want of memory.
    pub build_memory_pressure: Amount,
    /// Which share of the paths must come from a substituter, or people are warned.
    pub hit_rate_warning: Amount,
    /// Which share of the paths must come from a substituter, or people are called.
    pub hit_rate_critical: Amount,
    /// Fewer paths an hour than this tell no rate.
    pub hit_rate_paths: u32,
    /// How long a substituter may take to answer.
    pub substituter_answer: TimeSpan,
    /// How long a reboot may be due.
    pub reboot: TimeSpan,
    /// How old an input of the system's flake may be.
    pub flake_input: TimeSpan,
    /// How often a remedy may act within an hour.
    pub remedy_runs: u32,
}

impl Default for Limits {
    fn default() -> Self {
        let span = |seconds| TimeSpan(std::time::Duration::from_secs(seconds));
        Self {
            filling: span(4 * 3600),
            filling_below: Amount::Percent(40),
            gc_lock: span(3600),
            reclaimable: Amount::Percent(25),
            generations: 50,
            database: ByteSize(4 << 30),
            wal: ByteSize(256 << 20),
            boot: ByteSize(64 << 20),
            build: span(600),
            build_memory_pressure: Amount::Percent(10),
            hit_rate_warning: Amount::Percent(90),
            hit_rate_critical: Amount::Percent(80),
            hit_rate_paths: 100,
            substituter_answer: span(5),
            reboot: span(7 * 86_400),
            flake_input: span(90 * 86_400),
            remedy_runs: 3,
        }
    }
}

impl Limits {
    /// That each is a limit of its kind.
    ///
    /// # Errors
    /// Which one is not, and what would be right.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (key, amount) in [
            ("build_memory_pressure", self.build_memory_pressure),
            ("hit_rate_warning", self.hit_rate_warning),
            ("hit_rate_critical", self.hit_rate_critical),
        ] {
            if let Amount::Bytes(_) = amount {
                return Err(format!("`limits.{key}` must be a share such as \"80%\""));
            }
        }
        if ratio(self.hit_rate_critical) > ratio(self.hit_rate_warning) {
            return Err(
                "`limits.hit_rate_critical` must not be above `limits.hit_rate_warning`: people \
                 are warned before they are called"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The limits as samples. What is a share of the disk is left out while its size is not known.
    pub(crate) fn families(&self, file_system: Option<&FileSystem>) -> Vec<Family> {
        let mut families = vec![
            Family::gauge(
                "snowguard_filling_limit_seconds",
                "How soon the store's file system may be full at the pace of the last hour",
                seconds(self.filling),
            ),
            Family::gauge(
                "snowguard_gc_lock_limit_seconds",
                "How long the lock of the garbage collector may be held",
                seconds(self.gc_lock),
            ),
            Family::gauge(
                "snowguard_generations_limit",
                "How many generations a profile may have",
                f64::from(self.generations),
            ),
            Family::gauge(
                "snowguard_database_limit_bytes",
                "How large the store's database may be, in bytes",
                count(self.database.0),
            ),
            Family::gauge(
                "snowguard_wal_limit_bytes",
                "How large the write-ahead log of the store's database may be, in bytes",
                count(self.wal.0),
            ),
            Family::gauge(
                "snowguard_boot_limit_bytes",
                "How much must be free on the boot loader's file system, in bytes",
                count(self.boot.0),
            ),
            Family::gauge(
                "snowguard_build_duration_limit_seconds",
                "How long a build may take",
                seconds(self.build),
            ),
            Family::gauge(
                "snowguard_build_memory_pressure_limit_ratio",
                "For which share of the time all builds may stand still for want of memory",
                ratio(self.build_memory_pressure),
            ),
            Family::gauge(
                "snowguard_hit_rate_warning_ratio",
                "Which share of the paths that could be substituted must be, or people are warned",
                ratio(self.hit_rate_warning),
            ),
            Family::gauge(
                "snowguard_hit_rate_critical_ratio",
                "Which share of the paths that could be substituted must be, or people are called",
                ratio(self.hit_rate_critical),
            ),
            Family::gauge(
                "snowguard_hit_rate_minimum_paths",
                "So many paths within an hour tell a hit rate",
                f64::from(self.hit_rate_paths),
            ),
            Family::gauge(
                "snowguard_substituter_probe_duration_limit_seconds",
                "How long a substituter may take to answer",
                seconds(self.substituter_answer),
            ),
            Family::gauge(
                "snowguard_reboot_limit_seconds",
                "How long a reboot may be due",
                seconds(self.reboot),
            ),
            Family::gauge(
                "snowguard_flake_input_age_limit_seconds",
                "How old an input of the system's flake may be",
                seconds(self.flake_input),
            ),
            Family::gauge(
                "snowguard_remedy_runs_limit",
                "How often a remedy may act within an hour",
                f64::from(self.remedy_runs),
            ),
        ];
        families.extend(file_system.into_iter().flat_map(|file_system| {
            let of = |amount: Amount| count(amount.of(file_system.size_bytes));
            [
                Family::gauge(
                    "snowguard_filling_limit_bytes",
                    "With more than so many bytes free, how soon the disk is full is nobody's concern",
                    of(self.filling_below),
                ),
                Family::gauge(
                    "snowguard_reclaimable_limit_bytes",
                    "How much of the store's file system garbage may take, in bytes",
                    of(self.reclaimable),
                ),
            ]
        }));
        families
    }
}

fn seconds(span: TimeSpan) -> f64 {
    span.0.as_secs_f64()
}

fn ratio(share: Amount) -> f64 {
    match share {
        Amount::Percent(percent) => f64::from(percent) / 100.0,
        // Refused by `check`.
        Amount::Bytes(_) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_another_kind_or_out_of_order_is_refused_by_its_name() {
        let refused = |text: &str| {
            let limits: Limits = toml::from_str(text).unwrap();
            limits.check().unwrap_err()
        };
        assert_eq!(
            refused("hit_rate_warning = '5GiB'"),
            "`limits.hit_rate_warning` must be a share such as \"80%\""
        );
        assert!(refused("hit_rate_critical = '95%'").contains("hit_rate_critical"));
        assert_eq!(Limits::default().check(), Ok(()));
    }

    #[test]
    fn a_limit_that_the_host_sets_is_what_the_rules_compare_with() {
        let limits: Limits = toml::from_str("build = '1h'\nreclaimable = '50%'").unwrap();
        let file_system = FileSystem {
            size_bytes: 1000,
            avail_bytes: 1,
            files: 0,
            files_free: 0,
        };
        let value = |file_system, name: &str| {
            let families = limits.families(file_system);
            let family = families.into_iter().find(|family| family.name == name)?;
            Some(family.samples[0].value)
        };
        let build = "snowguard_build_duration_limit_seconds";
        assert_eq!(value(None, build), Some(3600.0));
        let reclaimable = "snowguard_reclaimable_limit_bytes";
        assert_eq!(value(Some(&file_system), reclaimable), Some(500.0));
        assert_eq!(value(None, reclaimable), None);
        let rate = "snowguard_hit_rate_critical_ratio";
        assert_eq!(value(None, rate), Some(0.8));
    }
}
