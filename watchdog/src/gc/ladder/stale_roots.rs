//! The last rung, which has to be asked for: automatic roots that nobody has made anew for long.
//!
//! Such a root is a link in `gcroots/auto` to a link elsewhere: a `result`, an environment of
//! direnv. The first goes; the second is its owner's and stays, though it may lead nowhere then.

use std::{path::PathBuf, time::SystemTime};

use snowguard_host::store::{Origin, Root, RootKind};

use crate::gc::{
    facts::{Facts, Scales},
    policy::{Policy, Space},
};

/// An automatic root to give up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleRoot {
    /// The link below `gcroots/auto`.
    pub auto: PathBuf,
    /// The link that it names, such as `/home/u/result`.
    pub link: PathBuf,
    /// The base name of the path that it keeps.
    pub keeps: String,
    /// When either link was made last.
    pub made: SystemTime,
    /// What giving it up frees, after all that is given up before it.
    pub frees: Space,
}

/// All automatic roots that are old enough, oldest first.
pub(super) fn removable(facts: &Facts, policy: &Policy, scales: &dyn Scales) -> Vec<StaleRoot> {
    let Some(least) = policy.stale_roots_older_than else {
        return Vec::new();
    };
    let graph = &facts.analysis.graph;
    let mut removable: Vec<StaleRoot> = (facts.analysis.roots.found.iter())
        .filter(|root| may_go(root))
        .filter_map(|root| {
            let auto = root.via.clone().filter(|auto| scales.may_go(auto, None))?;
            // One that cannot be read stays.
            let registered = scales.made(&auto).ok()??;
            Some(StaleRoot {
                auto,
                link: root.link.clone(),
                keeps: graph.name(root.path).to_owned(),
                made: root.made?.max(registered),
                frees: Space::NONE,
            })
        })
        .filter(|root| {
            !facts.is_protected(&PathBuf::from(snowguard_host::STORE_DIR).join(&root.keeps))
        })
        .filter(|root| {
            // From the future counts as now: whose clock was wrong is not known.
            let age = facts.now.duration_since(root.made).unwrap_or_default();
            age >= least
        })
        .collect();
    removable.sort_by(|a, b| (a.made, &a.auto).cmp(&(b.made, &b.auto)));
    removable
}

/// Whether it is an automatic root that is not also something else: the links of a user's profile
/// are automatic roots, too, and have the rules of a profile.
fn may_go(root: &Root) -> bool {
    let is_automatic = (root.via.as_deref())
        .and_then(|via| via.parent())
        .is_some_and(|parent| parent.ends_with("nix/var/nix/gcroots/auto"));
    let is_plain = matches!(
        root.origin(),
        Origin::Result | Origin::Direnv | Origin::Link
    );
    root.kind == RootKind::Indirect && is_automatic && is_plain
}
