//! The four systems of a NixOS host, for `status` and `generations`.

use serde::Serialize;
use snowguard_host::{BootDefault, FactError, System, SystemLink};

use super::text;

/// What the links of a host say of its system. `None` where the host has no such link.
#[derive(Debug, Serialize)]
pub(super) struct SystemView {
    pub(super) current: Option<LinkView>,
    pub(super) running: Option<LinkView>,
    pub(super) booted: Option<LinkView>,
    /// `None` as well if the boot loader's default cannot be told.
    pub(super) boot_default: Option<LinkView>,
    pub(super) reboot_required: Option<bool>,
}

/// A system that a link points at.
#[derive(Debug, Serialize)]
pub(super) struct LinkView {
    pub(super) generation: Option<u64>,
    pub(super) store_path: String,
}

impl LinkView {
    fn of(link: &SystemLink) -> Self {
        Self {
            generation: link.generation,
            store_path: text::lossless(&link.path),
        }
    }

    pub(super) fn sentence(&self) -> String {
        match self.generation {
            Some(number) => format!("generation {number}  {}", self.store_path),
            None => format!("no generation  {}", self.store_path),
        }
    }
}

impl SystemView {
    /// The view, and why the boot default is missing from it, if it could not be read.
    pub(super) fn of(system: System) -> (Self, Option<FactError>) {
        let (boot_default, error) = match system.boot_default {
            Ok(BootDefault::System(link)) => (Some(LinkView::of(&link)), None),
            Ok(BootDefault::Unknown) => (None, None),
            Err(error) => (None, Some(error)),
        };
        let view = Self {
            current: system.current.as_ref().map(LinkView::of),
            running: system.running.as_ref().map(LinkView::of),
            booted: system.booted.as_ref().map(LinkView::of),
            boot_default,
            reboot_required: system.reboot_required,
        };
        (view, error)
    }

    /// Each of the four with the word for it.
    pub(super) fn links(&self) -> [(&'static str, Option<&LinkView>); 4] {
        [
            ("current", self.current.as_ref()),
            ("running", self.running.as_ref()),
            ("booted", self.booted.as_ref()),
            ("boot-default", self.boot_default.as_ref()),
        ]
    }
}
