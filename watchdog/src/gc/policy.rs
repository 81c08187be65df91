//! The limits that the gc remedy keeps.

use std::time::Duration;

use snowguard_exporter::units::{Amount, ByteSize};
use snowguard_host::store::FileSystem;

use crate::record::Mode;

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
    /// A collection that would free less than this share of what is needed is not begun.
    pub minimum_gain_percent: u8,
    /// Pause after a collection, or after a refusal, before the next is looked at.
    pub cooldown: Duration,
    /// How long a collection may take. What it has freed by then stays freed.
    pub deadline: Duration,
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
            minimum_gain_percent: 5,
            cooldown: Duration::from_secs(600),
            deadline: Duration::from_secs(1800),
            ballast: ByteSize(32 << 20),
        }
    }
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
