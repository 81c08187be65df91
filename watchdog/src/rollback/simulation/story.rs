//! Stories drawn from seeds: what happens to a host, one thing after the other.

use super::{Happening, world::Server};
use crate::rollback::turn::WhenSilent;

/// A story, and the host that it happens to.
#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) happenings: Vec<Happening>,
    pub(super) leave: Leave,
}

/// What may differ from one host to another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    /// A deploy must be confirmed.
    pub(super) confirm: bool,
    /// The host may be rebooted.
    pub(super) reboot: bool,
    /// It asks a lock server, and this is what it does if that is silent.
    pub(super) fleet: Option<WhenSilent>,
    /// It is about a profile that is no system.
    pub(super) profile: bool,
    /// The probe counts as failed after so many of its last runs.
    pub(super) failures: u32,
    pub(super) of: u32,
    /// For so many looks after an activation a failure does not count.
    pub(super) grace: u8,
}

impl Leave {
    pub(super) const NONE: Self = Self {
        confirm: false,
        reboot: false,
        fleet: None,
        profile: false,
        failures: 1,
        of: 1,
        grace: 0,
    };
}

/// SplitMix64: begins differently for each seed, and costs nothing.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, end: u8) -> u8 {
        u8::try_from(self.next() % u64::from(end)).unwrap_or(0)
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    fn index(&mut self) -> usize {
        usize::from(self.below(u8::MAX))
    }

    fn happening(&mut self) -> Happening {
        use Happening as H;
        match self.below(44) {
            0..=5 => H::Ticks(1 + self.below(11)),
            6..=7 => H::Blind {
                system: self.coin(),
                probes: self.coin(),
            },
            8..=11 => H::Deploy {
                breaks: self.coin(),
                kernel: self.below(6) / 5,
            },
            12 => {
                let breaks = self.coin();
                if self.coin() {
                    H::TestDeploy { breaks }
                } else {
                    H::ElsewhereDeploy { breaks }
                }
            }
            13 => H::Activate(self.index()),
            14 => H::Collect(self.index()),
            15..=17 => H::Kill {
                after: self.below(12).into(),
            },
            18 => H::Restart,
            19 => {
                let seconds = self.next() % 14_400;
                H::ClockJump((i64::try_from(seconds).unwrap_or(0) - 7_200) * 1_000)
            }
            20 => H::FaultInVar(self.coin()),
            21 => H::DiskFull(self.coin()),
            22 => H::ValidityUnreadable(self.coin()),
            23 => H::OldAlert(self.coin()),
            24..=25 => H::Confirm,
            26 => H::LoaderForgets(self.coin()),
            27 => H::LoaderStuck(self.coin()),
            28..=29 => H::UpdaterBrings,
            30 => H::Release,
            31..=32 => H::Reboot,
            33 => H::RebootStuck(self.coin()),
            34 => {
                let codes = [0, 4, 1, 2, 11, 100];
                H::SwitchEnds(codes[self.index() % codes.len()])
            }
            35 => {
                let servers = [Server::Grants, Server::Refuses, Server::Deaf, Server::Dumb];
                H::LockServer(servers[self.index() % servers.len()])
            }
            36..=37 => H::SlowDeploy {
                breaks: self.coin(),
                looks: 1 + self.below(4),
            },
            38..=39 => H::Flaps(1 + self.below(5)),
            // What comes of it all takes time.
            _ => H::Ticks(8),
        }
    }
}

impl Story {
    /// The story of a seed, of fewer things than `most`.
    pub(super) fn of(seed: u64, most: u8) -> Self {
        let mut dice = Dice(seed);
        let leave = Leave {
            confirm: dice.coin(),
            reboot: dice.coin(),
            fleet: match dice.below(4) {
                0 => Some(WhenSilent::Wait),
                1 => Some(WhenSilent::Proceed),
                _ => None,
            },
            profile: dice.below(6) == 0,
            failures: 1,
            of: 1,
            grace: 0,
        };
        // Half of them judge by a single run, so that what happens comes of it at once.
        let leave = if dice.coin() {
            leave
        } else {
            let failures = 1 + u32::from(dice.below(3));
            Leave {
                failures,
                of: failures + u32::from(dice.below(3)),
                grace: dice.below(4),
                ..leave
            }
        };
        let length = dice.below(most);
        Self {
            happenings: (0..length).map(|_| dice.happening()).collect(),
            leave,
        }
    }

    /// The story with as little as still makes it fail.
    pub(super) fn shortest(mut self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut at = 0;
        while at < self.happenings.len() {
            let mut shorter = self.clone();
            shorter.happenings.remove(at);
            if fails(&shorter) {
                self = shorter;
                at = 0;
            } else {
                at += 1;
            }
        }
        self
    }
}
