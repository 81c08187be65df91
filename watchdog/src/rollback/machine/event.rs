//! What the machine is told, and what it asks for.

use crate::{
    act::{set_profile::NotSet, switch::SwitchEnd},
    rollback::{
        facts::{Facts, GenerationId},
        turn::Answer,
    },
};

/// What happened.
#[derive(Clone, Copy)]
pub enum Event<'a> {
    /// The host was looked at.
    Seen(Facts<'a>),
    /// The profile was to be set; the error says why it was not.
    ProfileSet(Result<(), &'a NotSet>),
    /// The switch was to be carried out; the error says why it could not even begin.
    Switched(Result<SwitchEnd, &'a str>),
    /// The boot default was to be set; the error says why that could not even begin.
    BootSet(Result<SwitchEnd, &'a str>),
    /// The host was to be rebooted; the error says why that could not even begin.
    Rebooting(Result<(), &'a str>),
    /// The lock server was asked for a place, by what was seen then.
    Answered(&'a Answer, Facts<'a>),
    /// The place in the fleet's lock was to be given back; the error says why it was not.
    LeaseReturned(Result<(), &'a str>),
    /// The hold of the updater was applied: what that changed, or why it is not applied.
    UpdaterHeld(Result<Option<&'a str>, &'a str>),
    /// The hold of the updater was to be lifted: what was done, or why it was not.
    UpdaterReleased(Result<&'a str, &'a str>),
}

/// An act that a rollback needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Point the profile at the target.
    SetProfile {
        /// The generation to point at.
        target: GenerationId,
        /// Number of the generation that the profile pointed to; anything else but the target
        /// means that somebody deploys at this moment.
        from: Option<u64>,
    },
    /// Switch to the target.
    Switch {
        /// The generation to switch to.
        target: GenerationId,
        /// The incident, which names the switch when it is looked for after a restart.
        incident: String,
    },
    /// Make the target what the boot loader starts by default; nothing is activated.
    SetBootDefault {
        /// The generation to start by default.
        target: GenerationId,
        /// The incident, which names the act as that of a switch.
        incident: String,
    },
    /// Ask the lock server whether it is this host's turn.
    TakeTurn,
    /// Reboot the host. Once.
    Reboot {
        /// The generation that is the boot default.
        target: GenerationId,
    },
}

impl Act {
    /// The generation that the act is about.
    pub fn target(&self) -> Option<&GenerationId> {
        match self {
            Self::TakeTurn => None,
            Self::SetProfile { target, .. }
            | Self::Switch { target, .. }
            | Self::SetBootDefault { target, .. }
            | Self::Reboot { target } => Some(target),
        }
    }

    /// The reason of the record that tells of it in observe mode.
    pub const fn would(&self) -> &'static str {
        match self {
            Self::SetProfile { .. } => "would_set_profile",
            Self::Switch { .. } => "would_switch",
            Self::SetBootDefault { .. } => "would_set_boot_default",
            Self::Reboot { .. } => "would_reboot",
            Self::TakeTurn => "would_ask_for_its_turn",
        }
    }
}
