//! The limits that the gc remedy keeps.

use std::{path::Path, time::Duration};

use snowguard_exporter::units::{Amount, ByteSize};
use snowguard_host::{Ages, store::FileSystem};

use crate::record::Mode;

/// Below this the database of Nix may not be able to make its write-ahead log.
pub(super) const HARD_FULL: Space = Space {
    bytes: 4 << 20,
    files: 16,
};

/// Whether Nix may lack the room to open its database. What is kept back for root (`f_bfree` beyond
/// `f_bavail`) is not counted: a full ext4 or btrfs reports it where no byte can be written any more.
pub(super) fn is_hard_full(file_system: &FileSystem) -> bool {
    let mut free = Space::free(file_system);
    // One that makes inodes as it needs them (btrfs) reports none, free or not.
    if file_system.files == 0 {
        free.files = HARD_FULL.files;
    }
    !free.covers(HARD_FULL)
}

/// What the records of one collection may take: journal, state, the database's own growth.
const RECORDS: Space = Space {
    bytes: 64 << 10,
    files: 8,
};

/// The limits that the gc remedy keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether it may act.
    pub mode: Mode,
    /// Less than this free trips the alert.
    pub trigger: Amount,
    /// How much is to be free afterwards.
    pub target: Amount,
    /// Fewer free inodes than this share, in per cent, trip the alert.
    pub trigger_files_percent: u8,
    /// How many inodes are to be free afterwards, in per cent.
    pub target_files_percent: u8,
    /// The newest generations of each profile that are never given up.
    pub keep_generations: usize,
    /// Generations whose link is younger than this are never given up.
    pub keep_younger_than: Duration,
    /// Other rules for some profiles.
    pub profiles: Vec<ProfileRule>,
    /// Dead paths that came to this host less than this ago stay.
    pub keep_recent: Duration,
    /// Build directories that no build has to do with and that have not changed for so long may
    /// go; `None` for never.
    pub build_dirs_older_than: Option<Duration>,
    /// The same of build logs.
    pub logs_older_than: Option<Duration>,
    /// Automatic roots that were made so long ago may be given up; `None` for never.
    pub stale_roots_older_than: Option<Duration>,
    /// A collection that would free less than this share of what is needed is not begun.
    pub minimum_gain_percent: u8,
    /// Pause after a collection, or after a refusal, before the next is looked at.
    pub cooldown: Duration,
    /// So many collections may begin within 24 hours.
    pub max_runs_per_day: usize,
    /// After so many collections in a row that brought next to nothing, there is no other for a
    /// day; 0 for never.
    pub breaker: u32,
    /// A collection begins at a time of its host's own within this after it is asked for.
    pub jitter: Duration,
    /// How long a collection may take. What it has freed by then stays freed.
    pub deadline: Duration,
    /// How long another collector's end is waited for.
    pub wait: Duration,
    /// Size of the reserve for a disk that is hard full; 0 for none.
    pub ballast: ByteSize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Observe,
            trigger: Amount::Percent(10),
            target: Amount::Percent(15),
            trigger_files_percent: 5,
            target_files_percent: 10,
            keep_generations: 5,
            keep_younger_than: Duration::ZERO,
            profiles: Vec::new(),
            keep_recent: Duration::from_secs(3600),
            build_dirs_older_than: Some(Duration::from_secs(24 * 3600)),
            logs_older_than: Some(Duration::from_secs(30 * 24 * 3600)),
            stale_roots_older_than: None,
            minimum_gain_percent: 5,
            cooldown: Duration::from_secs(600),
            max_runs_per_day: 12,
            breaker: 3,
            jitter: Duration::ZERO,
            deadline: Duration::from_secs(1800),
            wait: Duration::from_secs(600),
            ballast: ByteSize(32 << 20),
        }
    }
}

/// What is kept of the profiles that a pattern names, where that differs from the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileRule {
    /// The profile's name; `*` stands for any letters, `/` among them.
    pub pattern: String,
    /// In place of [`Policy::keep_generations`].
    pub keep_generations: Option<usize>,
    /// In place of [`Policy::keep_younger_than`].
    pub keep_younger_than: Option<Duration>,
}

impl ProfileRule {
    fn names(&self, profile: &[u8]) -> bool {
        let mut rest = profile;
        let mut parts = self.pattern.as_bytes().split(|byte| *byte == b'*');
        let first = parts.next().unwrap_or_default();
        let Some(after) = rest.strip_prefix(first) else {
            return false;
        };
        rest = after;
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            let found = (0..=rest.len()).find(|at| rest[*at..].starts_with(part));
            let Some(at) = found else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        true
    }

    /// How much of a name the pattern fixes: the more, the more it counts.
    fn letters(&self) -> usize {
        self.pattern.bytes().filter(|byte| *byte != b'*').count()
    }
}

/// What is kept of one profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeping {
    /// So many of its newest generations, at least 1.
    pub generations: usize,
    /// And those whose link is younger.
    pub younger_than: Duration,
}

/// Which of the two run short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tripped {
    /// Bytes.
    pub bytes: bool,
    /// Inodes.
    pub files: bool,
}

/// So many bytes and inodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Space {
    /// Bytes.
    pub bytes: u64,
    /// Inodes.
    pub files: u64,
}

impl Space {
    /// Nothing at all.
    pub const NONE: Self = Self { bytes: 0, files: 0 };

    /// True if this is at least as much of both.
    pub fn covers(self, need: Self) -> bool {
        self.bytes >= need.bytes && self.files >= need.files
    }

    /// Both added.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            files: self.files.saturating_add(other.files),
        }
    }

    /// What is left of both after taking away.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            files: self.files.saturating_sub(other.files),
        }
    }

    /// What is free on a file system now.
    pub fn free(file_system: &FileSystem) -> Self {
        Self {
            bytes: file_system.avail_bytes,
            files: file_system.files_free,
        }
    }
}

impl std::fmt::Display for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} and {} inodes",
            crate::text::bytes(self.bytes),
            self.files
        )
    }
}

impl Policy {
    /// How old what builds left behind must be to go.
    pub fn ages(&self) -> Ages {
        Ages {
            build_directories: self.build_dirs_older_than,
            logs: self.logs_older_than,
        }
    }

    /// What is kept of a profile. Of the rules that name it, the one that fixes most letters of
    /// its name counts; of several such, what keeps more.
    pub fn keeping(&self, profile: &Path) -> Keeping {
        let name = profile.as_os_str().as_encoded_bytes();
        let rules = || self.profiles.iter().filter(|rule| rule.names(name));
        let most = rules().map(ProfileRule::letters).max();
        let rules = || rules().filter(|rule| Some(rule.letters()) == most);
        let generations = rules().filter_map(|rule| rule.keep_generations).max();
        let younger_than = rules().filter_map(|rule| rule.keep_younger_than).max();
        Keeping {
            generations: generations.unwrap_or(self.keep_generations).max(1),
            younger_than: younger_than.unwrap_or(self.keep_younger_than),
        }
    }

    /// The bytes and inodes below which the alert trips, on this file system. One that makes
    /// inodes as it needs them (btrfs) reports none and has no limit of them.
    pub fn trigger_on(&self, file_system: &FileSystem) -> Space {
        Space {
            bytes: self.trigger.of(file_system.size_bytes),
            files: percent(file_system.files, self.trigger_files_percent),
        }
    }

    /// The bytes and inodes that are to be free afterwards, on this file system.
    pub fn target_on(&self, file_system: &FileSystem) -> Space {
        Space {
            bytes: self.target.of(file_system.size_bytes),
            files: percent(file_system.files, self.target_files_percent),
        }
    }

    /// Which of bytes and inodes run short on this file system, by their own triggers. If neither
    /// does, as for a rule with a limit of its own, bytes, as long as their target is not reached.
    pub fn tripped(&self, now: &FileSystem) -> Tripped {
        let (free, trigger) = (Space::free(now), self.trigger_on(now));
        let bytes = free.bytes < trigger.bytes;
        let files = now.files > 0 && free.files < trigger.files;
        let is_short = free.bytes < self.target_on(now).bytes;
        Tripped {
            bytes: bytes || (!files && is_short),
            files,
        }
    }

    /// The policy of a collection that is to mend only what runs short: nothing is given up for
    /// the target of the other one, which nobody missed. If neither does, both are asked for, as
    /// by a rule with a limit of its own.
    #[must_use]
    pub fn aimed_at(&self, tripped: Tripped) -> Self {
        let mut aimed = self.clone();
        match (tripped.bytes, tripped.files) {
            (true, false) => aimed.target_files_percent = 0,
            (false, true) => aimed.target = Amount::Bytes(ByteSize(0)),
            (true, true) | (false, false) => {}
        }
        aimed
    }

    /// The policy of a collection that is to free so much more than is free now, whatever the
    /// target for alerts is.
    #[must_use]
    pub fn to_free(&self, bytes: ByteSize, now: &FileSystem) -> Self {
        let target = now.avail_bytes.saturating_add(bytes.0);
        Self {
            trigger: Amount::Bytes(ByteSize(now.avail_bytes)),
            target: Amount::Bytes(ByteSize(target)),
            trigger_files_percent: 0,
            target_files_percent: 0,
            ..self.clone()
        }
    }

    /// Missing by no more than this the target counts as reached, for nothing dear is given up
    /// for a crumb: what a journal, a log or the database took meanwhile. It is a hundredth of
    /// what lies between trigger and target, which is the least that an alert asks for, and at
    /// least what Snowguard's own records may take, but never more than a tenth.
    pub fn crumb(&self, file_system: &FileSystem) -> Space {
        let least = self.least(file_system);
        let crumb = |least: u64, records: u64| (least / 100).max(records).min(least / 10);
        Space {
            bytes: crumb(least.bytes, RECORDS.bytes),
            files: crumb(least.files, RECORDS.files),
        }
    }

    /// So many bytes more than are needed may go where only a crumb is missing.
    pub(super) fn spare(&self, file_system: &FileSystem) -> u64 {
        self.least(file_system).bytes / 10
    }

    fn least(&self, file_system: &FileSystem) -> Space {
        self.target_on(file_system)
            .minus(self.trigger_on(file_system))
    }

    /// Whether no more than a crumb is missing to the target now.
    pub fn is_reached(&self, file_system: &FileSystem) -> bool {
        self.crumb(file_system).covers(self.need(file_system))
    }

    /// Whether a reserve may be taken from what is free: what is left does not trip the next alert.
    pub fn has_room_for(&self, file_system: &FileSystem, reserve: Space) -> bool {
        let (left, trigger) = (
            Space::free(file_system).minus(reserve),
            self.trigger_on(file_system),
        );
        left.bytes > trigger.bytes && (file_system.files == 0 || left.files > trigger.files)
    }

    /// Whether it may be taken again after an incident that took it: the target is reached, too.
    pub fn has_recovered(&self, file_system: &FileSystem, reserve: Space) -> bool {
        self.is_reached(file_system) && self.has_room_for(file_system, reserve)
    }

    /// How much is missing to the target now.
    pub fn need(&self, file_system: &FileSystem) -> Space {
        let mut need = self.target_on(file_system).minus(Space::free(file_system));
        if file_system.files == 0 {
            need.files = 0;
        }
        need
    }
}

fn percent(whole: u64, percent: u8) -> u64 {
    whole / 100 * u64::from(percent) + whole % 100 * u64::from(percent) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_runs_short_must_reach_its_target() {
        let policy = Policy::default();
        let disk = |bytes: u64, files_free| FileSystem {
            size_bytes: 100 << 20,
            avail_bytes: bytes << 20,
            files: 1000,
            files_free,
        };
        let need = |disk: FileSystem| {
            let need = policy.aimed_at(policy.tripped(&disk)).need(&disk);
            (need.bytes >> 20, need.files)
        };
        // Bytes trip below 10 % and are to be 15 %, inodes below 5 % and are to be 10 %.
        assert_eq!(need(disk(5, 70)), (10, 0));
        assert_eq!(need(disk(12, 20)), (0, 80));
        assert_eq!(need(disk(5, 20)), (10, 80));
        assert_eq!(need(disk(12, 70)), (3, 0));
        assert_eq!(need(disk(20, 70)), (0, 30));
    }

    #[test]
    fn a_disk_has_recovered_though_a_crumb_is_missing_and_not_where_the_reserve_would_trip() {
        let policy = Policy {
            trigger: Amount::Bytes(ByteSize(100 << 20)),
            target: Amount::Bytes(ByteSize(200 << 20)),
            trigger_files_percent: 0,
            target_files_percent: 0,
            ..Policy::default()
        };
        let with = |avail_bytes| FileSystem {
            size_bytes: 1 << 30,
            avail_bytes,
            files: 0,
            files_free: 0,
        };
        let mib = |mib: u64| Space {
            bytes: mib << 20,
            files: 64,
        };
        assert!(policy.has_recovered(&with((200 << 20) - 4096), mib(16)));
        assert!(!policy.has_recovered(&with(190 << 20), mib(16)));
        assert!(!policy.has_recovered(&with(200 << 20), mib(100)));
        // The first time it asks for no more than its room.
        assert!(policy.has_room_for(&with(190 << 20), mib(16)));
        assert!(!policy.has_room_for(&with(116 << 20), mib(16)));
    }
}
