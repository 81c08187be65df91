//! What a root is to the one who reads its name: which tool made the link, and so who may miss it.

use std::path::{Component, Path};

use serde::Serialize;

use super::RootKind;

/// What made a root, as far as its kind and its name tell. A hint for people; nothing is decided
/// by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// `PROFILE-N-link`, a generation of a profile, wherever the profile is.
    Generation,
    /// `gcroots/current-system` or `gcroots/booted-system` of NixOS.
    System,
    /// Below a directory `.direnv`: the environment of a project.
    Direnv,
    /// `result` or `result-*`, what `nix-build` and `nix build` leave.
    Result,
    /// Another link, or a file below `gcroots`.
    Link,
    /// A running process.
    Process,
    /// A build or copy in flight.
    InFlight,
}

impl Origin {
    pub(super) fn of(kind: RootKind, link: &Path) -> Self {
        match kind {
            RootKind::Runtime => return Self::Process,
            RootKind::Temporary => return Self::InFlight,
            RootKind::Profile | RootKind::Permanent | RootKind::Indirect => {}
        }
        let is_direnv = |part: Component<'_>| part.as_os_str() == ".direnv";
        let name = link.file_name().unwrap_or_default();
        let bytes = name.as_encoded_bytes();
        if link.components().any(is_direnv) {
            Self::Direnv
        } else if link.ends_with("run/current-system") || link.ends_with("run/booted-system") {
            Self::System
        } else if crate::generations::parse_link_name(name).is_some() {
            Self::Generation
        } else if bytes == b"result" || bytes.starts_with(b"result-") {
            Self::Result
        } else {
            Self::Link
        }
    }

    /// One word for a table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Generation => "generation",
            Self::System => "system",
            Self::Direnv => "direnv",
            Self::Result => "result",
            Self::Link => "link",
            Self::Process => "process",
            Self::InFlight => "in flight",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_link_tells_what_made_it() {
        let origin = |link: &str| Origin::of(RootKind::Indirect, Path::new(link));
        assert_eq!(
            origin("/home/u/x/.direnv/flake-profile-1-link"),
            Origin::Direnv
        );
        assert_eq!(
            origin("/home/u/.local/state/nix/profiles/profile-7-link"),
            Origin::Generation
        );
        assert_eq!(origin("/home/u/x/result-dev"), Origin::Result);
        assert_eq!(origin("/home/u/x/results"), Origin::Link);
        assert_eq!(origin("/run/booted-system"), Origin::System);
        let process = Origin::of(RootKind::Runtime, Path::new("/proc/7/fd/3"));
        assert_eq!(process, Origin::Process);
    }
}
